/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether AppArmor lets qemu make its socket in our scratch directory. */
#include <stdio.h>
#include <string.h>

#include "doctor_libvirt.h"
#include "ingest/live/scratch.h"
#include "repo/base/bytes.h"

static bool is_on(void)
{
	FILE *f = fopen("/sys/module/apparmor/parameters/enabled", "re");
	if (f == NULL)
		return false;
	bool on = fgetc(f) == 'Y';
	fclose(f);
	return on;
}

/* A line that begins, after blanks, with TEXT. */
static bool has_rule(const char *path, const char *text)
{
	char line[1024];
	bool found = false;
	FILE *f = fopen(path, "re");
	if (f == NULL)
		return false;
	while (!found && fgets(line, sizeof(line), f) != NULL)
		found = strncmp(line + strspn(line, " \t"), text, strlen(text))
				== 0;
	fclose(f);
	return found;
}

#define RULES "/etc/apparmor.d/"
#define LOCAL RULES "local/abstractions/libvirt-qemu"

void check_apparmor(struct doctor *doctor)
{
	static const char *const files[] = { LOCAL,
		RULES "abstractions/libvirt-qemu",
		RULES "abstractions/libvirt-qemu.d/amberfs" };
	const struct doctor_libvirt *shared = doctor->context;
	const char *dir = doctor->options->scratch_dir;
	char rule[1024];
	bool allowed = false;
	if (shared->conn == NULL)
		return;
	if (!is_on()) {
		doctor_found(doctor, DOCTOR_OK, "AppArmor",
				"is off, so it is not in the way of qemu");
		return;
	}
	snprintf(rule, sizeof(rule), "%s/amberfs-",
			dir != NULL ? dir : SCRATCH_DIR_DEFAULT);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		allowed |= has_rule(files[i], rule);
	if (allowed) {
		doctor_found(doctor, DOCTOR_OK, "AppArmor", "lets qemu use %s*",
				rule);
		return;
	}
	doctor_found(doctor, DOCTOR_WARNING, "AppArmor",
			"has no rule that lets qemu use %s*", rule);
	doctor_means(doctor,
			"If it confines guests here, the backup of a running "
			"one fails.");
	doctor_command(doctor, "echo '%s*/** rwk,' >>" LOCAL, rule);
	doctor_command(doctor, "systemctl reload apparmor");
}
