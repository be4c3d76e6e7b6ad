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
	/* protected by mutex */
	struct cached_node *buckets[BUCKETS];
	struct cached_node *newest, *oldest;
	size_t bytes;
};

struct node_cache *node_cache_new(struct pack_cache *packs, struct frame_cache *frames,
		size_t bytes_max)
{
	struct node_cache *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return NULL;
	c->packs = packs;
	c->frames = frames;
	c->bytes_max = bytes_max;
	pthread_mutex_init(&c->mutex, NULL);
	return c;
}

static void node_destroy(struct cached_node *n)
{
	free(n->leaf);
	free(n->node);
	free(n);
}

void node_cache_free(struct node_cache *c)
{
	if (c == NULL)
		return;
	while (c->newest != NULL) {
		struct cached_node *n = c->newest;
		c->newest = n->older;
		node_destroy(n);
	}
	pthread_mutex_destroy(&c->mutex);
	free(c);
}

static struct cached_node **bucket_of(struct node_cache *c, const struct id *id)
{
	return &c->buckets[id_hash(id) % BUCKETS];
}

static void list_remove(struct node_cache *c, struct cached_node *n)
{
	*(n->newer ? &n->newer->older : &c->newest) = n->older;
	*(n->older ? &n->older->newer : &c->oldest) = n->newer;
	n->newer = n->older = NULL;
}

static void list_push(struct node_cache *c, struct cached_node *n)
{
	n->older = c->newest;
	n->newer = NULL;
	*(c->newest ? &c->newest->newer : &c->oldest) = n;
	c->newest = n;
}

/* With mutex held. */
static void evict(struct node_cache *c, struct cached_node *n)
{
	struct cached_node **at = bucket_of(c, &n->id);
	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	list_remove(c, n);
	c->bytes -= n->bytes;
	n->cached = false;
	if (n->refs == 0)
		node_destroy(n);
}

static struct cached_node *lookup(struct node_cache *c, const struct id *id)
{
	LOCK_SCOPE(&c->mutex);
	struct cached_node *n = *bucket_of(c, id);
	while (n != NULL && !id_equal(&n->id, id))
		n = n->next;
	if (n == NULL)
		return NULL;
	n->refs++;
	if (c->newest != n) {
		list_remove(c, n);
		list_push(c, n);
	}
	return n;
}

/* Takes FRESH; the result carries a reference. */
static struct cached_node *insert(
		struct node_cache *c, struct cached_node *fresh)
{
	struct cached_node *there = lookup(c, &fresh->id);
	if (there != NULL) {
		node_destroy(fresh);
		return there;
	}
	LOCK_SCOPE(&c->mutex);
	while (c->oldest && c->bytes + fresh->bytes > c->bytes_max)
		evict(c, c->oldest);
	fresh->refs = 1;
	fresh->cached = true;
	struct cached_node **bucket = bucket_of(c, &fresh->id);
	fresh->next = *bucket;
	*bucket = fresh;
	c->bytes += fresh->bytes;
	list_push(c, fresh);
	return fresh;
}

void node_cache_release(struct cached_node *n)
{
	if (n == NULL)
		return;
	LOCK_SCOPE(&n->owner->mutex);
	if (--n->refs == 0 && !n->cached)
		node_destroy(n);
}

static int misplaced(const struct id *id)
{
	char hex[2 * ID_SIZE + 1];
	hex_encode(hex, id->b, ID_SIZE);
	return fail(-EBADMSG, "tree node %.16s… does not fit its place", hex);
}

/* LEVEL 0: a leaf of SPANS bytes. */
static int load(struct node_cache *c, const struct id *id, uint8_t level,
		uint64_t spans, struct cached_node **out)
{
	struct frame *frame;
	const uint8_t *data;
	uint32_t len;
	int err = chunk_read(c->packs, c->frames, PACK_TREE, id, 0, UINT32_MAX,
			&frame, &data, &len);
	if (err < 0)
		return err;
	struct cached_node *n = calloc(1, sizeof(*n));
	if (n == NULL) {
		frame_cache_unpin(frame);
		return fail_errno(-ENOMEM, "reading a tree");
	}
	n->owner = c;
	n->id = *id;
	if (level == 0)
		err = leaf_decode(&n->leaf, data, len, (uint32_t)spans);
	else
		err = node_decode(&n->node, data, len, level, spans);
	frame_cache_unpin(frame);
	if (err < 0) {
		node_destroy(n);
		return err == -EBADMSG ? misplaced(id) : err;
	}
	n->bytes = sizeof(*n)
			+ (n->leaf ? sizeof(*n->leaf)
							+ n->leaf->count
								* sizeof(n->leaf->entries[0])
				   : sizeof(*n->node));
	*out = insert(c, n);
	return 0;
}

int node_cache_leaf(struct node_cache *c, const struct id *id,
		uint32_t span_len, struct cached_node **out)
{
	*out = lookup(c, id);
	if (*out == NULL)
		return load(c, id, 0, span_len, out);
	if ((*out)->leaf && (*out)->leaf->span_len == span_len)
		return 0;
	node_cache_release(take_ptr(*out));
	return misplaced(id);
}

int node_cache_node(struct node_cache *c, const struct id *id, uint8_t level,
		uint64_t spans, struct cached_node **out)
{
	*out = lookup(c, id);
	if (*out == NULL)
		return load(c, id, level, spans, out);
	const struct node *node = (*out)->node;
	if (node && node->level == level && node->spans == spans)
		return 0;
	node_cache_release(take_ptr(*out));
	return misplaced(id);
}
