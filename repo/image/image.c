/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading an image: down the tree to the leaf, from its entries to chunks,
 * from chunks to decoded frames. Holes are answered from one block of zeros.
 */
#include "image_internal.h"

#include <stdlib.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"

/* Room for decoded nodes: some 1000 leaves of 16 MiB each. */
#define NODE_CACHE_SIZE ((size_t)12 << 20)
/* Frames that may wait to be decoded ahead. */
#define AHEAD_MAX 64
#define ZEROS_SIZE (1u << 20)

static const uint8_t zeros[ZEROS_SIZE];

int image_reader_new(struct image_reader **out, struct pack_cache *packs,
		const struct image_reader_options *options)
{
	struct image_reader *reader = calloc(1, sizeof(*reader));
	if (reader == NULL)
		return fail_no_memory("starting to read");
	reader->packs = packs;
	reader->frames = frame_cache_new(packs, options->cache_size);
	reader->nodes = reader->frames != NULL
			? node_cache_new(packs, reader->frames, NODE_CACHE_SIZE)
			: NULL;
	if (options->threads != 0)
		reader->pool = pool_new(options->threads, AHEAD_MAX);
	if (reader->nodes == NULL
			|| (options->threads != 0 && reader->pool == NULL)) {
		image_reader_free(reader);
		return fail_no_memory("starting to read");
	}
	*out = reader;
	return 0;
}

void image_reader_free(struct image_reader *reader)
{
	if (reader == NULL)
		return;
	pool_free(reader->pool);
	node_cache_free(reader->nodes);
	frame_cache_free(reader->frames);
	free(reader);
}

bool image_reader_any_damaged(const struct image_reader *reader)
{
	return exclusions_any_damaged(pack_cache_exclusions(reader->packs));
}

bool image_reader_chunk_stored(struct image_reader *reader, const struct id *id)
{
	struct chunk_place place;
	if (pack_cache_find(reader->packs, PACK_DATA, id, &place) != 1)
		return false;
	pack_cache_release(place.pack);
	return true;
}

int image_open(struct image **out, struct image_reader *reader,
		const struct tree_root *root, uint64_t size)
{
	if (size > IMAGE_SIZE_MAX
			|| root->level
					!= node_tree_level(
							node_span_count(size)))
		return fail(-EBADMSG, "an image's size and tree do not match");
	struct image *image = malloc(sizeof(*image));
	if (image == NULL)
		return fail_no_memory("opening an image");
	*image = (struct image){ .reader = reader,
		.root = *root,
		.size = size,
		.spans = node_span_count(size) };
	*out = image;
	return 0;
}

void image_close(struct image *image)
{
	free(image);
}

uint64_t image_size(const struct image *image)
{
	return image->size;
}

/* --- down the tree --- */

int image_node(struct image *image, const struct id *id, uint8_t level,
		uint64_t span, struct cached_node **out)
{
	uint64_t covers = node_slot_spans(level) * NODE_FANOUT;
	uint64_t first = span / covers * covers;
	return node_cache_node(image->reader->nodes, id, level,
			min_u64(covers, image->spans - first), out);
}

int image_child(struct image *image, uint64_t span, struct node_child *child)
{
	return image_child_at(image, span, 0, child);
}

int image_child_at(struct image *image, uint64_t span, uint8_t wanted,
		struct node_child *child)
{
	struct node_child at = { .id = image->root.id,
		.data_bytes = image->root.data_bytes,
		.clusters = image->root.clusters };
	for (uint8_t level = image->root.level; level > wanted; level--) {
		struct cached_node *node;
		if (id_is_zero(&at.id))
			break;
		int err = image_node(image, &at.id, level, span, &node);
		if (err < 0)
			return err;
		at = node->node->children[span / node_slot_spans(level)
				% NODE_FANOUT];
		node_cache_release(node);
	}
	*child = at;
	return 0;
}

int image_leaf(struct image *image, uint64_t span, struct cached_node **out,
		struct node_child *child)
{
	struct node_child at;
	*out = NULL;
	int err = image_child(image, span, &at);
	if (err < 0)
		return err;
	if (child != NULL)
		*child = at;
	if (id_is_zero(&at.id))
		return 0;
	return node_cache_leaf(image->reader->nodes, &at.id,
			image_span_len(image, span), out);
}

int image_proven(struct image *image, uint64_t offset)
{
	struct cached_node *node;
	int err = image_leaf(image, offset / SPAN_SIZE, &node, NULL);
	if (err < 0 || node == NULL)
		return err;
	err = node->leaf->has_proof;
	node_cache_release(node);
	return err;
}

uint32_t image_entry_at(const struct leaf *leaf, uint32_t at)
{
	uint32_t lo = 0, hi = leaf->count - 1;
	while (lo < hi) {
		uint32_t mid = (lo + hi + 1) / 2;
		if (leaf->entries[mid].offset <= at)
			lo = mid;
		else
			hi = mid - 1;
	}
	return lo;
}

