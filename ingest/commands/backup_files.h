/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Backing up files and block devices by path, and a stream. */
#ifndef AMBERFS_INGEST_COMMANDS_BACKUP_FILES_H
#define AMBERFS_INGEST_COMMANDS_BACKUP_FILES_H

#include "ingest/backup/backup_run.h"

struct backup_files {
	const char *name;	  /* of the source */
	const char *const *paths; /* "-": standard input */
	int count;
	const char *stdin_name; /* of a stream, in the snapshot */
	char *const *command; /* NULL-terminated: the stream is its output, and
				   there are no paths; NULL: none */
	bool allow_empty;     /* a stream of no bytes is no failure */
};

/* Makes one snapshot. Fails if any path can't be read, or the command fails. Sets
 * the lane's row of the report. */
void backup_files(struct backup_lane *lane, const struct backup_files *files);

#endif
