/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One disk of a running domain on its way into the snapshot. */
#ifndef AMBERFS_INGEST_LIVE_LIVE_DISK_H
#define AMBERFS_INGEST_LIVE_LIVE_DISK_H

#include "ingest/backup/disk_record.h"
#include "live_job.h"
#include "tracking.h"

struct disk_state {
	const struct disk_plan *plan;
	struct file_identity *identities; /* of its chain, for the record */
	uint32_t identity_count;
	char *reading;
	const char *cannot; /* as tracking_cannot; NULL: tracked from now on */
	struct tracking_verdict verdict; /* .record: read incrementally */
};

/*
 * Records the disk's files before the job: the backing files must be the same
 * at the next backup. 0 or -errno.
 */
int live_disk_note(struct disk_state *disk, const struct disk_plan *plan);
void live_disk_clear(struct disk_state *disk);

/* It will be read in full, for this reason. */
void live_disk_demote(struct disk_state *disk, const char *why);

/*
 * Reads it from JOB's export into the snapshot. CHECKPOINT: the one made
 * with the job, or NULL. A bitmap that is found to be wrong causes an error
 * message and a full read. 0 or -errno.
 */
int live_disk_store(struct domain_run *run, struct disk_state *disk,
		struct live_job *job, const char *checkpoint);

/* The safeguard of every incremental read, also of a disk at rest: if SOURCE's
 * clean ranges differ from the record, reports it and demotes the disk.
 * 0 or -errno. */
int live_disk_check(struct domain_run *run, struct disk_state *disk,
		const struct image_source *source);

#endif
