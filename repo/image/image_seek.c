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
static int descend(struct image *image, uint64_t *span, bool *found)
{
	struct id id = image->root.id;
	for (uint8_t level = image->root.level; level > 0; level--) {
		struct cached_node *node;
		int err = image_node(image, &id, level, *span, &node);
		if (err < 0)
			return err;
		id = next_child(node->node, span).id;
		node_cache_release(node);
		if (id_is_zero(&id))
			return 0;
	}
	*found = true;
	return 0;
}

int image_seek_data_span(struct image *image, uint64_t span, uint64_t *out)
{
	bool found = false;
	if (id_is_zero(&image->root.id))
		span = image->spans;
	while (span < image->spans && !found) {
		int err = descend(image, &span, &found);
		if (err < 0)
			return err;
	}
	*out = min_u64(span, image->spans);
	return 0;
}

/* In the leaf: the first byte at or after AT that is data (or hole), or the
 * span's length. */
static uint32_t seek_in_leaf(const struct leaf *leaf, uint32_t at, bool hole)
{
	for (uint32_t k = image_entry_at(leaf, at); k < leaf->count; k++) {
		const struct leaf_entry *entry = &leaf->entries[k];
		if (entry->hole == hole)
			return entry->offset > at ? entry->offset : at;
	}
	return leaf->span_len;
}

static int seek_data(struct image *image, uint64_t *at)
{
	while (*at < image->size) {
		uint64_t span = *at / SPAN_SIZE, next;
		struct cached_node *node;
		int err = image_seek_data_span(image, span, &next);
		if (err < 0)
			return err;
		if (next >= image->spans)
			break;
		if (next != span)
			*at = next * SPAN_SIZE;
		err = image_leaf(image, next, &node, NULL);
		if (err < 0)
			return err;
		if (node == NULL) { /* impossible: next_data_span saw it */
			*at = (next + 1) * SPAN_SIZE;
			continue;
		}
		uint32_t to = seek_in_leaf(node->leaf,
				(uint32_t)(*at % SPAN_SIZE), false);
		bool found = to < node->leaf->span_len;
		*at = next * SPAN_SIZE + to;
		node_cache_release(node);
		if (found)
			return 0;
	}
	return -ENXIO;
}

static int seek_hole(struct image *image, uint64_t *at)
{
	while (*at < image->size) {
		uint64_t span = *at / SPAN_SIZE;
		struct cached_node *node;
		int err = image_leaf(image, span, &node, NULL);
		if (err < 0)
			return err;
		if (node == NULL)
			return 0;
		uint32_t to = seek_in_leaf(node->leaf,
				(uint32_t)(*at % SPAN_SIZE), true);
		bool found = to < node->leaf->span_len;
		*at = span * SPAN_SIZE + to;
		node_cache_release(node);
		if (found)
			return 0;
	}
	*at = image->size;
	return 0;
}

off_t image_seek(struct image *image, off_t offset, int whence)
{
	if (offset < 0 || (uint64_t)offset >= image->size)
		return -ENXIO;
	uint64_t at = (uint64_t)offset;
	int err;
	if (whence == SEEK_DATA)
		err = seek_data(image, &at);
	else if (whence == SEEK_HOLE)
		err = seek_hole(image, &at);
	else
		err = -EINVAL;
	return err < 0 ? err : (off_t)at;
}

/* --- as a source --- */

static int extent_of_hole(struct image *image, uint64_t span, uint64_t limit,
		uint64_t *end)
{
	uint64_t next;
	int err = image_seek_data_span(image, span, &next);
	if (err != 0)
		return err;
	*end = next >= image->spans ? limit : min_u64(next * SPAN_SIZE, limit);
	return 0;
}

int image_seek_extent(struct image *image, uint64_t offset, uint64_t limit,
		bool *hole, uint64_t *end)
{
	uint64_t span = offset / SPAN_SIZE;
	uint32_t at = (uint32_t)(offset % SPAN_SIZE);
	uint64_t span_store_end =
			span * SPAN_SIZE + image_span_len(image, span);
	struct node_child child;
	struct cached_node *node;
	int err = image_child(image, span, &child);
	if (err < 0)
		return err;
	*hole = id_is_zero(&child.id);
	*end = min_u64(span_store_end, limit);
	if (*hole)
		return limit > span_store_end
				? extent_of_hole(image, span, limit, end)
				: 0;
	if (at == 0 && limit > span_store_end)
		return 0;
	err = image_leaf(image, span, &node, NULL);
	if (err < 0)
		return err;
	*hole = node->leaf->entries[image_entry_at(node->leaf, at)].hole;
	uint32_t to = seek_in_leaf(node->leaf, at, !*hole);
	node_cache_release(node);
	*end = min_u64(span * SPAN_SIZE + to, limit);
	return 0;
}

/* The bytes of the SPANS spans that a node of that size around SPAN covers. */
static void covered(const struct image *image, uint64_t span, uint64_t spans,
		uint64_t *from, uint64_t *to)
{
	uint64_t first = span / spans * spans;
	*from = first * SPAN_SIZE;
	*to = min_u64((first + spans) * SPAN_SIZE, image->size);
}

