/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The thread that looks after a mount: it finishes mounting once the kernel has
 * answered, adds new names and removes forgotten ones, maintains the published
 * roots, and ends the mount on SIGTERM, SIGINT or SIGHUP.
 */
#ifndef AMBERFS_FS_HOUSEKEEPING_H
#define AMBERFS_FS_HOUSEKEEPING_H

#include "operations.h"

struct housekeeping;

struct housekeeping_job {
	struct fuse_session *session;
	struct filesystem *fs;
	const char *mountpoint;
	/* Called once, when files can be read. */
	void (*ready)(void *ctx);
	void *ready_ctx;
};

/* Blocks the signals that end a mount, in this thread and in those it makes
 * from now on, so that only the keeper gets them. */
void housekeeping_block_signals(void);

/* To be called by the thread that will run fuse_session_loop_mt, after the
 * mount. 0 or -errno. */
int housekeeping_start(struct housekeeping **out,
		const struct housekeeping_job *job);

/* The kernel's first request is being answered. Any thread. */
void housekeeping_started(struct housekeeping *housekeeping);

/* After the loop has ended: waits for the thread. NULL allowed. */
void housekeeping_stop(struct housekeeping *housekeeping);

#endif
