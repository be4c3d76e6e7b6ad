/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Waits until nobody else is working on a running domain. */
#ifndef AMBERFS_INGEST_LIVE_LIVE_SETTLE_H
#define AMBERFS_INGEST_LIVE_LIVE_SETTLE_H

#include "ingest/backup/backup_options.h"
#include "ingest/backup/domain_state.h"

/*
 * Cleans up after dead runs of ours on this host, then waits, up to --wait, for
 * whoever is using the domain. *WAITED: what was known about the domain may be
 * out of date. 0; -EBUSY: the text says who; -ECANCELED; -EIO.
 */
int live_settle_wait(struct domain_state *state,
		const struct backup_options *options, bool *waited);

/* ERR, with a note on --wait added to the text. */
int live_settle_busy(const struct backup_options *options, int err);

#endif
