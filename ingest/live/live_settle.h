/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Before a running domain is looked at: nobody else is at work on it. */
#ifndef AMBERFS_INGEST_LIVE_LIVE_SETTLE_H
#define AMBERFS_INGEST_LIVE_LIVE_SETTLE_H

#include "ingest/backup/backup_options.h"
#include "ingest/backup/domain_state.h"

/*
 * Ends what dead runs of ours left on this host, then waits, up to --wait, for
 * whoever has the domain. *WAITED: so long that all that was known of the
 * domain may be out of date. 0; -EBUSY with who has it; -ECANCELED; -EIO.
 */
int live_settle_wait(struct domain_state *state,
		const struct backup_options *options, bool *waited);

/* ERR, with how --wait would have helped, or did not. */
int live_settle_busy(const struct backup_options *options, int err);

#endif
