/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The file stays: removing it could part those who wait from those who come. It
 * has the holder's process id and what it does, for people. The kernel frees the
 * lock when the holder ends. Children share the open file, so it is unlocked,
 * not only closed.
 */
#include "domain_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/base/lock_directory.h"
#include "repo/base/printable.h"
#include "repo/base/report.h"
#include "repo/base/units.h"

#define POLL_NS 200000000L
#define RECORD_MAX (DOMAIN_LOCK_TEXT_MAX + 32)

/* --- the file --- */

static int open_file(char path[LOCK_DIRECTORY_MAX], const char *uuid)
{
	char name[64];
	snprintf(name, sizeof(name), "%.36s.lock", uuid);
	CLEANUP_FD int directory = lock_directory_open(path);
	return directory < 0
			? directory
			: lock_directory_open_file(directory, name, O_CLOEXEC);
}

/* --- who has it --- */

static void put_record(int fd, const char *what)
{
	CLEANUP_FREE char *text = NULL;
	int len = asprintf(&text, "%ld\n%.*s\n", (long)getpid(),
			DOMAIN_LOCK_TEXT_MAX, what);
	if (len < 0)
		text = NULL;
	/* For people only. */
	if (text == NULL || ftruncate(fd, 0) < 0
			|| pwrite(fd, text, (size_t)len, 0) != len)
		report_verbose("noting the holder of a lock: %s",
				strerror(errno));
}

static int fail_busy(int fd)
{
	char record[RECORD_MAX + 1], shown[512];
	ssize_t n = pread(fd, record, RECORD_MAX, 0);
	record[n > 0 ? n : 0] = '\0';
	char *end, *newline;
	long pid = strtol(record, &end, 10);
	if (pid <= 0 || *end != '\n') /* it has only just locked it */
		return fail(-EBUSY, "it is busy with another amberfs");
	newline = strchr(++end, '\n');
	if (newline != NULL)
		*newline = '\0';
	return fail(-EBUSY, "it is busy with process %ld, %s", pid,
			printable(shown, sizeof(shown), end));
}

/* --- the lock --- */

static int wait_for_it(int fd, int64_t wait_seconds, bool *waited)
{
	double end = monotonic_now() + (double)wait_seconds;
	struct timespec nap = { .tv_nsec = POLL_NS };
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return fail_errno(-errno, "locking the domain");
		if (interrupt_flag)
			return fail(-ECANCELED, "interrupted");
		if (monotonic_now() >= end)
			return fail_busy(fd);
		if (!*waited && fail_busy(fd) < 0)
			report_verbose("%s; waiting for it to end",
					error_text(-EBUSY));
		*waited = true;
		nanosleep(&nap, NULL);
	}
	return 0;
}

int domain_lock_take(struct domain_lock *lock, const char *uuid,
		const char *what, int64_t wait_seconds, bool *waited)
{
	char path[LOCK_DIRECTORY_MAX];
	*lock = DOMAIN_LOCK_NONE;
	*waited = false;
	CLEANUP_FD int fd = open_file(path, uuid);
	if (fd < 0) {
		report_warning("two backups of one domain at once can't be "
			       "told apart, as no lock can be made in %s: %s",
				path, strerror(-fd));
		return 0;
	}
	int err = wait_for_it(fd, wait_seconds, waited);
	if (err < 0)
		return err;
	put_record(fd, what);
	lock->fd = take_fd(&fd);
	return 0;
}

void domain_lock_release(struct domain_lock *lock)
{
	if (lock->fd < 0)
		return;
	flock(lock->fd, LOCK_UN);
	close(lock->fd);
	*lock = DOMAIN_LOCK_NONE;
}
