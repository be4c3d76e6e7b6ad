/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Backing up one domain that runs or is paused. */
#ifndef AMBERFS_INGEST_LIVE_LIVE_BACKUP_H
#define AMBERFS_INGEST_LIVE_LIVE_BACKUP_H

#include "ingest/backup/disk_record.h"

/*
 * Backs it up into RUN's current snapshot, and commits it. Afterwards no job or
 * scratch file of ours is left, and no checkpoint but the snapshot's (or, after
 * a failure, the last one's). 0; -EBUSY: somebody else is using the domain;
 * -errno.
 */
int live_backup(struct domain_run *run);

#endif
