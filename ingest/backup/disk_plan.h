/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether and how one disk of a domain can be backed up. Does not consider the
 * domain's state: the files must be at rest for the result to be right.
 */
#ifndef AMBERFS_INGEST_BACKUP_DISK_PLAN_H
#define AMBERFS_INGEST_BACKUP_DISK_PLAN_H

#include "ingest/libvirt/chain.h"

struct disk_plan {
	const struct domain_disk *disk; /* of the parsed XML, borrowed */
	const char *target;		/* the disk's */
	bool empty;	     /* a drive without a medium: nothing to store */
	bool removable;	     /* cdrom or floppy: its medium is not the
				   domain's own and is left out */
	bool unsupported;    /* WHY_NOT holds every night, by its kind; else
				   something is wrong */
	char *why_not;	     /* its content can't be read; NULL: it can */
	char *why_not_exact; /* its files can't be stored byte for byte;
				   NULL: they can */
	bool plain;	     /* read chain.files[0].path directly, else
				   through nbd_source.h */
	struct chain chain;  /* as far as it could be followed */
};

/* 0 (also if it can't be backed up), or -ENOMEM. FLAGS: enum chain_flags. */
int disk_plan_make(struct disk_plan *plan, const struct domain_disk *disk,
		struct connection *conn, unsigned flags);
void disk_plan_clear(struct disk_plan *plan);

#endif
