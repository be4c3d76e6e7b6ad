/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether qemu can work in the scratch directory of backups of running guests,
 * and whether what a guest overwrites meanwhile has room there. That qemu's user
 * gets there is tried by a child that becomes this user.
 */
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "doctor_libvirt.h"
#include "ingest/libvirt/qemu_user.h"
#include "ingest/live/scratch.h"
#include "repo/base/cleanup.h"
#include "repo/base/units.h"

#define SOCKET_ROOM 74 /* for DIR, of the 107 bytes of a socket's path */
#define CANT_BECOME 255

/* The number of the first part of PATH that this process may not pass, from 1;
 * 0: none. */
static int first_closed(char *path)
{
	int number = 0;
	for (char *p = path + 1;; p++) {
		if (*p != '/' && *p != '\0')
			continue;
		char end = *p;
		*p = '\0';
		number++;
		bool passes = access(path, X_OK) == 0;
		*p = end;
		if (!passes)
			return number;
		if (end == '\0')
			return 0;
	}
}

static int as_user(const char *path, uid_t uid, gid_t gid)
{
	CLEANUP_FREE char *copy = strdup(path);
	int status;
	pid_t pid = copy != NULL ? fork() : -1;
	if (pid == 0) {
		if (setgroups(1, &gid) < 0 || setresgid(gid, gid, gid) < 0
				|| setresuid(uid, uid, uid) < 0)
			_exit(CANT_BECOME);
		_exit(first_closed(copy));
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		return CANT_BECOME;
	return WEXITSTATUS(status);
}

/* True if qemu's user gets there, or that can't be told. */
static bool check_way(struct doctor *doctor, const char *dir, uid_t uid,
		gid_t gid)
{
	char part[PATH_MAX], quoted[DOCTOR_QUOTE_MAX];
	int closed = geteuid() == 0 ? as_user(dir, uid, gid) : 0;
	if (closed == 0 || closed == CANT_BECOME)
		return true;
	snprintf(part, sizeof(part), "%s", dir);
	for (char *p = part + 1; *p != '\0'; p++)
		if (*p == '/' && --closed == 0)
			*p = '\0';
	doctor_found(doctor, DOCTOR_FAILURE, dir,
			"qemu's user (%u) can't pass %s", (unsigned)uid, part);
	doctor_means(doctor,
			"No running guest can be backed up with this "
			"scratch directory.");
	doctor_command(doctor, "chmod o+x %s", doctor_quote(quoted, part));
	return false;
}

/* The most that the disks of one running guest have allocated. */
static uint64_t largest(const struct listing *listing)
{
	uint64_t most = 0;
	for (unsigned i = 0; i < listing->count; i++) {
		const struct listed_domain *domain = &listing->domains[i];
		uint64_t sum = 0;
		for (unsigned j = 0; j < domain->disk_count; j++)
			if (domain->disks[j].sizes_known)
				sum += domain->disks[j].allocated;
		if (sum > most)
			most = sum;
	}
	return most;
}

static void check_space(struct doctor *doctor, const char *dir,
		uint64_t allocated)
{
	char has[SIZE_TEXT_MAX], needs[SIZE_TEXT_MAX];
	uint64_t least, well;
	struct statvfs fs;
	if (statvfs(dir, &fs) < 0)
		return;
	uint64_t available = (uint64_t)fs.f_bavail * fs.f_frsize;
	scratch_needs(allocated, &least, &well);
	size_format(has, available);
	if (available >= well) {
		doctor_found(doctor, DOCTOR_OK, dir,
				"qemu can use it for what guests overwrite "
				"during a backup; %s are free",
				has);
		return;
	}
	doctor_found(doctor,
			available < least ? DOCTOR_FAILURE : DOCTOR_WARNING,
			dir,
			"%s are free for what guests overwrite during a "
			"backup; for the largest guest %s are %s",
			has,
			size_format(needs, available < least ? least : well),
			available < least ? "needed" : "recommended");
	doctor_means(doctor,
			"When it is full, the backup of that guest fails; the "
			"guest runs on. Name a larger one to backups, like:");
	doctor_command(doctor,
			"amberfs doctor --scratch-dir /LARGER/DIRECTORY");
}

void check_scratch(struct doctor *doctor)
{
	const struct doctor_libvirt *shared = doctor->context;
	const char *dir = doctor->options->scratch_dir;
	char quoted[DOCTOR_QUOTE_MAX];
	struct stat st;
	uid_t uid;
	gid_t gid;
	if (!shared->listed)
		return;
	if (dir == NULL)
		dir = SCRATCH_DIR_DEFAULT;
	if (stat(dir, &st) < 0 || !S_ISDIR(st.st_mode)) {
		doctor_found(doctor, DOCTOR_FAILURE, dir,
				"there is no such scratch directory");
		doctor_means(doctor, "No running guest can be backed up.");
		doctor_command(doctor, "mkdir -m 1777 %s",
				doctor_quote(quoted, dir));
	} else if (*dir != '/' || strlen(dir) > SOCKET_ROOM) {
		doctor_found(doctor, DOCTOR_FAILURE, dir,
				"its name is too long for a socket's path, or "
				"does not begin with a slash");
		doctor_means(doctor, "At most %d bytes fit.", SOCKET_ROOM);
	} else if (qemu_user(shared->conn, &uid, &gid) == 0
			&& check_way(doctor, dir, uid, gid)) {
		check_space(doctor, dir, largest(&shared->listing));
	}
}
