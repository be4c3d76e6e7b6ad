/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Decoded frames in memory: a sharded cache of bounded size. A frame wanted by
 * several threads is decoded by one (single flight), the others wait for it. A
 * frame that only a random read wants is decoded up to the byte needed; if more
 * of it is wanted later, it is decoded whole.
 *
 * Threading: all calls may run at once.
 */
#ifndef AMBERFS_PACK_FRAME_CACHE_H
#define AMBERFS_PACK_FRAME_CACHE_H

#include "pack_cache.h"

struct frame_cache;

struct frame {
	const uint8_t *data; /* plain bytes; valid while pinned */
	uint32_t valid;	     /* how many of them; whole chunks, if they have
				checksums */
	/* Which chunks have other bytes than their checksums say, a bit each;
	 * NULL: none. */
	const uint8_t *bad;
	/* the rest of the object belongs to frame_cache.c */
};

/* SIZE: bytes of plain data kept, pinned ones included as far as possible. */
struct frame_cache *frame_cache_new(struct pack_cache *packs, uint64_t size);
void frame_cache_free(struct frame_cache *cache);

/* Pins the frame with at least UPTO plain bytes valid, which is where a chunk
 * ends. Bad chunks are recorded as damage of the frame, but the others can be
 * read: callers look at frame_cache_is_bad. 0; -EBADMSG, -ENOENT,
 * -EIO, -ENOMEM (with a text). */
int frame_cache_get(struct frame_cache *cache, struct pack *pack,
		uint32_t frame, uint32_t upto, struct frame **out);
/* CHUNK: from the frame's first. */
bool frame_cache_is_bad(const struct frame *frame, uint32_t chunk);
void frame_cache_unpin(struct frame *frame); /* NULL allowed */

/* True if it is there, or being decoded, whole. */
bool frame_cache_has(struct frame_cache *cache, const struct pack *pack,
		uint32_t frame);

#endif
