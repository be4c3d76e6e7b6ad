/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Packs about to be deleted, and the epochs by which sessions learn of them
 * (FORMAT.md, section 12): prune condemns packs, then announces an epoch; a
 * writing session that sees a new epoch lists the condemned again and
 * acknowledges it in its record.
 */
#ifndef AMBERFS_SESSION_CONDEMNED_H
#define AMBERFS_SESSION_CONDEMNED_H

#include "repo/repository/repository.h"

/* Puts condemned/PACK of COUNT packs, durably; those that exist stay. It is
 * never undone: the pack can only be deleted. */
int condemned_add(struct repository *repo, const struct pack_id *packs,
		size_t count);
/* Deletes the object, after the pack is gone durably; durable itself only after
 * condemned_sync. 0 also where it is gone. */
int condemned_clear(struct repository *repo, const struct pack_id *pack);
int condemned_sync(struct repository *repo);
/* All that are listed now, sorted by id; *OUT is malloc'ed. */
int condemned_list(struct repository *repo, struct pack_id **out,
		size_t *count);

/* The highest epoch, 0 if there is none. */
int condemned_latest_epoch(struct repository *repo, uint64_t *epoch);
/* Announces a new epoch, above LEAST (the highest that a living session has
 * acknowledged) and above all there are; older ones are deleted then. To be
 * called when all condemned objects are durable. */
int condemned_announce_epoch(struct repository *repo, uint64_t least,
		uint64_t *epoch);

#endif
