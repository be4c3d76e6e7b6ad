/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Block-aligned content-defined chunking of one span. A cut is considered only
 * after a 4 KiB block: where XXH3-64 (seeded) of the block has its low bits
 * zero, once the chunk has the minimum, and always at the maximum and the
 * span's end. An all-zero block ends the chunk before it and becomes hole.
 * The state does not outlive the span, so spans may be chunked in any order.
 *
 * Two steps: chunker_scan marks blocks as the data passes by (in pieces of
 * whole blocks) and keeps their hashes, which become the chunks' checksums
 * (checksum.h); chunker_cut turns the marks of a whole span into pieces, or
 * chunker_next those of a span that is known in part into one piece.
 */
#ifndef AMBERFS_IMAGE_CHUNKER_H
#define AMBERFS_IMAGE_CHUNKER_H

#include "repo/format/node.h"

#define SPAN_BLOCKS (SPAN_SIZE / BLOCK_SIZE)

struct chunker {
	uint64_t seed;
	uint32_t min, average, max; /* bytes, multiples of BLOCK_SIZE;
					   average a power of two */
};

enum block_mark {
	BLOCK_PLAIN = 0,
	BLOCK_CUT = 1, /* a chunk may end after this block */
	BLOCK_ZERO = 2,
	BLOCK_UNREAD = 3, /* not all zero; nothing else is known */
};

struct piece {
	uint32_t offset, len; /* in the span, bytes */
	bool hole;
};

/* Marks the blocks of DATA (LEN bytes; only a span's last block may be
 * short). SUMS get their hashes, but those of zero blocks. */
void chunker_scan(const struct chunker *chunker, uint8_t *marks, uint64_t *sums,
		const void *data, uint32_t len);

/* The number of blocks of the piece that begins at MARKS[0], of COUNT that are
 * left of the span. 0: not known before block *UNREAD of them has been read. */
uint32_t chunker_next(const struct chunker *chunker, const uint8_t *marks,
		uint32_t count, uint32_t *unread);

/* Pieces of a span of SPAN_LEN bytes, in order, covering it; adjacent holes
 * are one. All blocks are read. PIECES has room for SPAN_BLOCKS. Returns their
 * number. */
uint32_t chunker_cut(const struct chunker *chunker, const uint8_t *marks,
		uint32_t span_len, struct piece *pieces);

#endif
