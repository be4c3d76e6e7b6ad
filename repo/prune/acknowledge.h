/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Waiting until every session that writes has acknowledged an epoch. */
#ifndef AMBERFS_PRUNE_ACKNOWLEDGE_H
#define AMBERFS_PRUNE_ACKNOWLEDGE_H

#include "peers.h"

/* Announces an epoch that is above all that living sessions have answered.
 * All condemned objects must be durable. */
int acknowledge_announce(struct repository *repo, const char *own_id,
		uint64_t *epoch);

/* True if PEER need not be waited for: it has answered EPOCH, or never finds
 * chunks in packs. */
bool acknowledge_answered(const struct peer *peer, uint64_t epoch);

/* Waits up to SECONDS for the answers to EPOCH, then sets *ALL; OUT gets the
 * living sessions with what they hold (peers_clear). */
int acknowledge_wait(struct repository *repo, const char *own_id,
		uint64_t epoch, double seconds, struct peers *out, bool *all);

/* True if PEER has found chunks in the condemned PACK. */
bool acknowledge_holds(const struct peer *peer, const struct pack_id *pack);

#endif
