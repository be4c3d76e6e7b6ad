/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Backing up one file or block device by its path. */
#ifndef AMBERFS_INGEST_BACKUP_BACKUP_PATH_H
#define AMBERFS_INGEST_BACKUP_BACKUP_PATH_H

#include "backup_run.h"

/* Stores one file byte for byte in a snapshot; takes it over unread if it is
 * unchanged. Fills in FILE's identities, its mtime if INT64_MIN, and then its
 * mode if 0. */
int backup_path(struct backup_snapshot *snapshot, const char *path,
		struct backup_file *file);

/* The size of PATH in bytes, for the progress bar; 0: unknown. */
uint64_t backup_path_size(const char *path);

#endif
