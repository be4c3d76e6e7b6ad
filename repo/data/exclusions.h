/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What writers must not count as stored: condemned packs (prune deletes them)
 * and damaged frames (found unreadable). Read from condemned/ and damaged/;
 * damage that this process finds is added and recorded there.
 * Threading: all calls may run at once.
 */
#ifndef AMBERFS_DATA_EXCLUSIONS_H
#define AMBERFS_DATA_EXCLUSIONS_H

#include "../format/trailer.h"
#include "../store/store.h"

struct exclusions;

struct exclusions *exclusions_new(struct store *store, const struct seal *seal,
		const uint8_t *repo_id);
void exclusions_free(struct exclusions *x); /* NULL allowed */

/* Lists both anew. 0 or -errno. */
int exclusions_load(struct exclusions *x);

bool exclusions_condemned(struct exclusions *x, const struct pack_id *pack);
bool exclusions_damaged(struct exclusions *x, const struct pack_id *pack,
		uint32_t frame);
bool exclusions_any_damaged(struct exclusions *x);

/* Remembers, and records durably where the repository can be written, that
 * FRAME of PACK can't be read (TRAILER_AD: the pack's trailer). Once each. */
void exclusions_add_damaged(struct exclusions *x, const struct pack_id *pack,
		uint32_t frame);

/* The same for a chunk that is in no pack any more: recorded under the pack id
 * of zeros, as nobody knows which pack is lost. From then on writers check of
 * all that they take over unread whether it is stored. */
void exclusions_add_missing(struct exclusions *x);

#endif
