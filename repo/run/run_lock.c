/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Kernel locks on files, which end with the last process that has them open:
 * nobody has to tidy up after a crash. The files stay; their time is that of the
 * last run's beginning.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/base/lock_directory.h"
#include "repo/base/report.h"
#include "run_internal.h"

#define POLL_NS 200000000L
#define NAME_LONGEST 200

/* NAME in the directory of locks; PATH is set to the whole. */
static int open_named(const char *name, char path[PATH_MAX])
{
	char directory[LOCK_DIRECTORY_MAX];
	CLEANUP_FD int dir = lock_directory_open(directory);
	snprintf(path, PATH_MAX, "%s/%s", directory, name);
	return dir < 0 ? dir : lock_directory_open_file(dir, name, 0);
}

static int open_job(const struct configuration_section *job,
		char path[PATH_MAX])
{
	const char *own = configuration_value(job, "lock");
	char name[NAME_MAX];
	if (own == NULL) {
		snprintf(name, sizeof(name), "job-%s.lock", job->name);
		return open_named(name, path);
	}
	snprintf(path, PATH_MAX, "%s", own);
	int fd = open(own, O_RDWR | O_CREAT, 0600);
	return fd < 0 ? -errno : fd;
}

static int fail_active(int fd, const char *path)
{
	char since[64] = "earlier";
	struct stat st;
	struct tm tm;
	if (fstat(fd, &st) == 0 && localtime_r(&st.st_mtime, &tm) != NULL)
		strftime(since, sizeof(since), "%Y-%m-%d %H:%M:%S", &tm);
	return fail(-EBUSY,
			"the run that began %s is still active (lock %s); "
			"nothing was done",
			since, path);
}

int run_lock_job(const struct configuration_section *job)
{
	char path[PATH_MAX];
	CLEANUP_FD int fd = open_job(job, path);
	if (fd < 0)
		return fail_errno(fd, "can't make the lock file %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
				? fail_active(fd, path)
				: fail_errno(-errno, "locking %s", path);
	futimens(fd, NULL);
	return take_fd(&fd);
}

/* "repository-!backup!amberfs.lock"; of a long path, the end. */
static void name_of(const char *place, char name[NAME_MAX])
{
	size_t len = strlen(place);
	const char *from =
			place + (len > NAME_LONGEST ? len - NAME_LONGEST : 0);
	snprintf(name, NAME_MAX, "repository-%s.lock", from);
	for (char *at = name; *at != '\0'; at++)
		if (*at == '/')
			*at = '!';
}

int run_lock_repository(const struct configuration_section *repository)
{
	const struct timespec nap = { .tv_nsec = POLL_NS };
	char name[NAME_MAX], path[PATH_MAX];
	bool waited = false;
	name_of(configuration_value(repository, "place"), name);
	CLEANUP_FD int fd = open_named(name, path);
	if (fd < 0)
		return fail_errno(fd, "can't make the lock file %s", path);
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return fail_errno(-errno, "locking %s", path);
		if (interrupt_flag)
			return fail(-ECANCELED, "ended before it began");
		if (!waited)
			report_verbose("another job is at work in %s; waiting",
					configuration_value(repository,
							"place"));
		waited = true;
		nanosleep(&nap, NULL);
	}
	return take_fd(&fd);
}
