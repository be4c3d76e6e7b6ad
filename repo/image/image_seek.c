/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Finding data, holes and leaves in an image without reading any data: the
 * zero ids of all-hole children let whole subtrees be skipped.
 */
#include "image_internal.h"

#include <errno.h>

#include "repo/base/error.h"

/* The first slot at or after the one of SPAN in the node of LEVEL that is not
 * all hole; sets *SPAN to its first span (or beyond, when none). */
static struct node_child next_child(const struct node *node, uint64_t *span)
{
	uint64_t step = node_slot_spans(node->level);
	uint64_t slot = *span / step % NODE_FANOUT;
	for (; slot < NODE_FANOUT; slot++) {
		if (!id_is_zero(&node->children[slot].id))
			return node->children[slot];
		*span = (*span / step + 1) * step;
	}
	return (struct node_child){ .clusters = 0 };
}

/* One descent towards SPAN: either a leaf is there (*FOUND), or *SPAN moves on
 * to where the next may be. */
static int descend(struct image *i, uint64_t *span, bool *found)
{
	struct id id = i->root.id;
	for (uint8_t level = i->root.level; level > 0; level--) {
		struct cached_node *n;
		int err = image_node(i, &id, level, *span, &n);
		if (err < 0)
			return err;
		id = next_child(n->node, span).id;
		node_cache_release(n);
		if (id_is_zero(&id))
			return 0;
	}
	*found = true;
	return 0;
}

int image_seek_data_span(struct image *i, uint64_t span, uint64_t *out)
{
	bool found = false;
	if (id_is_zero(&i->root.id))
		span = i->spans;
	while (span < i->spans && !found) {
		int err = descend(i, &span, &found);
		if (err < 0)
			return err;
	}
	*out = min_u64(span, i->spans);
	return 0;
}

/* In the leaf: the first byte at or after AT that is data (or hole), or the
 * span's length. */
static uint32_t seek_in_leaf(const struct leaf *leaf, uint32_t at, bool hole)
{
	for (uint32_t k = image_entry_at(leaf, at); k < leaf->count; k++) {
		const struct leaf_entry *e = &leaf->entries[k];
		if (e->hole == hole)
			return e->offset > at ? e->offset : at;
	}
	return leaf->span_len;
}

static int seek_data(struct image *i, uint64_t *at)
{
	while (*at < i->size) {
		uint64_t span = *at / SPAN_SIZE, next;
		struct cached_node *n;
		int err = image_seek_data_span(i, span, &next);
		if (err < 0)
			return err;
		if (next >= i->spans)
			break;
		if (next != span)
			*at = next * SPAN_SIZE;
		err = image_leaf(i, next, &n, NULL);
		if (err < 0)
			return err;
		if (n == NULL) { /* can't be: next_data_span saw it */
			*at = (next + 1) * SPAN_SIZE;
			continue;
		}
		uint32_t to = seek_in_leaf(
				n->leaf, (uint32_t)(*at % SPAN_SIZE), false);
		bool found = to < n->leaf->span_len;
		*at = next * SPAN_SIZE + to;
		node_cache_release(n);
		if (found)
			return 0;
	}
	return -ENXIO;
}

static int seek_hole(struct image *i, uint64_t *at)
{
	while (*at < i->size) {
		uint64_t span = *at / SPAN_SIZE;
		struct cached_node *n;
		int err = image_leaf(i, span, &n, NULL);
		if (err < 0)
			return err;
		if (n == NULL)
			return 0;
		uint32_t to = seek_in_leaf(
				n->leaf, (uint32_t)(*at % SPAN_SIZE), true);
		bool found = to < n->leaf->span_len;
		*at = span * SPAN_SIZE + to;
		node_cache_release(n);
		if (found)
			return 0;
	}
	*at = i->size;
	return 0;
}

off_t image_seek(struct image *i, off_t offset, int whence)
{
	if (offset < 0 || (uint64_t)offset >= i->size)
		return -ENXIO;
	uint64_t at = (uint64_t)offset;
	int err;
	if (whence == SEEK_DATA)
		err = seek_data(i, &at);
	else if (whence == SEEK_HOLE)
		err = seek_hole(i, &at);
	else
		err = -EINVAL;
	return err < 0 ? err : (off_t)at;
}

/* --- as a source --- */

static int extent_of_hole(struct image *i, uint64_t span, uint64_t limit,
		uint64_t *end)
{
	uint64_t next;
	int err = image_seek_data_span(i, span, &next);
	if (err == 0)
		*end = next >= i->spans ? limit
					: min_u64(next * SPAN_SIZE, limit);
	return err;
}

int image_seek_extent(struct image *i, uint64_t offset, uint64_t limit, bool *hole,
		uint64_t *end)
{
	uint64_t span = offset / SPAN_SIZE;
	uint32_t at = (uint32_t)(offset % SPAN_SIZE);
	uint64_t span_store_end = span * SPAN_SIZE + image_span_len(i, span);
	struct node_child child;
	struct cached_node *n;
	int err = image_child(i, span, &child);
	if (err < 0)
		return err;
	*hole = id_is_zero(&child.id);
	*end = min_u64(span_store_end, limit);
	if (*hole)
		return limit > span_store_end ? extent_of_hole(i, span, limit, end)
					: 0;
	if (at == 0 && limit > span_store_end)
		return 0;
	err = image_leaf(i, span, &n, NULL);
	if (err < 0)
		return err;
	*hole = n->leaf->entries[image_entry_at(n->leaf, at)].hole;
	uint32_t to = seek_in_leaf(n->leaf, at, !*hole);
	node_cache_release(n);
	*end = min_u64(span * SPAN_SIZE + to, limit);
	return 0;
}

