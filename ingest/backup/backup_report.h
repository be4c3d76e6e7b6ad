/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A backup's final report: a row for each source, and the sums. */
#ifndef AMBERFS_INGEST_BACKUP_BACKUP_REPORT_H
#define AMBERFS_INGEST_BACKUP_BACKUP_REPORT_H

#include "backup_run.h"

/* The row of the source SOURCE (raw). ERR 0: its committed snapshot and the
 * outcome of each disk; else why it failed (this thread's text). A new
 * reference, or NULL without memory. */
json_t *backup_report_row(const struct backup_snapshot *snapshot,
		const char *source, int err);

/* Prints the report as the report options say, failures on stderr. The lanes
 * have ended. */
void backup_report_print(struct backup_run *run, double seconds);

#endif
