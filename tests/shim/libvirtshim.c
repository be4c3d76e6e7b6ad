/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Preloaded into a program that uses libvirt: ends or stops it just before or
 * just after a given call, so that a test can try each instant at which a guest
 * is frozen or has a job.
 *
 *	SHIM_CALL	the call, such as virDomainBackupBegin
 *	SHIM_ACT	before or after
 *	SHIM_SIGNAL	a number (default SIGKILL)
 *	SHIM_DONE	a file that is made when it is done: of several
 *			processes only the first one gets the signal
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <libvirt/libvirt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void reached(const char *call, const char *when)
{
	const char *wanted = getenv("SHIM_CALL"), *act = getenv("SHIM_ACT"),
		   *done = getenv("SHIM_DONE");
	if (wanted == NULL || act == NULL || done == NULL
			|| strcmp(wanted, call) != 0 || strcmp(act, when) != 0)
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
#define CALL(name, parameters, arguments)                                      \
	int name parameters                                                    \
	{                                                                      \
		int(*real) parameters;                                         \
		void *found = dlsym(RTLD_NEXT, #name);                         \
		memcpy(&real, &found, sizeof(real));                           \
		reached(#name, "before");                                      \
		int result = real arguments;                                   \
		reached(#name, "after");                                       \
		return result;                                                 \
	}
/* NOLINTEND(bugprone-macro-parentheses) */

CALL(virDomainFSFreeze,
		(virDomainPtr domain, const char **mountpoints, unsigned count,
				unsigned flags),
		(domain, mountpoints, count, flags))
CALL(virDomainFSThaw,
		(virDomainPtr domain, const char **mountpoints, unsigned count,
				unsigned flags),
		(domain, mountpoints, count, flags))
CALL(virDomainBackupBegin,
		(virDomainPtr domain, const char *backup,
				const char *checkpoint, unsigned flags),
		(domain, backup, checkpoint, flags))
CALL(virDomainAbortJob, (virDomainPtr domain), (domain))
CALL(virDomainAbortJobFlags, (virDomainPtr domain, unsigned flags),
		(domain, flags))
CALL(virDomainCheckpointDelete,
		(virDomainCheckpointPtr checkpoint, unsigned flags),
		(checkpoint, flags))
