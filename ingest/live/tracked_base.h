/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The snapshot that an incremental backup is based on. */
#ifndef AMBERFS_INGEST_LIVE_TRACKED_BASE_H
#define AMBERFS_INGEST_LIVE_TRACKED_BASE_H

#include "ingest/backup/backup_run.h"
#include "tracking.h"

struct tracked_base {
	struct tracking_base base;
	/* Some snapshot of the source could not be read: a checkpoint may
	 * belong to it. */
	bool unread;
	/* Set if it is not the last snapshot. */
	struct snapshot *own;
	struct id *roots;
	uint32_t root_count;
};

/*
 * The newest snapshot of SNAPSHOT's source that is of the domain UUID and has a
 * checkpoint of ours; its roots are published. SEARCH: there are signs of such
 * checkpoints, so search further back than the last snapshot. Sets
 * BASE->base.none if the reason is known here. 0 (also if there is none) or
 * -errno.
 */
int tracked_base_find(struct tracked_base *base,
		struct backup_snapshot *snapshot, const char *uuid,
		bool search);
void tracked_base_clear(struct tracked_base *base,
		struct backup_snapshot *snapshot);

/* Reads the snapshot's file NAME, at most MAX bytes, as text. To free. 0;
 * -ENOENT: no such file; -EFBIG; -EBADMSG; -errno. */
int tracked_base_read(struct tracked_base *base,
		struct backup_snapshot *snapshot, const char *name, size_t max,
		char **text);

#endif
