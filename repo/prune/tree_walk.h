/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A walk over trees that needs no more than a root's id: each node's own
 * header says its level and what it covers.
 */
#ifndef AMBERFS_PRUNE_TREE_WALK_H
#define AMBERFS_PRUNE_TREE_WALK_H

#include "repo/format/node.h"
#include "repo/pack/frame_cache.h"

/* Each function may be NULL; non-zero from node or chunk ends the walk with
 * it. */
struct tree_walk {
	struct pack_cache *packs;
	struct frame_cache *frames;
	/* True: pass over the node and all below it, unread. */
	bool (*skip)(void *ctx, const struct id *id);
	/* A node or leaf that could be read, before what is below it. */
	int (*node)(void *ctx, const struct id *id);
	/* Each data chunk of a leaf, in order. */
	int (*chunk)(void *ctx, const struct id *id);
	void *ctx;
	/* Grows by the bytes of the nodes that were read. */
	_Atomic uint64_t *read;
};

/* 0; -EBADMSG, -ENOENT, -EIO, -ENOMEM if a node can't be read; -ECANCELED. A
 * zero ROOT is an empty tree. */
int tree_walk(const struct tree_walk *walk, const struct id *root);

#endif
