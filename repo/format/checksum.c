/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "checksum.h"

#include <assert.h>
#include <xxhash.h>

#include "node.h"
#include "repo/base/bytes.h"

#define BLOCKS_MAX (FRAME_PLAIN_MAX / BLOCK_SIZE)

uint64_t checksum_block(uint64_t seed, const void *block, size_t len)
{
	return XXH3_64bits_withSeed(block, len, seed);
}

uint64_t checksum_of_blocks(const uint64_t *blocks, size_t count)
{
	uint8_t bytes[8 * BLOCKS_MAX];
	assert(count >= 1 && count <= BLOCKS_MAX);
	for (size_t i = 0; i < count; i++)
		put_le64(bytes + 8 * i, blocks[i]);
	uint64_t sum = XXH3_64bits(bytes, 8 * count);
	return sum != 0 ? sum : 1; /* 0 stands for none */
}

uint64_t checksum_chunk(uint64_t seed, const void *data, size_t len)
{
	const uint8_t *block = data;
	uint64_t blocks[BLOCKS_MAX];
	size_t count = 0;
	assert(len >= 1 && len <= FRAME_PLAIN_MAX);
	for (size_t at = 0; at < len; at += BLOCK_SIZE)
		blocks[count++] = checksum_block(seed, block + at,
				min_u64(BLOCK_SIZE, len - at));
	return checksum_of_blocks(blocks, count);
}

bool checksum_fits(uint64_t seed, const struct chunk_entry *chunk,
		const void *data)
{
	return chunk->checksum == 0
			|| checksum_chunk(seed, data, chunk->len)
			== chunk->checksum;
}
