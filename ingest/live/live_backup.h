/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Backing up one domain that runs or is paused. */
#ifndef AMBERFS_INGEST_LIVE_LIVE_BACKUP_H
#define AMBERFS_INGEST_LIVE_LIVE_BACKUP_H

#include "ingest/backup/disk_record.h"

/*
 * Into RUN's snapshot under way, and commits it. Afterwards no job, no scratch
 * file and no checkpoint of ours is left but the snapshot's (or, after a
 * failure, the last one's). 0; -EBUSY somebody else has the domain; -errno.
 */
int live_backup(struct domain_run *run);

#endif
