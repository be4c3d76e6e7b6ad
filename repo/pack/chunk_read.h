/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A chunk by its id: located, its frame decoded, other copies tried where one
 * is missing or damaged.
 * Threading: all calls may run at once.
 */
#ifndef AMBERFS_PACK_CHUNK_READ_H
#define AMBERFS_PACK_CHUNK_READ_H

#include "frame_cache.h"

/*
 * Pins the frame that holds the chunk; *DATA are its bytes, of which at least
 * UPTO are valid, and which are those of its checksum if it has one. LEN is what
 * the chunk's length must be; 0: any. *CHUNK is what its trailer says of it.
 * 0; -ENOENT, -EBADMSG, -EIO, -ENOMEM with a text. frame_cache_unpin(*frame).
 */
int chunk_read(struct pack_cache *packs, struct frame_cache *frames,
		enum pack_kind kind, const struct id *id, uint32_t len,
		uint32_t upto, struct frame **frame, const uint8_t **data,
		struct chunk_entry *chunk);

#endif
