/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Backing up a disk whose domain is shut off. */
#ifndef AMBERFS_INGEST_COMMANDS_OFFLINE_DISK_H
#define AMBERFS_INGEST_COMMANDS_OFFLINE_DISK_H

#include "ingest/backup/disk_record.h"
#include "ingest/live/tracking.h"

/* Stores the disk and the output of qemu-img info. BASE: the snapshot that the
 * domain's bitmaps belong to. 0; -EBUSY: it changed while it was read;
 * -errno. */
int offline_disk_store(struct domain_run *run, const struct disk_plan *plan,
		const struct tracking_base *base);

#endif
