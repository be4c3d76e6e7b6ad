/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the image reader share. */
#ifndef AMBERFS_IMAGE_IMAGE_INTERNAL_H
#define AMBERFS_IMAGE_IMAGE_INTERNAL_H

#include "image.h"
#include "repo/base/bytes.h"

struct image_reader {
	struct pack_cache *packs;
	struct frame_cache *frames;
	struct node_cache *nodes;
	struct pool *pool; /* decodes ahead; NULL: none */
};

struct image {
	struct image_reader *reader;
	struct tree_root root;
	uint64_t size;
	uint64_t spans;
};

static inline uint32_t image_span_len(const struct image *image, uint64_t span)
{
	return (uint32_t)min_u64(SPAN_SIZE, image->size - span * SPAN_SIZE);
}

/* The entry of LEAF that covers byte AT of the span. */
uint32_t image_entry_at(const struct leaf *leaf, uint32_t at);

/* The node of LEVEL whose children hold SPAN, through CHILD's id. */
int image_node(struct image *image, const struct id *id, uint8_t level,
		uint64_t span, struct cached_node **out);

/* image_prefetch_note_read for whatever PREFETCH, with the terms of image_prefetch, asks
 * ahead for. */
typedef uint64_t image_prefetch_fn(void *ctx, uint64_t offset, uint64_t len);
void image_prefetch_note_sequence(struct image_sequence *sequence,
		uint64_t offset, uint64_t len, image_prefetch_fn *prefetch,
		void *ctx);

#endif
