/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Preloaded into a program that uses libvirt: ends or stops it just before or
 * just after a given call, so that a test can try each instant at which a guest
 * is frozen or has a job.
 *
 *	SHIM_CALL	the call, such as virDomainBackupBegin; or recv, by
 *			which libnbd reads
 *	SHIM_ACT	before or after
 *	SHIM_SKIP	so many such calls pass first
 *	SHIM_SIGNAL	a number (default SIGKILL)
 *	SHIM_CALLS	a file that the name of each call is appended to
 *	SHIM_DONE	a file that is made when it is done: of several
 *			processes only the first one gets the signal
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <libvirt/libvirt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void note(const char *call)
{
	const char *path = getenv("SHIM_CALLS");
	int fd = path != NULL
			? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
					0600)
			: -1;
	if (fd < 0)
		return;
	dprintf(fd, "%s\n", call);
	close(fd);
}

static void reached(const char *call, const char *when)
{
	if (strcmp(when, "before") == 0)
		note(call);
	const char *wanted = getenv("SHIM_CALL"), *act = getenv("SHIM_ACT"),
		   *done = getenv("SHIM_DONE");
	if (wanted == NULL || act == NULL || done == NULL
			|| strcmp(wanted, call) != 0 || strcmp(act, when) != 0)
		return;
	static atomic_long passed;
	const char *skip = getenv("SHIM_SKIP");
	if (skip != NULL
			&& atomic_fetch_add(&passed, 1)
					< strtol(skip, NULL, 10))
		return;
	int fd = open(done, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	close(fd);
	const char *signal = getenv("SHIM_SIGNAL");
	kill(getpid(),
			signal != NULL ? (int)strtol(signal, NULL, 10)
				       : SIGKILL);
}

/* NOLINTBEGIN(bugprone-macro-parentheses): parameters bring their own */
#define CALL(type, name, parameters, arguments)                                \
	type name parameters                                                   \
	{                                                                      \
		type(*real) parameters;                                        \
		void *found = dlsym(RTLD_NEXT, #name);                         \
		memcpy(&real, &found, sizeof(real));                           \
		reached(#name, "before");                                      \
		type result = real arguments;                                  \
		reached(#name, "after");                                       \
		return result;                                                 \
	}
/* NOLINTEND(bugprone-macro-parentheses) */

CALL(int, virDomainFSFreeze,
		(virDomainPtr domain, const char **mountpoints, unsigned count,
				unsigned flags),
		(domain, mountpoints, count, flags))
CALL(int, virDomainGetTime,
		(virDomainPtr domain, long long *seconds, unsigned *nseconds,
				unsigned flags),
		(domain, seconds, nseconds, flags))
CALL(int, virDomainFSThaw,
		(virDomainPtr domain, const char **mountpoints, unsigned count,
				unsigned flags),
		(domain, mountpoints, count, flags))
CALL(int, virDomainBackupBegin,
		(virDomainPtr domain, const char *backup,
				const char *checkpoint, unsigned flags),
		(domain, backup, checkpoint, flags))
CALL(int, virDomainAbortJob, (virDomainPtr domain), (domain))
CALL(int, virDomainAbortJobFlags, (virDomainPtr domain, unsigned flags),
		(domain, flags))
CALL(int, virDomainCheckpointDelete,
		(virDomainCheckpointPtr checkpoint, unsigned flags),
		(checkpoint, flags))
CALL(ssize_t, recv, (int fd, void *buf, size_t size, int flags),
		(fd, buf, size, flags))
