/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Backing up files and block devices by path, and a stream. */
#ifndef AMBERFS_INGEST_COMMANDS_BACKUP_FILES_H
#define AMBERFS_INGEST_COMMANDS_BACKUP_FILES_H

#include "ingest/backup/backup_run.h"

/* Makes one snapshot of source NAME from all PATHS ("-": standard input, stored
 * as STDIN_NAME). Fails if any path can't be read. Sets the lane's row of the
 * report. */
void backup_files(struct backup_lane *lane, const char *name,
		const char *const *paths, int count, const char *stdin_name);

#endif
