/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Getting a backup job to begin, with as little to read as possible. */
#ifndef AMBERFS_INGEST_LIVE_LIVE_BEGIN_H
#define AMBERFS_INGEST_LIVE_LIVE_BEGIN_H

#include "live_disk.h"
#include "live_job.h"
#include "tracking.h"

struct live_begin {
	struct live_job *job; /* for live_job_end, also after a failure */
	/* Made with the job; "": none. */
	char checkpoint[TRACKING_NAME_MAX];
};

/*
 * Begins the job over DISKS, those with a verdict.record from the checkpoint
 * TOKEN on. What libvirt refuses costs full reads (then the verdicts say so) or
 * the new checkpoint (then there is a line), and fails only if nothing goes.
 * Somebody else who came between is waited for, up to --wait.
 * 0; -EBUSY with who has it; -ENOENT it is not running any more; -errno.
 */
int live_begin(struct live_begin *begin, struct domain_run *run,
		struct disk_state *disks, unsigned count, const char *token);

#endif
