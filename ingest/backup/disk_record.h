/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the backups of running domains and of those that are shut off share:
 * which disks are left out, and what is stored beside a disk's bytes. (What
 * belongs to the whole domain: domain_files.h.)
 */
#ifndef AMBERFS_INGEST_BACKUP_DISK_RECORD_H
#define AMBERFS_INGEST_BACKUP_DISK_RECORD_H

#include "backup_run.h"
#include "domain_state.h"

#define DOMAIN_FILE_MODE 0600u /* of what may hold secrets */

struct domain_run {
	const struct backup_options *options;
	const struct repository *repo;
	const struct backup_lane *lane;
	struct backup_snapshot *b;
	struct domain_state *domain;
	const char *display; /* the name, for messages */
};

/* True if the disk is left out; the snapshot then records why, and if that is
 * somebody's to put right, there is a line. 0 or -errno. */
int disk_record_leave_out(struct domain_run *run, const struct disk_plan *plan,
		bool *out);

/* What the disk's file is called in the snapshot: "vda.raw". */
#define DISK_FILE_NAME_MAX 256
char *disk_record_name(char out[DISK_FILE_NAME_MAX],
		const struct disk_plan *plan);

/* What qemu-img info says of the disk's images. */
int disk_record_store_info(struct domain_run *run,
		const struct disk_plan *plan);

/* One line: the disk is read in full, and why. */
void disk_record_say_full(struct domain_run *run, const char *target,
		const char *why);

#endif
