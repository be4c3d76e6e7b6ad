/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What this process has stored and the index does not know yet: the ids that
 * writers have claimed, and the finished packs on their way into the index, in
 * a few large batches. A claimed id stays known here until the index has its
 * pack, so that no two writers store the same chunk.
 *
 * An index that is locked or fails only delays that: the next session's
 * reconciliation finds the packs.
 *
 * Threading: all calls may run at once.
 */
#ifndef AMBERFS_PACK_INDEX_FEED_H
#define AMBERFS_PACK_INDEX_FEED_H

#include "repo/format/trailer.h"
#include "repo/index/index.h"

struct index_feed;

/* INDEX outlives the feed. NULL without memory. */
struct index_feed *index_feed_new(struct index *index);
void index_feed_free(struct index_feed *feed); /* NULL allowed */

/* True if a writer of this process has claimed ID. */
bool index_feed_knows(struct index_feed *feed, const struct id *id);
/* 1: the caller is the first and must store the chunk; 0: another one does;
 * -ENOMEM. */
int index_feed_claim(struct index_feed *feed, const struct id *id);
/* What was claimed is not stored after all. */
void index_feed_unclaim(struct index_feed *feed, const struct id *id);

/* A pack has become durable; TRAILER is only read. 0 or -ENOMEM. */
int index_feed_add(struct index_feed *feed, const struct trailer *trailer);
/* True if enough has gathered for a batch. */
bool index_feed_due(struct index_feed *feed);
/* Gives the index all that has gathered. */
void index_feed_run(struct index_feed *feed);

/* 0, or why the last batch could not be added to the index, with a text. */
int index_feed_error(struct index_feed *feed);

#endif
