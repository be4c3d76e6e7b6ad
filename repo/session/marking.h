/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A barrier between prune's last mark and deleting snapshots (FORMAT.md,
 * section 12). A mark reads one place after another: without the barrier a
 * chunk could hop from a session's root into a new snapshot, from there to
 * another session's root as that snapshot is forgotten, and be in neither place
 * when the mark looks there. So no snapshot that appears during the mark may be
 * deleted before it ends.
 */
#ifndef AMBERFS_SESSION_MARKING_H
#define AMBERFS_SESSION_MARKING_H

#include "session.h"

/* Announces, durably, that SESSION is marking; to be called before the mark's first
 * listing. */
int marking_begin(struct session *session);
/* After its last. 0 also where nothing was announced. */
int marking_end(struct session *session);

/* Returns once no living session is marking. To be called after the snapshots
 * to be deleted were found, before the first is deleted. -EBUSY after a minute:
 * the text names the process that marks. -ECANCELED: interrupted. */
int marking_wait(struct repository *repo);

#endif
