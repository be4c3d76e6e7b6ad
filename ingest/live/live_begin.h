/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Starting a backup job with as little to read as possible. */
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
 * Begins the job for DISKS, incrementally since the checkpoint TOKEN for those
 * with a verdict.record. If libvirt refuses, disks are read in full (the
 * verdicts say so) or no checkpoint is made (with a warning); fails only if
 * nothing works. Waits up to --wait if somebody else has started a job. 0;
 * -EBUSY: the text says who; -ENOENT: it is not running any more; -errno.
 */
int live_begin(struct live_begin *begin, struct domain_run *run,
		struct disk_state *disks, unsigned count, const char *token);

#endif
