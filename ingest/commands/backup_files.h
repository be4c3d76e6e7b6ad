/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Backing up files and block devices by path, and a stream. */
#ifndef AMBERFS_INGEST_COMMANDS_BACKUP_FILES_H
#define AMBERFS_INGEST_COMMANDS_BACKUP_FILES_H

#include "ingest/backup/backup_run.h"

/* One snapshot of source NAME with all PATHS ("-": standard input, as a file
 * named STDIN_NAME). A path that can't be read fails the snapshot. Sets the
 * lane's row of the report. */
void backup_files(struct backup_lane *lane, const char *name,
		const char *const *paths, int count, const char *stdin_name);

/* One file byte for byte into a snapshot under way: unread if unchanged. F's
 * identities are filled in here; its mtime, if INT64_MIN, and then its mode,
 * if 0, are the file's. */
int backup_path(struct backup_snapshot *b, const char *path,
		struct backup_file *f);

/* What PATH measures in bytes, for the progress bar; 0: unknown. */
uint64_t backup_path_size(const char *path);

#endif
