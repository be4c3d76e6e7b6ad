/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The watchdog of one running domain's backup: a process of its own, in its own
 * session, with its own connection to libvirt, that knows how far the backup
 * is. It
 *
 *	- thaws the guest if it stays frozen for too long, because we are
 *	  stopped, stuck or just slow;
 *	- ends the job before the scratch files fill their filesystem, as qemu
 *	  would then fail the guest's writes;
 *	- cuts off the readers of the job before it ends it, and whenever qemu
 *	  no longer answers (readers.h says why);
 *	- when we die: thaws the guest, ends the job, removes the directory.
 *
 * It holds no open file of ours, and none of the repository's locks.
 *
 * Threading: one thread per watchdog.
 */
#ifndef AMBERFS_INGEST_LIVE_WATCHDOG_H
#define AMBERFS_INGEST_LIVE_WATCHDOG_H

#include <sys/types.h>

#include "scratch.h"

/* How long the guest's agent may take to freeze, and how long libvirt may then
 * take to start the job, in seconds. */
#define WATCHDOG_FREEZE_SECONDS 20
#define WATCHDOG_FROZEN_SECONDS 8

struct watchdog;

/* Returns when the watchdog is ready. 0, -EIO, -ENOMEM. */
int watchdog_start(struct watchdog **out, const struct scratch *scratch,
		const struct scratch_state *state);

/* Tells it what happens next. -EPIPE: the watchdog is gone. */
int watchdog_freezing(
		struct watchdog *watchdog); /* the guest is told to freeze */
int watchdog_beginning(
		struct watchdog *watchdog); /* libvirt is told to begin */
/* The guest has been thawed, or was not frozen. *LATE: the watchdog had thawed
 * it already. */
int watchdog_thawed(struct watchdog *watchdog, bool *late);
/* The job runs and serves EXPORT. Waits until the watchdog is connected. */
int watchdog_running(struct watchdog *watchdog, const char *export);
int watchdog_stopping(struct watchdog *watchdog); /* we end the job */
int watchdog_stopped(struct watchdog *watchdog);  /* the job is gone */

/* A connection to the job's exports, before it is used, and the process group
 * of a hook that runs (0: none). */
int watchdog_connection(struct watchdog *watchdog, int socket);
int watchdog_hook(struct watchdog *watchdog, pid_t group);

enum watchdog_finding {
	WATCHDOG_FOUND_NOTHING,
	WATCHDOG_FOUND_FULL,	/* it has ended the job: space ran out */
	WATCHDOG_FOUND_STALLED, /* it has cut off the readers */
	WATCHDOG_FOUND_ENDED,	/* so it has, as somebody ends the job */
};
enum watchdog_finding watchdog_finding(struct watchdog *watchdog);

/* Dismisses it, after all else is undone. NULL allowed. */
void watchdog_dismiss(struct watchdog *watchdog);

/* The hidden command that the watchdog runs: `amberfs-ingest live-guard`. */
int watchdog_process_main(int argc, char **argv);
#define WATCHDOG_COMMAND "live-guard"

#endif
