/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The checksum of a chunk's plain bytes, which its pack's trailer keeps: XXH3-64
 * over the XXH3-64 of each block. The blocks' are those that decide where an
 * image is cut (seeded as those are), so they are there as soon as the bytes
 * are read, long before there is a chunk, and cost nothing. It tells bytes that
 * changed in memory between reading and storing, or between storing and
 * reading, from those that did not; it is no defence against intent, which is
 * the ids' and the seals' part.
 *
 * SEED: seal_cut_seed() of the repository.
 */
#ifndef AMBERFS_FORMAT_CHECKSUM_H
#define AMBERFS_FORMAT_CHECKSUM_H

#include "trailer.h"

/* Of one block: BLOCK_SIZE bytes, or what a chunk ends with. */
uint64_t checksum_block(uint64_t seed, const void *block, size_t len);
/* Of a chunk, from those of its COUNT blocks; never 0. At most FRAME_PLAIN_MAX
 * bytes are a chunk. */
uint64_t checksum_of_blocks(const uint64_t *blocks, size_t count);
/* Both at once. */
uint64_t checksum_chunk(uint64_t seed, const void *data, size_t len);

/* True unless the checksum that CHUNK has is another than that of its bytes at
 * DATA. */
bool checksum_fits(uint64_t seed, const struct chunk_entry *chunk,
		const void *data);

#endif
