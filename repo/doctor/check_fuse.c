/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What mounting snapshots needs. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "checks.h"
#include "repo/base/cleanup.h"

#define DEVICE "/dev/fuse"
#define CONF "/etc/fuse.conf"

void check_fuse(struct doctor *doctor)
{
	CLEANUP_FD int fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		doctor_found(doctor, DOCTOR_OK, DEVICE,
				"can be opened, so snapshots can be mounted");
		return;
	}
	int err = errno;
	doctor_found(doctor, DOCTOR_FAILURE, DEVICE, "can't be opened: %s",
			strerror(err));
	doctor_means(doctor,
			"Backups and restores work, but 'amberfs mount', "
			"'boot' and 'prove' do not.");
	if (err == EACCES || err == EPERM)
		doctor_command(doctor, "chmod 0666 " DEVICE);
	else
		doctor_command(doctor, "modprobe fuse");
}

/* A line with this word alone. */
static bool has_line(const char *path, const char *word)
{
	char line[256];
	bool found = false;
	FILE *f = fopen(path, "re");
	if (f == NULL)
		return false;
	while (!found && fgets(line, sizeof(line), f) != NULL) {
		const char *at = line + strspn(line, " \t");
		size_t len = strcspn(at, " \t\r\n#");
		found = len == strlen(word) && strncmp(at, word, len) == 0;
	}
	fclose(f);
	return found;
}

void check_allow_other(struct doctor *doctor)
{
	if (has_line(CONF, "user_allow_other")) {
		doctor_found(doctor, DOCTOR_OK, CONF,
				"has user_allow_other: mounts of any user can "
				"be shown to others");
	} else if (geteuid() == 0) {
		doctor_found(doctor, DOCTOR_OK, CONF,
				"has no user_allow_other, which root's mounts "
				"don't need");
	} else {
		doctor_found(doctor, DOCTOR_WARNING, CONF,
				"has no user_allow_other");
		doctor_means(doctor,
				"What this user mounts can't be read by root "
				"or by qemu's user, so no guest can be booted "
				"from it. As root:");
		doctor_command(doctor, "echo user_allow_other >>" CONF);
	}
}