/* The bytes of the SPANS spans that a node of that size around SPAN covers. */
static void covered(const struct image *i, uint64_t span, uint64_t spans,
		uint64_t *from, uint64_t *to)
{
	uint64_t first = span / spans * spans;
	*from = first * SPAN_SIZE;
	*to = min_u64((first + spans) * SPAN_SIZE, i->size);
}

int image_seek_piece(struct image *i, uint64_t offset, uint64_t *from, uint64_t *to,
		struct id *node)
{
	struct cached_node *n;
	struct id none, id = i->root.id;
	node = node ? node : &none;
	uint64_t span = offset / SPAN_SIZE;
	for (uint8_t level = i->root.level; level > 0; level--) {
		uint64_t step = node_slot_spans(level);
		covered(i, span, step * NODE_FANOUT, from, to);
		if (id_is_zero(&id))
			return 0;
		*node = id;
		int err = image_node(i, &id, level, span, &n);
		if (err < 0)
			return err;
		id = n->node->children[span / step % NODE_FANOUT].id;
		node_cache_release(n);
	}
	covered(i, span, 1, from, to);
	*node = id;
	if (id_is_zero(&id))
		return 0;
	int err = node_cache_leaf(i->reader->nodes, &id, image_span_len(i, span),
			&n);
	if (err < 0)
		return err;
	const struct leaf_entry *e = &n->leaf->entries[image_entry_at(
			n->leaf, (uint32_t)(offset % SPAN_SIZE))];
	*from = span * SPAN_SIZE + e->offset;
	*to = *from + e->len;
	node_cache_release(n);
	return 0;
}

/* --- all leaves --- */

struct walk {
	struct image *image;
	const struct image_walker *w;
};

/* Bytes of SPANS spans from SPAN on, as far as the image goes. */
static uint64_t walk_len(const struct walk *k, uint64_t span, uint64_t spans)
{
	return min_u64((span + spans) * SPAN_SIZE, k->image->size) -
			span * SPAN_SIZE;
}

static int walk_error(struct walk *k, uint64_t span, uint64_t spans, int err)
{
	return k->w->error ? k->w->error(k->w->ctx, span * SPAN_SIZE,
			walk_len(k, span, spans), err) : err;
}

/* The parent's sums must be true: st_blocks and views are made from them. */
static int sums_differ(const struct node_child *said, uint64_t data_bytes,
		uint64_t clusters)
{
	if (said->data_bytes == data_bytes && said->clusters == clusters)
		return 0;
	return fail(-EBADMSG, "a tree node's sums are not its children's");
}

static int walk_leaf(struct walk *k, const struct node_child *at, uint64_t span)
{
	struct cached_node *n;
	int err = node_cache_leaf(k->image->reader->nodes, &at->id,
			image_span_len(k->image, span), &n);
	if (err < 0)
		return walk_error(k, span, 1, err);
	err = sums_differ(at, n->leaf->data_bytes, n->leaf->clusters);
	if (err < 0)
		err = walk_error(k, span, 1, err);
	if (err == 0)
		err = k->w->leaf(k->w->ctx, span * SPAN_SIZE, n->leaf);
	node_cache_release(n);
	return err;
}

static int check_node_sums(const struct node_child *at, const struct node *node)
{
	uint64_t data_bytes = 0, clusters = 0;
	for (unsigned slot = 0; slot < NODE_FANOUT; slot++) {
		data_bytes += node->children[slot].data_bytes;
		clusters += node->children[slot].clusters;
	}
	return sums_differ(at, data_bytes, clusters);
}

static int walk_tree(struct walk *k, const struct node_child *at, uint8_t level,
		uint64_t span);

static int walk_node(struct walk *k, const struct node_child *at,
		uint8_t level, uint64_t span)
{
	struct cached_node *n;
	uint64_t step = node_slot_spans(level);
	int err = image_node(k->image, &at->id, level, span, &n);
	if (err < 0)
		return walk_error(k, span, step * NODE_FANOUT, err);
	err = check_node_sums(at, n->node);
	if (err < 0)
		err = walk_error(k, span, step * NODE_FANOUT, err);
	for (unsigned slot = 0; err == 0 && slot < NODE_FANOUT; slot++)
		err = walk_tree(k, &n->node->children[slot], (uint8_t)(level - 1),
				span + slot * step);
	node_cache_release(n);
	return err;
}

/* Depth at most NODE_LEVEL_MAX. */
static int walk_tree(struct walk *k, const struct node_child *at, uint8_t level,
		uint64_t span)
{
	const struct image_walker *w = k->w;
	int err = 0;
	if (id_is_zero(&at->id))
		return 0;
	uint64_t spans = level == 0 ? 1 : node_slot_spans(level) * NODE_FANOUT;
	uint64_t len = walk_len(k, span, spans);
	if (w->enter != NULL)
		err = w->enter(w->ctx, at, level, span * SPAN_SIZE, len);
	if (err != 0)
		return err < 0 ? err : 0;
	err = level == 0 ? walk_leaf(k, at, span) : walk_node(k, at, level, span);
	if (err == 0 && w->leave != NULL)
		w->leave(w->ctx, at, level, len);
	return err;
}

int image_seek_walk(struct image *i, const struct image_walker *w)
{
	struct walk k = { .image = i, .w = w };
	struct node_child top = { .id = i->root.id,
		.data_bytes = i->root.data_bytes,
		.clusters = i->root.clusters };
	return walk_tree(&k, &top, i->root.level, 0);
}
