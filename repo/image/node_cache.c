/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A chained hash and one list by last use under one mutex. Two threads that
 * miss the same node both decode it (their frame is decoded once); the second
 * finds the first's. The frame of a node is authenticated, so the node is not
 * hashed again; what it claims is checked against its place in the tree.
 */
#include "node_cache.h"

#include <stdlib.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"
#include "repo/pack/id_hash.h"

#define BUCKETS 1024u

struct node_cache {
	struct pack_cache *packs;
	struct frame_cache *frames;
	size_t bytes_max;
	pthread_mutex_t mutex;
	struct cached_node *buckets[BUCKETS] GUARDED_BY(mutex);
	struct cached_node *newest GUARDED_BY(mutex);
	struct cached_node *oldest GUARDED_BY(mutex);
	size_t bytes GUARDED_BY(mutex);
};

struct node_cache *node_cache_new(struct pack_cache *packs,
		struct frame_cache *frames, size_t bytes_max)
{
	struct node_cache *cache = calloc(1, sizeof(*cache));
	if (cache == NULL)
		return NULL;
	cache->packs = packs;
	cache->frames = frames;
	cache->bytes_max = bytes_max;
	pthread_mutex_init(&cache->mutex, NULL);
	return cache;
}

static void node_destroy(struct cached_node *node)
{
	free(node->leaf);
	free(node->node);
	free(node);
}

void node_cache_free(struct node_cache *cache)
{
	if (cache == NULL)
		return;
	not_shared(&cache->mutex);
	while (cache->newest != NULL) {
		struct cached_node *node = cache->newest;
		cache->newest = node->older;
		node_destroy(node);
	}
	pthread_mutex_destroy(&cache->mutex);
	free(cache);
}

static struct cached_node **bucket_of(struct node_cache *cache,
		const struct id *id)
{
	return &cache->buckets[id_hash(id) % BUCKETS];
}

static void list_remove(struct node_cache *cache, struct cached_node *node)
		REQUIRES(cache->mutex)
{
	*(node->newer != NULL ? &node->newer->older : &cache->newest) =
			node->older;
	*(node->older != NULL ? &node->older->newer : &cache->oldest) =
			node->newer;
	node->newer = node->older = NULL;
}

static void list_push(struct node_cache *cache, struct cached_node *node)
		REQUIRES(cache->mutex)
{
	node->older = cache->newest;
	node->newer = NULL;
	*(cache->newest != NULL ? &cache->newest->newer : &cache->oldest) =
			node;
	cache->newest = node;
}

static void evict(struct node_cache *cache, struct cached_node *node)
		REQUIRES(cache->mutex)
{
	struct cached_node **at = bucket_of(cache, &node->id);
	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	list_remove(cache, node);
	cache->bytes -= node->bytes;
	node->cached = false;
	if (node->refs == 0)
		node_destroy(node);
}

static struct cached_node *lookup(struct node_cache *cache, const struct id *id)
{
	LOCK_SCOPE(&cache->mutex);
	struct cached_node *node = *bucket_of(cache, id);
	while (node != NULL && !id_equal(&node->id, id))
		node = node->next;
	if (node == NULL)
		return NULL;
	node->refs++;
	if (cache->newest != node) {
		list_remove(cache, node);
		list_push(cache, node);
	}
	return node;
}

/* Takes FRESH; the result carries a reference. */
static struct cached_node *insert(struct node_cache *cache,
		struct cached_node *fresh)
{
	struct cached_node *there = lookup(cache, &fresh->id);
	if (there != NULL) {
		node_destroy(fresh);
		return there;
	}
	LOCK_SCOPE(&cache->mutex);
	while (cache->oldest != NULL
			&& cache->bytes + fresh->bytes > cache->bytes_max)
		evict(cache, cache->oldest);
	fresh->refs = 1;
	fresh->cached = true;
	struct cached_node **bucket = bucket_of(cache, &fresh->id);
	fresh->next = *bucket;
	*bucket = fresh;
	cache->bytes += fresh->bytes;
	list_push(cache, fresh);
	return fresh;
}

void node_cache_release(struct cached_node *node)
{
	if (node == NULL)
		return;
	LOCK_SCOPE(&node->owner->mutex);
	if (--node->refs == 0 && !node->cached)
		node_destroy(node);
}

static int misplaced(const struct id *id)
{
	char hex[2 * ID_SIZE + 1];
	hex_encode(hex, id->b, ID_SIZE);
	return fail(-EBADMSG, "tree node %.16s… does not fit its position",
			hex);
}

/* LEVEL 0: a leaf of SPANS bytes. */
static int load(struct node_cache *cache, const struct id *id, uint8_t level,
		uint64_t spans, struct cached_node **out)
{
	struct frame *frame;
	const uint8_t *data;
	struct chunk_entry chunk;
	int err = chunk_read(cache->packs, cache->frames, PACK_TREE, id, 0,
			UINT32_MAX, &frame, &data, &chunk);
	if (err < 0)
		return err;
	struct cached_node *node = calloc(1, sizeof(*node));
	if (node == NULL) {
		frame_cache_unpin(frame);
		return fail_no_memory("reading a tree");
	}
	node->owner = cache;
	node->id = *id;
	if (level == 0)
		err = leaf_decode(&node->leaf, data, chunk.len,
				(uint32_t)spans);
	else
		err = node_decode(&node->node, data, chunk.len, level, spans);
	frame_cache_unpin(frame);
	if (err < 0) {
		node_destroy(node);
		return err == -EBADMSG ? misplaced(id) : err;
	}
	node->bytes = sizeof(*node)
			+ (node->leaf != NULL ? sizeof(*node->leaf) + node->leaf->count * sizeof(node->leaf->entries[0])
					      : sizeof(*node->node));
	*out = insert(cache, node);
	return 0;
}

int node_cache_leaf(struct node_cache *cache, const struct id *id,
		uint32_t span_len, struct cached_node **out)
{
	*out = lookup(cache, id);
	if (*out == NULL)
		return load(cache, id, 0, span_len, out);
	if ((*out)->leaf != NULL && (*out)->leaf->span_len == span_len)
		return 0;
	node_cache_release(take_ptr(*out));
	return misplaced(id);
}

int node_cache_node(struct node_cache *cache, const struct id *id,
		uint8_t level, uint64_t spans, struct cached_node **out)
{
	*out = lookup(cache, id);
	if (*out == NULL)
		return load(cache, id, level, spans, out);
	const struct node *node = (*out)->node;
	if (node != NULL && node->level == level && node->spans == spans)
		return 0;
	node_cache_release(take_ptr(*out));
	return misplaced(id);
}
