/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Marks blocks and cuts spans; see chunker.h for the rules. Neither reads
 * files nor knows ids: it sees one span's bytes, and then only their marks.
 */
#include "chunker.h"

#include "repo/base/bytes.h"
#include "repo/format/checksum.h"

/* The zero test comes first: most blocks of data fail it within their first
 * bytes, and a zero block must never count as a place to cut. */
static uint8_t mark(const struct chunker *chunker, const uint8_t *block,
		uint32_t len, uint64_t *sum)
{
	uint64_t mask = chunker->average / BLOCK_SIZE - 1;
	if (bytes_are_zero(block, len))
		return BLOCK_ZERO;
	*sum = checksum_block(chunker->seed, block, len);
	return (*sum & mask) == 0 ? BLOCK_CUT : BLOCK_PLAIN;
}

void chunker_scan(const struct chunker *chunker, uint8_t *marks, uint64_t *sums,
		const void *data, uint32_t len)
{
	const uint8_t *block = data;
	while (len > 0) {
		uint32_t n = len < BLOCK_SIZE ? len : BLOCK_SIZE;
		*marks++ = mark(chunker, block, n, sums++);
		block += n;
		len -= n;
	}
}

/* Blocks of the hole that starts at MARKS[0]. */
static uint32_t hole_blocks(const uint8_t *marks, uint32_t count)
{
	uint32_t n = 1;
	while (n < count && marks[n] == BLOCK_ZERO)
		n++;
	return n;
}

/* Blocks of the chunk that starts at MARKS[0]; as chunker_next. */
static uint32_t chunk_blocks(const struct chunker *chunker,
		const uint8_t *marks, uint32_t count, uint32_t *unread)
{
	uint32_t min = chunker->min / BLOCK_SIZE,
		 max = chunker->max / BLOCK_SIZE;
	uint32_t n = 0;
	do {
		if (marks[n] == BLOCK_UNREAD) {
			*unread = n;
			return 0;
		}
		n++;
	} while (n < count && n < max && marks[n] != BLOCK_ZERO
			&& !(n >= min && marks[n - 1] == BLOCK_CUT));
	return n;
}

uint32_t chunker_next(const struct chunker *chunker, const uint8_t *marks,
		uint32_t count, uint32_t *unread)
{
	return marks[0] == BLOCK_ZERO
			? hole_blocks(marks, count)
			: chunk_blocks(chunker, marks, count, unread);
}

uint32_t chunker_cut(const struct chunker *chunker, const uint8_t *marks,
		uint32_t span_len, struct piece *pieces)
{
	uint32_t count =
			(uint32_t)(round_up(span_len, BLOCK_SIZE) / BLOCK_SIZE);
	uint32_t at = 0, made = 0, unread;
	while (at < count) {
		bool hole = marks[at] == BLOCK_ZERO;
		uint32_t start = at * BLOCK_SIZE;
		at += chunker_next(chunker, marks + at, count - at, &unread);
		/* Only the span's last block may be short. */
		uint32_t end = at == count ? span_len : at * BLOCK_SIZE;
		pieces[made++] = (struct piece){ .offset = start,
			.len = end - start,
			.hole = hole };
	}
	return made;
}
