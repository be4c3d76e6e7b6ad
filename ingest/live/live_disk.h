/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One disk of a running domain on its way into the snapshot. */
#ifndef AMBERFS_INGEST_LIVE_LIVE_DISK_H
#define AMBERFS_INGEST_LIVE_LIVE_DISK_H

#include "ingest/backup/disk_record.h"
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
 * Notes what the disk is, before the job: the files below the image must be the
 * same when the next backup looks. 0 or -errno.
 */
int live_disk_note(struct disk_state *disk, const struct disk_plan *plan);
void live_disk_clear(struct disk_state *disk);

/* From now on it is to be read in full, for this reason. */
void live_disk_demote(struct disk_state *disk, const char *why);

/*
 * Reads it from the job's SOCKET into the snapshot. CHECKPOINT: the one that
 * was made with the job, or NULL. A bitmap that does not tell the truth, as far
 * as that is looked at, costs a line and a full read. 0 or -errno.
 */
int live_disk_store(struct domain_run *run, struct disk_state *disk,
		const char *socket, const char *checkpoint);

/* The net under every incremental read, also of a disk at rest: if SOURCE's
 * clean ranges are not those of the record, says so and demotes the disk.
 * 0 or -errno. */
int live_disk_check(struct domain_run *run, struct disk_state *disk,
		const struct image_source *source);

#endif
