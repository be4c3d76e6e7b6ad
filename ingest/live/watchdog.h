/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The guard of one running domain's backup: a process of its own, in its own
 * session, with its own connection to libvirt, that knows how far the backup
 * is. It
 *
 *	- thaws the guest if it stays frozen longer than it may, be we stopped,
 *	  stuck or just slow;
 *	- ends the job before the scratch files fill their filesystem, for qemu
 *	  would then fail the guest's writes;
 *	- when we die: thaws the guest, ends the job, removes the folder.
 *
 * It holds no file of ours, and none of the repository's locks.
 *
 * Threading: one thread per guard.
 */
#ifndef AMBERFS_INGEST_LIVE_WATCHDOG_H
#define AMBERFS_INGEST_LIVE_WATCHDOG_H

#include "scratch.h"

/* How long the guest's agent may take to freeze, and how long libvirt may then
 * take to start the job, in seconds. */
#define GUARD_FREEZE_SECONDS 20
#define GUARD_FROZEN_SECONDS 8

struct guard;

/* Returns when the guard is ready. 0, -EIO, -ENOMEM. */
int guard_start(struct guard **out, const struct scratch *scratch,
		const struct scratch_state *state);

/* What happens next. -EPIPE: there is no guard any more. */
int guard_freezing(struct guard *g);	/* the guest is told to freeze */
int guard_beginning(struct guard *g);	/* libvirt is told to begin */
/* The guest has been thawed, or was not frozen. *LATE: the guard has done it
 * before. */
int guard_thawed(struct guard *g, bool *late);
int guard_running(struct guard *g);	/* the job runs */
int guard_stopped(struct guard *g);	/* the job is gone */

/* Whether it has ended the job for want of space. */
bool guard_was_full(struct guard *g);

/* Lets it go, after all else is undone. NULL allowed. */
void guard_dismiss(struct guard *g);

/* The hidden command that a guard is: `amberfs-ingest live-guard`. */
int guard_main(int argc, char **argv);
#define GUARD_COMMAND "live-guard"

#endif
