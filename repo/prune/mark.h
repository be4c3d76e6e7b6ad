/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is live: everything that can be reached from the snapshots, then from
 * the roots of living sessions, then from snapshots that appeared meanwhile.
 * And which copy of it counts: one per chunk, by an order of packs that
 * favours those that stay.
 *
 * Memory: 20 bytes per live chunk or node (live_set.h), within a bound: beyond it
 * the ids are dealt with in 2, 4, 8 … slices, each with a walk over the trees
 * and a pass over the trailers of its own. On top of it 20 bytes per tree node,
 * which is remembered until the end; 1 bit per stored chunk; 36 bytes per
 * root; one chunk index (a trailer, at most 4 MB) and the caches of packs and
 * frames. So a million live chunks take 20 MB + 0.14 MB + 20 bytes per node.
 */
#ifndef AMBERFS_PRUNE_MARK_H
#define AMBERFS_PRUNE_MARK_H

#include "live_set.h"
#include "stored.h"
#include "tree_walk.h"

/* To be zeroed, then filled where it says so, then mark_live. */
struct mark {
	struct repository *repo; /* given */
	const char *own_id;	 /* given: our session */
	struct stored *stored;	 /* given: listed */
	uint64_t memory;	 /* given: for the live ids, bytes */
	double wait;		 /* given: for unreadable records, s */
	/* Found: */
	struct live_set *nodes; /* seen so far */
	struct id *roots;	/* in the order of their walks */
	size_t root_count, root_room;
	uint64_t snapshots, live, missing, unreadable_packs;
	unsigned slices;
	uint64_t memory_used;	   /* the most at once */
	char blind[PEER_TEXT_MAX]; /* a living session that can't be read:
					   nothing may be deleted; or "" */
	/* For a progress bar: bytes. */
	_Atomic uint64_t done, total;
	/* Own: */
	struct frame_cache *frames;
	uint64_t tree_bytes; /* of all nodes */
	bool turned;	     /* the nodes' flag that means visited */
};

/* Marks, and fills in the live parts of mark->stored. 0; -EBADMSG, -ENOENT or
 * -EIO with a text for people if a snapshot or node can't be read: then nothing
 * may be deleted; -ENOMEM; -ECANCELED. */
int mark_live(struct mark *mark);

/* What a walk tells: each node and each chunk once it is found, nodes before
 * what is below them. */
struct mark_visitor {
	int (*node)(void *ctx, const struct id *id);
	int (*chunk)(void *ctx, const struct id *id);
	void *ctx;
};

/* Visits again all that mark_live visited, each node once, newest snapshots
 * first, what only sessions need last. */
int mark_revisit(struct mark *mark, const struct mark_visitor *visitor);

/* Visits what is new since: roots of snapshots and of living sessions whose
 * nodes were not seen before, until there are none. To be called while we are
 * announced as marking (marking.h). As mark_live; -ESTALE: it changes faster
 * than it can be visited. */
int mark_unseen(struct mark *mark, const struct mark_visitor *visitor);

void mark_clear(struct mark *mark);

#endif