/* --- pieces of a range: what each read is made of --- */

/* Called for each part of a range in order. DATA is NULL for a hole; FRAME is
 * pinned for the callee, who unpins it. Non-zero stops. */
typedef int part_fn(void *ctx, const uint8_t *data, size_t len,
		struct frame *frame);

static int read_entry(struct image *image, const struct leaf_entry *entry,
		uint32_t within, uint32_t len, part_fn *fn, void *ctx)
{
	struct frame *frame;
	const uint8_t *data;
	struct chunk_entry chunk;
	if (entry->hole)
		return fn(ctx, NULL, len, NULL);
	int err = chunk_read(image->reader->packs, image->reader->frames,
			PACK_DATA, &entry->id, entry->len, within + len, &frame,
			&data, &chunk);
	if (err < 0)
		return err;
	return fn(ctx, data + within, len, frame);
}

static int read_span(struct image *image, uint64_t span, uint32_t at,
		uint32_t len, part_fn *fn, void *ctx)
{
	struct cached_node *node;
	int err = image_leaf(image, span, &node, NULL);
	if (err < 0)
		return err;
	if (node == NULL)
		return fn(ctx, NULL, len, NULL);
	const struct leaf *leaf = node->leaf;
	uint32_t k = image_entry_at(leaf, at), end = at + len;
	while (err == 0 && at < end) {
		const struct leaf_entry *entry = &leaf->entries[k++];
		uint32_t within = at - entry->offset;
		uint32_t n_bytes = entry->len - within;
		if (n_bytes > end - at)
			n_bytes = end - at;
		err = read_entry(image, entry, within, n_bytes, fn, ctx);
		at += n_bytes;
	}
	node_cache_release(node);
	return err;
}

/* Returns the bytes of the range, cut at the image's end, or -errno. */
static ssize_t read_parts(struct image *image, size_t len, uint64_t offset,
		part_fn *fn, void *ctx)
{
	if (offset >= image->size)
		return 0;
	len = min_u64(len, image->size - offset);
	for (size_t done = 0; done < len;) {
		uint64_t at = offset + done;
		uint32_t within = (uint32_t)(at % SPAN_SIZE);
		uint32_t n = (uint32_t)min_u64(SPAN_SIZE - within, len - done);
		int err = read_span(image, at / SPAN_SIZE, within, n, fn, ctx);
		if (err < 0)
			return err;
		done += n;
	}
	return (ssize_t)len;
}

static int copy_part(void *ctx, const uint8_t *data, size_t len,
		struct frame *frame)
{
	uint8_t **to = ctx;
	if (data != NULL)
		memcpy(*to, data, len);
	else
		memset(*to, 0, len);
	*to += len;
	frame_cache_unpin(frame);
	return 0;
}

ssize_t image_pread(struct image *image, void *buf, size_t len, uint64_t offset)
{
	uint8_t *to = buf;
	return read_parts(image, len, offset, copy_part, &to);
}

/* --- without copying --- */

static int add_iov(struct image_iov *iov, const uint8_t *data, size_t len)
{
	if (iov->count > 0) {
		struct iovec *last = &iov->iov[iov->count - 1];
		if ((const uint8_t *)last->iov_base + last->iov_len == data) {
			last->iov_len += len;
			return 0;
		}
	}
	if (iov->count == iov->room)
		return -E2BIG;
	/* Only ever read from, which struct iovec can't say. */
	struct iovec *next = &iov->iov[iov->count++];
	memcpy(&next->iov_base, &data, sizeof(data));
	next->iov_len = len;
	return 0;
}

static int pin_part(void *ctx, const uint8_t *data, size_t len,
		struct frame *frame)
{
	struct image_iov *iov = ctx;
	while (data == NULL && len > 0) {
		size_t n = min_u64(len, ZEROS_SIZE);
		int err = add_iov(iov, zeros, n);
		if (err < 0)
			return err;
		len -= n;
	}
	if (data == NULL)
		return 0;
	int err = add_iov(iov, data, len);
	if (err == 0 && iov->pinned > 0
			&& iov->pins[iov->pinned - 1] == frame) {
		frame_cache_unpin(frame); /* pinned once is enough */
		return 0;
	}
	if (err < 0 || iov->pinned == iov->room) {
		frame_cache_unpin(frame);
		return -E2BIG;
	}
	iov->pins[iov->pinned++] = frame;
	return 0;
}

ssize_t image_read_iov(struct image *image, struct image_iov *iov, size_t len,
		uint64_t offset)
{
	iov->count = iov->pinned = 0;
	ssize_t r = read_parts(image, len, offset, pin_part, iov);
	if (r < 0)
		image_unpin(iov);
	return r;
}

void image_unpin(struct image_iov *iov)
{
	for (int k = 0; k < iov->pinned; k++)
		frame_cache_unpin(iov->pins[k]);
	iov->count = iov->pinned = 0;
}
