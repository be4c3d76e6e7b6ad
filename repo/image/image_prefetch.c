/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Decoding ahead of a sequential reader. A reader is sequential by byte ranges,
 * not by requests: the kernel splits its readahead and delivers the parts out
 * of order, so a read counts as a continuation when it starts within a window
 * around where the last ones ended.
 *
 * A prefetch must never delay a demanded read: it is dropped where the queue
 * is full, and demanded frames are decoded by the thread that needs them.
 */
#include "image_internal.h"

#include <stdlib.h>

#define WINDOW_FIRST (1u << 20)
#define WINDOW_MAX (16u << 20)
/* Large reads (parts of a readahead) that start this near to the expected place
 * continue the sequence; small ones must start right there. */
#define SLACK (4u << 20)
#define LARGE_READ (32u << 10)

struct ahead {
	struct frame_cache *frames;
	struct pack *pack;
	uint32_t frame;
};

static void decode_ahead(void *arg)
{
	struct ahead *ahead = arg;
	struct frame *frame;
	const struct trailer *trailer = ahead->pack->trailer;
	/* A failure will be reported by the read that gets there. */
	if (frame_cache_get(ahead->frames, ahead->pack, ahead->frame,
			    trailer->frames[ahead->frame].plain_len, &frame)
			== 0)
		frame_cache_unpin(frame);
	pack_cache_release(ahead->pack);
	free(ahead);
}

/* False: the queue is full. */
static bool queue_frame(struct image_reader *reader, struct chunk_place *place)
{
	const struct trailer *trailer = place->pack->trailer;
	struct ahead *ahead = malloc(sizeof(*ahead));
	if (ahead == NULL)
		return false;
	*ahead = (struct ahead){ .frames = reader->frames,
		.pack = pack_cache_hold(place->pack),
		.frame = trailer->chunks[place->chunk].frame };
	if (pool_try(reader->pool, decode_ahead, ahead))
		return true;
	pack_cache_release(ahead->pack);
	free(ahead);
	return false;
}

/* Queues the frames of the entries in [at, end) of the span; returns where it
 * had to stop. */
static uint32_t prefetch_leaf(struct image *image, const struct leaf *leaf,
		uint32_t at, uint32_t end)
{
	struct image_reader *reader = image->reader;
	struct pack_id last_pack = { { 0 } };
	uint32_t last_frame = UINT32_MAX;
	bool room = true;
	for (uint32_t k = image_entry_at(leaf, at);
			k < leaf->count && leaf->entries[k].offset < end; k++) {
		const struct leaf_entry *entry = &leaf->entries[k];
		struct chunk_place place;
		if (entry->hole)
			continue;
		if (pack_cache_locate(reader->packs, PACK_DATA, &entry->id,
				    NULL, &place)
				< 0)
			continue;
		const struct trailer *trailer = place.pack->trailer;
		uint32_t frame = trailer->chunks[place.chunk].frame;
		bool same = frame == last_frame
				&& memcmp(&last_pack, &trailer->pack,
						   sizeof(last_pack))
						== 0;
		if (!same
				&& !frame_cache_has(reader->frames, place.pack,
						frame))
			room = queue_frame(reader, &place);
		last_pack = trailer->pack;
		last_frame = frame;
		pack_cache_release(place.pack);
		if (!room)
			return entry->offset;
	}
	return end;
}

uint64_t image_prefetch(struct image *image, uint64_t offset, uint64_t len)
{
	if (image->reader->pool == NULL || offset >= image->size)
		return offset;
	uint64_t end = offset + min_u64(len, image->size - offset);
	while (offset < end) {
		uint64_t span = offset / SPAN_SIZE, start = span * SPAN_SIZE;
		uint64_t span_store_end = min_u64(start + SPAN_SIZE, end);
		struct cached_node *node;
		if (image_leaf(image, span, &node, NULL) < 0)
			return end; /* reported by the read that gets there */
		uint64_t reached = span_store_end;
		if (node != NULL)
			reached = start
					+ prefetch_leaf(image, node->leaf,
							(uint32_t)(offset
									- start),
							(uint32_t)(span_store_end
									- start));
		node_cache_release(node);
		offset = max_u64(offset, reached);
		if (offset < span_store_end)
			break;
	}
	return offset;
}

void image_prefetch_note_sequence(struct image_sequence *sequence,
		uint64_t offset, uint64_t len, image_prefetch_fn *prefetch,
		void *ctx)
{
	uint64_t next = sequence->next, window = sequence->window,
		 ahead = sequence->ahead;
	uint64_t end = offset + len;
	uint64_t slack = len >= LARGE_READ ? SLACK : 0;
	if (offset + slack < next || offset > next + slack) {
		/* Somewhere else: a random reader, until it continues there. */
		sequence->next = end;
		sequence->window = 0;
		sequence->ahead = end;
		return;
	}
	if (end > next)
		sequence->next = end;
	if (ahead < end)
		ahead = end;
	window = window == 0 ? WINDOW_FIRST : window;
	if (ahead - end > window / 2)
		return;
	uint64_t upto = end + window;
	sequence->window = min_u64(2 * window, WINDOW_MAX);
	/* Another thread noting a read meanwhile must not ask again. */
	sequence->ahead = upto;
	uint64_t reached = prefetch(ctx, ahead, upto - ahead);
	if (reached < upto)
		sequence->ahead = reached;
}

static uint64_t prefetch_image(void *ctx, uint64_t offset, uint64_t len)
{
	return image_prefetch(ctx, offset, len);
}

void image_prefetch_note_read(struct image *image,
		struct image_sequence *sequence, uint64_t offset, uint64_t len)
{
	image_prefetch_note_sequence(sequence, offset, len, prefetch_image,
			image);
}
