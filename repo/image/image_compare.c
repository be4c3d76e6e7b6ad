/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What two images of one repository have in common, by their trees alone: equal
 * ids at one place mean equal bytes, whole subtrees at once.
 */
#include <errno.h>

#include "image_internal.h"

/* Two children at the same place of two trees. */
struct pair {
	struct image *a, *b;
	struct node_child at_a, at_b;
	uint64_t end; /* of the spans that they cover, bytes */
};

static void cover(struct pair *pair, uint64_t span, uint64_t spans)
{
	pair->end = (span / spans + 1) * spans * SPAN_SIZE;
}

/* Down both trees at once to SPAN's leaves, or to where they are equal. */
static int descend(struct pair *pair, uint64_t span)
{
	uint8_t level = pair->a->root.level;
	pair->at_a.id = pair->a->root.id;
	pair->at_b.id = pair->b->root.id;
	if (pair->b->root.level != level) { /* their nodes cover other spans */
		cover(pair, span, 1);
		int err = image_child(pair->a, span, &pair->at_a);
		return err < 0 ? err : image_child(pair->b, span, &pair->at_b);
	}
	for (;; level--) {
		cover(pair, span,
				level ? node_slot_spans(level) * NODE_FANOUT
				      : 1);
		if (level == 0 || id_equal(&pair->at_a.id, &pair->at_b.id))
			return 0;
		struct cached_node *node;
		uint64_t slot = span / node_slot_spans(level) % NODE_FANOUT;
		if (!id_is_zero(&pair->at_a.id)) {
			int err = image_node(pair->a, &pair->at_a.id, level,
					span, &node);
			if (err < 0)
				return err;
			pair->at_a = node->node->children[slot];
			node_cache_release(node);
		}
		if (!id_is_zero(&pair->at_b.id)) {
			int err = image_node(pair->b, &pair->at_b.id, level,
					span, &node);
			if (err < 0)
				return err;
			pair->at_b = node->node->children[slot];
			node_cache_release(node);
		}
	}
}

static const struct leaf_entry *entry_at(const struct cached_node *node,
		const struct leaf_entry *hole, uint32_t at)
{
	return node != NULL
			? &node->leaf->entries[image_entry_at(node->leaf, at)]
			: hole;
}

/* Both are hole, or the same chunk at the same place. */
static bool alike(const struct leaf_entry *a, const struct leaf_entry *b)
{
	return a->hole && b->hole ? true
				  : a->offset == b->offset && a->len == b->len
					&& a->hole == b->hole
					&& id_equal(&a->id, &b->id);
}

/* The run of chunks from byte AT of the span on that are alike, or of those
 * that are not. */
static bool compare_leaves(const struct cached_node *a,
		const struct cached_node *b, uint32_t at, uint32_t *end)
{
	static const struct leaf_entry hole = { .len = SPAN_SIZE,
		.hole = true };
	bool same = false;
	uint32_t from = at;
	while (at < *end) {
		const struct leaf_entry *x = entry_at(a, &hole, at);
		const struct leaf_entry *y = entry_at(b, &hole, at);
		if (at == from)
			same = alike(x, y);
		else if (alike(x, y) != same)
			break;
		at = (uint32_t)min_u64(x->offset + x->len, y->offset + y->len);
	}
	*end = (uint32_t)min_u64(at, *end);
	return same;
}

static int compare_span(struct pair *pair, uint64_t offset, bool *same,
		uint64_t *end)
{
	struct cached_node *node = NULL, *b = NULL;
	uint64_t span = offset / SPAN_SIZE;
	uint32_t to = (uint32_t)(*end - span * SPAN_SIZE);
	*same = false;
	if (image_span_len(pair->a, span) != image_span_len(pair->b, span))
		return 0;
	int err = image_leaf(pair->a, span, &node, NULL);
	if (err == 0 && !(node != NULL && node->leaf->has_proof))
		err = image_leaf(pair->b, span, &b, NULL);
	if (err == 0 && !(node != NULL && node->leaf->has_proof)) {
		*same = compare_leaves(node, b, (uint32_t)(offset % SPAN_SIZE),
				&to);
		*end = span * SPAN_SIZE + to;
	}
	node_cache_release(node);
	node_cache_release(b);
	return err;
}

int image_compare(struct image *image, struct image *base, uint64_t offset,
		uint64_t limit, bool *same, uint64_t *end)
{
	struct pair p = { .a = image, .b = base };
	*same = false;
	*end = limit;
	if (offset >= image_size(base))
		return 0;
	limit = min_u64(limit, image_size(base));
	int err = descend(&p, offset / SPAN_SIZE);
	if (err < 0)
		return err;
	*end = min_u64(p.end, limit);
	*same = id_equal(&p.at_a.id, &p.at_b.id);
	return *same ? 0 : compare_span(&p, offset, same, end);
}
