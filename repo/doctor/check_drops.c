/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The packets that the kernel says it has dropped for their sender, since the
 * host was started and for as long as --watch wants. The sum alone is no reason
 * to worry: it stays when its cause was mended.
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "checks.h"
#include "drops.h"
#include "interfaces.h"
#include "repo/base/units.h"
#include "sysctl_advice.h"

static bool any_strict(void)
{
	static struct interfaces list;
	interfaces_read(&list);
	for (unsigned i = 0; i < list.count; i++)
		if (list.items[i].filter == FILTER_STRICT)
			return true;
	return false;
}

static void report_growth(struct doctor *doctor, uint64_t dropped)
{
	char packets[COUNT_TEXT_MAX], time[SIZE_TEXT_MAX];
	doctor_found(doctor, DOCTOR_WARNING, "dropped packets",
			"%s in %s had a sender that the kernel did not "
			"believe",
			count_format(packets, dropped, "packet"),
			age_format(time, doctor->options->watch_seconds));
	doctor_means(doctor,
			"If they come from a host that backups need, its "
			"answers get lost: --peer HOST tells.%s",
			interfaces_setting("all", "log_martians", 0) > 0
					? " The kernel's log names them "
					  "(journalctl -k -g martian)."
					: " With log_martians the kernel's log "
					  "names them (journalctl -k -g "
					  "martian):");
	if (interfaces_setting("all", "log_martians", 0) == 0)
		doctor_command(doctor,
				"sysctl -w net.ipv4.conf.all.log_martians=1");
}

static void report_sum(struct doctor *doctor, const struct drops *now)
{
	char watched[64] = "", time[SIZE_TEXT_MAX];
	if (doctor->options->watch_seconds > 0)
		snprintf(watched, sizeof(watched),
				", none of them in the last %s",
				age_format(time,
						doctor->options->watch_seconds));
	doctor_found(doctor, DOCTOR_OK, "dropped packets",
			"%" PRIu64 " of the whole host for their sender since "
			"its start (in_martian_src), %" PRIu64
			" of them here by "
			"the filter (IPReversePathFilter)%s; log_martians is "
			"%s",
			now->martian, now->filter, watched,
			interfaces_setting("all", "log_martians", 0) > 0
					? "on"
					: "off");
	if (now->martian + now->filter > 0 && any_strict()
			&& doctor->options->watch_seconds == 0)
		doctor_means(doctor,
				"--watch 1min tells whether that goes on.");
}

void check_drops(struct doctor *doctor)
{
	struct drops before, after;
	struct timespec second = { .tv_sec = 1 };
	drops_read(&before);
	for (int64_t i = 0; i < doctor->options->watch_seconds; i++)
		nanosleep(&second, NULL);
	drops_read(&after);
	uint64_t dropped = drops_between(&before, &after);
	if (dropped > 0)
		report_growth(doctor, dropped);
	else
		report_sum(doctor, &after);
}
