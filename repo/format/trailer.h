/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A pack's table of frames and chunks, which lies behind its frames (pack.h).
 * Plain form:
 *
 *	0	4	frame count F
 *	4	4	chunk count C
 *	8	12 F	per frame: stored length u32 (box), plain length u32,
 *			chunks u16 - 1, compression u8 (0 none, 1 zstd), zero u8
 *	…	44 C	per chunk, in frame order: id 32, plain length u32,
 *			checksum u64 (checksum.h)
 *
 * In a pack of version 1 the records of chunks end before the checksum.
 */
#ifndef AMBERFS_FORMAT_TRAILER_H
#define AMBERFS_FORMAT_TRAILER_H

#include "pack.h"
#include "repo/crypto/seal.h"

#define PACK_FRAMES_MAX 65536u
#define PACK_CHUNKS_MAX 65536u
#define FRAME_PLAIN_MAX (1u << 20)
#define FRAME_CHUNKS_MAX 1024u /* a writer's; readers take any number */
#define TRAILER_SIZE_MAX                                                       \
	(8 + 12 * PACK_FRAMES_MAX + 44 * PACK_CHUNKS_MAX + SEAL_OVERHEAD)

/* No box, no frame and no chunk is empty, and a pack has at least one. */
#define TRAILER_BOX_MIN (8 + 12 + 36 + SEAL_OVERHEAD)

enum frame_compression { FRAME_STORED = 0, FRAME_ZSTD = 1 };

struct frame_entry {
	uint64_t offset;     /* of the box, in the pack */
	uint32_t stored_len; /* of the box */
	uint32_t plain_len;
	uint32_t first_chunk;
	uint32_t chunk_count;
	enum frame_compression compression;
};

struct chunk_entry {
	struct id id;
	uint32_t frame;
	uint32_t offset; /* in the frame's plain bytes */
	uint32_t len;
	uint64_t checksum; /* of the plain bytes; 0: not known */
};

/* FRAMES and CHUNKS are arrays of their own from malloc. */
struct trailer {
	struct pack_id pack;
	unsigned version; /* the pack's */
	enum pack_kind kind;
	uint32_t frame_count, chunk_count;
	struct frame_entry *frames;
	struct chunk_entry *chunks;
};

/* Plain form, malloc'ed. TRAILER must keep the bounds that trailer_decode checks;
 * offsets and first chunks are not stored but follow from the order.
 * 0 or -ENOMEM. */
int trailer_encode(const struct trailer *trailer, uint8_t **out, size_t *len);
/* From the plain form; FRAMES_END is the offset where the frames must end. The
 * length tells which version of packs it is of; the header must say the same.
 * Checks every sum. 0, -EBADMSG, -ENOMEM. The result is to be freed. */
int trailer_decode(struct trailer **out, const struct pack_id *pack,
		enum pack_kind kind, const void *plain, size_t len,
		uint64_t frames_end);
void trailer_free(struct trailer *trailer); /* NULL allowed */

#endif
