/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Shared by the backups of running domains and of those that are shut off: what
 * is recorded of a disk along with its bytes. (For files of the whole domain see
 * domain_files.h; for what is not in the snapshot, left_out.h.)
 */
#ifndef AMBERFS_INGEST_BACKUP_DISK_RECORD_H
#define AMBERFS_INGEST_BACKUP_DISK_RECORD_H

#include "backup_run.h"
#include "domain_state.h"

#define DOMAIN_FILE_MODE 0600u /* of files that may hold secrets */

struct domain_run {
	const struct backup_options *options;
	const struct repository *repo;
	const struct backup_lane *lane;
	struct backup_snapshot *b;
	struct domain_state *domain;
	const char *display; /* the name, for messages */
};

/* After the disk could not be stored for ERR: the snapshot records it as missing,
 * with a warning, and goes on without it. Returns 0, or ERR where it can't. */
int disk_record_failed(struct domain_run *run, const struct disk_plan *plan,
		int err);

/* Notes it, with a warning, if the disk's images are damaged (AT_REST as in
 * image_check.h), or if they were when the disk was stored in BASE, which its
 * bytes were taken from in part or in full; NULL: all was read. 0 or -errno. */
int disk_record_check_image(struct domain_run *run,
		const struct disk_plan *plan, bool at_rest,
		const struct snapshot *base);

/* Before the commit: fails if disks are missing and none is there. */
int disk_record_check_any(const struct domain_run *run);

/* The name of the disk's file in the snapshot: "vda.raw". */
#define DISK_FILE_NAME_MAX 256
char *disk_record_name(char out[DISK_FILE_NAME_MAX],
		const struct disk_plan *plan);

/* Stores the output of qemu-img info for the disk's images. */
int disk_record_store_info(struct domain_run *run,
		const struct disk_plan *plan);

/* Warns that the disk is read in full, and why. */
void disk_record_say_full(struct domain_run *run, const char *target,
		const char *why);

#endif
