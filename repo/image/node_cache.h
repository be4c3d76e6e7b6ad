/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Decoded tree nodes in memory, by id: leaves and inner nodes, dropped in the
 * order of their last use beyond a bound in bytes.
 * Threading: all calls may run at once.
 */
#ifndef AMBERFS_IMAGE_NODE_CACHE_H
#define AMBERFS_IMAGE_NODE_CACHE_H

#include "repo/format/leaf.h"
#include "repo/pack/chunk_read.h"

struct node_cache;

/* Counted: node_cache_release. Exactly one of the two is set. */
struct cached_node {
	struct leaf *leaf;
	struct node *node;
	/* the rest belongs to node_cache.c */
	struct node_cache *owner;
	struct id id;
	size_t bytes;
	unsigned refs;
	bool cached;
	struct cached_node *next, *newer, *older;
};

struct node_cache *node_cache_new(struct pack_cache *packs,
		struct frame_cache *frames, size_t bytes_max);
void node_cache_free(struct node_cache *cache); /* NULL allowed */

/* The leaf ID that must cover SPAN_LEN bytes. 0, or as chunk_read. */
int node_cache_leaf(struct node_cache *cache, const struct id *id,
		uint32_t span_len, struct cached_node **out);
/* The node ID that must have LEVEL (> 0) and cover SPANS spans. */
int node_cache_node(struct node_cache *cache, const struct id *id,
		uint8_t level, uint64_t spans, struct cached_node **out);
void node_cache_release(struct cached_node *node); /* NULL allowed */

#endif
