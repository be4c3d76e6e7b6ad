/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Taking away what amberfs keeps in libvirt and in images between backups. */
#ifndef AMBERFS_INGEST_LIVE_CHECKPOINT_REMOVAL_H
#define AMBERFS_INGEST_LIVE_CHECKPOINT_REMOVAL_H

#include "ingest/backup/domain_state.h"

struct checkpoint_removal {
	unsigned checkpoints; /* of libvirt */
	unsigned bitmaps;     /* in images, of which it had none */
};

/*
 * Removes all checkpoints of amberfs and their bitmaps, of whatever repository,
 * from a domain that the caller has locked (domain_lock.h), running or not. The
 * next backup reads all. *OUT is set on errors, too: 0, or the first -errno,
 * after the rest was tried.
 */
int checkpoint_removal_run(struct connection *conn, const char *uuid,
		struct checkpoint_removal *out);

#endif
