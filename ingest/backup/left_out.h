/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a domain has and its snapshot has not: recorded in the snapshot, and
 * said. What can never be backed up is said once, when it is new; what the user
 * should do something about, each time.
 */
#ifndef AMBERFS_INGEST_BACKUP_LEFT_OUT_H
#define AMBERFS_INGEST_BACKUP_LEFT_OUT_H

#include "disk_record.h"

/* *LEFT_OUT: the disk is left out. 0 or -errno; -ENOTSUP: it can't be backed up,
 * though --disk names it. */
int left_out_disk(struct domain_run *run, const struct disk_plan *plan,
		bool *left_out);

/* What it has besides disks and the files of domain_files.h. */
int left_out_others(struct domain_run *run);

/* Records that WHAT can't be backed up, and says so if that is new. */
int left_out_note(struct domain_run *run, const char *what, const char *why);

#endif