int image_seek_piece(struct image *image, uint64_t offset, uint64_t *from,
		uint64_t *to, struct id *node)
{
	struct cached_node *n;
	struct id none, id = image->root.id;
	node = node != NULL ? node : &none;
	uint64_t span = offset / SPAN_SIZE;
	for (uint8_t level = image->root.level; level > 0; level--) {
		uint64_t step = node_slot_spans(level);
		covered(image, span, step * NODE_FANOUT, from, to);
		if (id_is_zero(&id))
			return 0;
		*node = id;
		int err = image_node(image, &id, level, span, &n);
		if (err < 0)
			return err;
		id = n->node->children[span / step % NODE_FANOUT].id;
		node_cache_release(n);
	}
	covered(image, span, 1, from, to);
	*node = id;
	if (id_is_zero(&id))
		return 0;
	int err = node_cache_leaf(image->reader->nodes, &id,
			image_span_len(image, span), &n);
	if (err < 0)
		return err;
	const struct leaf_entry *entry =
			&n->leaf->entries[image_entry_at(n->leaf,
					(uint32_t)(offset % SPAN_SIZE))];
	*from = span * SPAN_SIZE + entry->offset;
	*to = *from + entry->len;
	node_cache_release(n);
	return 0;
}

/* --- all leaves --- */

struct walk {
	struct image *image;
	const struct image_walker *walker;
};

/* Bytes of SPANS spans from SPAN on, as far as the image goes. */
static uint64_t walk_len(const struct walk *walk, uint64_t span, uint64_t spans)
{
	return min_u64((span + spans) * SPAN_SIZE, walk->image->size)
			- span * SPAN_SIZE;
}

static int walk_error(struct walk *walk, uint64_t span, uint64_t spans, int err)
{
	return walk->walker->error != NULL
			? walk->walker->error(walk->walker->ctx,
					span * SPAN_SIZE,
					walk_len(walk, span, spans), err)
			: err;
}

/* The parent's sums must be true: st_blocks and views are made from them. */
static int sums_differ(const struct node_child *said, uint64_t data_bytes,
		uint64_t clusters)
{
	if (said->data_bytes == data_bytes && said->clusters == clusters)
		return 0;
	return fail(-EBADMSG, "a tree node's sums do not match its children");
}

static int walk_leaf(struct walk *walk, const struct node_child *child,
		uint64_t span)
{
	struct image *image = walk->image;
	struct cached_node *node;
	int err = node_cache_leaf(image->reader->nodes, &child->id,
			image_span_len(image, span), &node);
	if (err < 0)
		return walk_error(walk, span, 1, err);
	err = sums_differ(child, node->leaf->data_bytes, node->leaf->clusters);
	if (err < 0)
		err = walk_error(walk, span, 1, err);
	if (err == 0)
		err = walk->walker->leaf(walk->walker->ctx, span * SPAN_SIZE,
				node->leaf);
	node_cache_release(node);
	return err;
}

static int check_node_sums(const struct node_child *child,
		const struct node *node)
{
	uint64_t data_bytes = 0, clusters = 0;
	for (unsigned slot = 0; slot < NODE_FANOUT; slot++) {
		data_bytes += node->children[slot].data_bytes;
		clusters += node->children[slot].clusters;
	}
	return sums_differ(child, data_bytes, clusters);
}

static int walk_tree(struct walk *walk, const struct node_child *child,
		uint8_t level, uint64_t span);

static int walk_node(struct walk *walk, const struct node_child *child,
		uint8_t level, uint64_t span)
{
	struct cached_node *node;
	uint64_t step = node_slot_spans(level);
	int err = image_node(walk->image, &child->id, level, span, &node);
	if (err < 0)
		return walk_error(walk, span, step * NODE_FANOUT, err);
	err = check_node_sums(child, node->node);
	if (err < 0)
		err = walk_error(walk, span, step * NODE_FANOUT, err);
	for (unsigned slot = 0; err == 0 && slot < NODE_FANOUT; slot++)
		err = walk_tree(walk, &node->node->children[slot],
				(uint8_t)(level - 1), span + slot * step);
	node_cache_release(node);
	return err;
}

/* Depth at most NODE_LEVEL_MAX. */
static int walk_tree(struct walk *walk, const struct node_child *child,
		uint8_t level, uint64_t span)
{
	const struct image_walker *walker = walk->walker;
	int err = 0;
	if (id_is_zero(&child->id))
		return 0;
	uint64_t spans = level == 0 ? 1 : node_slot_spans(level) * NODE_FANOUT;
	uint64_t len = walk_len(walk, span, spans);
	if (walker->enter != NULL)
		err = walker->enter(walker->ctx, child, level, span * SPAN_SIZE,
				len);
	if (err != 0)
		return err < 0 ? err : 0;
	err = level == 0 ? walk_leaf(walk, child, span)
			 : walk_node(walk, child, level, span);
	if (err != 0)
		return err;
	if (walker->leave != NULL)
		walker->leave(walker->ctx, child, level, len);
	return 0;
}

int image_seek_walk(struct image *image, const struct image_walker *walker)
{
	struct walk k = { .image = image, .walker = walker };
	struct node_child top = { .id = image->root.id,
		.data_bytes = image->root.data_bytes,
		.clusters = image->root.clusters };
	return walk_tree(&k, &top, image->root.level, 0);
}
