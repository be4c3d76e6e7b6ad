/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The reverse-path filter of each interface: a line for each mode in use.
 * Whether a strict one is in the way is for check_peers.c to find. */
#include <stdio.h>
#include <string.h>

#include "checks.h"
#include "interfaces.h"

static const char *const modes[FILTER_MODES] = {
	[FILTER_OFF] = "off (0)",
	[FILTER_STRICT] = "strict (1)",
	[FILTER_LOOSE] = "loose (2)",
};

static void add_name(char *list, size_t size, const char *name)
{
	size_t at = strlen(list);
	snprintf(list + at, size - at, "%s%s", at > 0 ? ", " : "", name);
}

void check_filter(struct doctor *doctor)
{
	static struct interfaces list;
	interfaces_read(&list);
	for (int mode = 0; mode < FILTER_MODES; mode++) {
		char names[1024] = "";
		for (unsigned i = 0; i < list.count; i++)
			if ((int)list.items[i].filter == mode)
				add_name(names, sizeof(names),
						list.items[i].name);
		if (names[0] == '\0')
			continue;
		doctor_found(doctor, DOCTOR_OK, "reverse-path filter",
				"%s on %s", modes[mode], names);
		if (mode == FILTER_STRICT)
			doctor_means(doctor,
					"Packets of hosts that are not "
					"answered through the interface they "
					"arrive on are dropped there.");
	}
	if (list.count == 0)
		doctor_found(doctor, DOCTOR_OK, "interfaces",
				"none is up but lo");
}
