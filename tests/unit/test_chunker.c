/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: pieces cover a span by the rules, however it was fed. */
#include "repo/base/bytes.h"
#include "repo/format/checksum.h"
#include "repo/image/chunker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct chunker usual = { .seed = 0x1234567,
	.min = 16384,
	.average = 65536,
	.max = 262144 };

struct span {
	uint8_t *data;
	uint8_t marks[SPAN_BLOCKS];
	uint64_t sums[SPAN_BLOCKS];
	struct piece pieces[SPAN_BLOCKS];
	uint32_t len, count;
};

/* xorshift64: the same bytes on every run. */
static void fill(uint8_t *p, size_t len, uint64_t seed)
{
	for (size_t i = 0; i < len; i++) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		p[i] = (uint8_t)(seed >> 32);
	}
}

static struct span *span_new(uint32_t len, uint64_t seed)
{
	struct span *span = calloc(1, sizeof(*span));
	assert_non_null(span);
	span->data = malloc(len);
	assert_non_null(span->data);
	span->len = len;
	fill(span->data, len, seed);
	return span;
}

static void span_free(struct span *span)
{
	free(span->data);
	free(span);
}

static void span_cut(struct span *span, const struct chunker *chunker)
{
	chunker_scan(chunker, span->marks, span->sums, span->data, span->len);
	span->count = chunker_cut(chunker, span->marks, span->len,
			span->pieces);
}

static void zero(struct span *span, uint32_t block, uint32_t blocks)
{
	memset(span->data + block * BLOCK_SIZE, 0, blocks * BLOCK_SIZE);
}

/* What must hold for every span: cover, limits, holes, reasons for cuts. */
static void check_rules(const struct span *span, const struct chunker *chunker)
{
	uint32_t at = 0;
	for (uint32_t i = 0; i < span->count; i++) {
		const struct piece *piece = &span->pieces[i];
		bool last = i + 1 == span->count;
		assert_int_equal(piece->offset, at);
		assert_true(piece->len > 0);
		at += piece->len;
		uint32_t end_block = (at - 1) / BLOCK_SIZE;
		for (uint32_t b = piece->offset / BLOCK_SIZE; b <= end_block;
				b++)
			assert_int_equal(span->marks[b] == BLOCK_ZERO,
					piece->hole);
		if (!last)
			assert_int_equal(at % BLOCK_SIZE, 0);
		if (piece->hole) {
			assert_true(last || !span->pieces[i + 1].hole);
			continue;
		}
		assert_true(piece->len <= chunker->max);
		bool natural = piece->len >= chunker->min
				&& span->marks[end_block] == BLOCK_CUT;
		if (!last && !span->pieces[i + 1].hole)
			assert_true(natural || piece->len == chunker->max);
		/* No place to cut was passed by. */
		for (uint32_t b = (piece->offset + chunker->min) / BLOCK_SIZE;
				b <= end_block; b++)
			assert_true(span->marks[b - 1] != BLOCK_CUT);
	}
	assert_int_equal(at, span->len);
}

static void test_random_span(void **state)
{
	(void)state;
	struct span *span = span_new(SPAN_SIZE, 42);
	span_cut(span, &usual);
	check_rules(span, &usual);
	/* Average 64 KiB and the minimum before it: 80 KiB or so. */
	assert_in_range(span->count, 150, 300);
	span_free(span);
}

static void test_holes(void **state)
{
	(void)state;
	struct span *span = span_new(SPAN_SIZE, 43);
	zero(span, 0, 3);      /* at the start */
	zero(span, 100, 1);    /* alone */
	zero(span, 102, 2);    /* after one block of data */
	zero(span, 1000, 999); /* two runs that touch */
	zero(span, 1999, 1);
	zero(span, SPAN_BLOCKS - 5, 5);
	span_cut(span, &usual);
	check_rules(span, &usual);
	uint32_t holes = 0, big = 0;
	for (uint32_t i = 0; i < span->count; i++) {
		holes += span->pieces[i].hole;
		big += span->pieces[i].hole
				&& span->pieces[i].len == 1000 * BLOCK_SIZE;
	}
	assert_int_equal(holes, 5);
	assert_int_equal(big, 1);
	span_free(span);
}

static void test_all_zero(void **state)
{
	(void)state;
	struct span *span = span_new(SPAN_SIZE, 44);
	zero(span, 0, SPAN_BLOCKS);
	span_cut(span, &usual);
	assert_int_equal(span->count, 1);
	assert_true(span->pieces[0].hole);
	assert_int_equal(span->pieces[0].len, SPAN_SIZE);
	span_free(span);
}

/* One byte other than zero makes a block data, wherever it stands. */
static void test_almost_zero(void **state)
{
	(void)state;
	static const uint32_t places[] = { 0, 1, 15, 16, 17, 2048, 4095 };
	uint8_t block[BLOCK_SIZE] = { 0 };
	uint8_t m = BLOCK_PLAIN;
	uint64_t sum;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		block[places[i]] = 1;
		chunker_scan(&usual, &m, &sum, block, sizeof(block));
		assert_int_not_equal(m, BLOCK_ZERO);
		block[places[i]] = 0;
		chunker_scan(&usual, &m, &sum, block, sizeof(block));
		assert_int_equal(m, BLOCK_ZERO);
	}
}

static void test_alternating(void **state)
{
	(void)state;
	struct span *span = span_new(SPAN_SIZE, 45);
	for (uint32_t b = 0; b < SPAN_BLOCKS; b += 2)
		zero(span, b, 1);
	span_cut(span, &usual);
	check_rules(span, &usual);
	assert_int_equal(span->count, SPAN_BLOCKS);
	span_free(span);
}

/* Equal blocks that never are a place to cut: only the maximum cuts. */
static void test_maximum(void **state)
{
	(void)state;
	struct span *span = span_new(SPAN_SIZE, 46);
	struct chunker c = usual;
	uint8_t m;
	uint64_t sum;
	do {
		c.seed++;
		chunker_scan(&c, &m, &sum, span->data, BLOCK_SIZE);
	} while (m != BLOCK_PLAIN);
	for (uint32_t b = 1; b < SPAN_BLOCKS; b++)
		memcpy(span->data + b * BLOCK_SIZE, span->data, BLOCK_SIZE);
	span_cut(span, &c);
	check_rules(span, &c);
	assert_int_equal(span->count, SPAN_SIZE / c.max);
	span_free(span);
}

/* Every block is a place to cut: only the minimum holds back. */
static void test_minimum(void **state)
{
	(void)state;
	struct span *span = span_new(SPAN_SIZE, 47);
	struct chunker c = usual;
	c.average = BLOCK_SIZE;
	span_cut(span, &c);
	check_rules(span, &c);
	assert_int_equal(span->count, SPAN_SIZE / c.min);
	span_free(span);
}

static void test_short_last_block(void **state)
{
	(void)state;
	static const uint32_t lens[] = { 1, 4095, 4096, 4097, 16385, 262145,
		1000001, SPAN_SIZE - 1 };
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		struct span *span = span_new(lens[i], 48 + i);
		span->data[lens[i] - 1] = 1;
		span_cut(span, &usual);
		check_rules(span, &usual);
		assert_false(span->pieces[span->count - 1].hole);
		/* The same with the last block zero: a short hole. */
		uint32_t tail = (lens[i] - 1) % BLOCK_SIZE + 1;
		memset(span->data + lens[i] - tail, 0, tail);
		span_cut(span, &usual);
		check_rules(span, &usual);
		assert_true(span->pieces[span->count - 1].hole);
		span_free(span);
	}
}

/* What the scan keeps gives each chunk the checksum of its bytes. */
static void test_checksums(void **state)
{
	(void)state;
	struct span *span = span_new(SPAN_SIZE / 4 - 1234, 61);
	zero(span, 77, 100);
	span_cut(span, &usual);
	for (uint32_t i = 0; i < span->count; i++) {
		const struct piece *piece = &span->pieces[i];
		if (piece->hole)
			continue;
		struct chunk_entry chunk = { .len = piece->len };
		chunk.checksum = checksum_of_blocks(span->sums
						+ piece->offset / BLOCK_SIZE,
				(piece->len + BLOCK_SIZE - 1) / BLOCK_SIZE);
		uint8_t *data = span->data + piece->offset;
		assert_true(checksum_fits(usual.seed, &chunk, data));
		data[piece->len - 1] ^= 1;
		assert_false(checksum_fits(usual.seed, &chunk, data));
		chunk.checksum = 0;
		assert_true(checksum_fits(usual.seed, &chunk, data));
	}
	span_free(span);
}

/* Marks do not depend on the sizes in which the data passed by. */
static void test_fed_in_pieces(void **state)
{
	(void)state;
	static uint8_t marks[SPAN_BLOCKS];
	static uint64_t sums[SPAN_BLOCKS];
	struct span *span = span_new(SPAN_SIZE - 1234, 60);
	zero(span, 77, 100);
	span_cut(span, &usual);
	for (uint32_t step = 1; step < 300; step = step * 3 + 1) {
		memset(marks, 0xff, sizeof(marks));
		for (uint32_t b = 0; b * BLOCK_SIZE < span->len; b += step) {
			uint32_t at = b * BLOCK_SIZE;
			uint32_t n = step * BLOCK_SIZE;
			if (n > span->len - at)
				n = span->len - at;
			chunker_scan(&usual, marks + b, sums + b,
					span->data + at, n);
		}
		assert_memory_equal(marks, span->marks, SPAN_BLOCKS);
	}
	span_free(span);
}

/* A change moves cuts only until a new cut meets an old one. */
static void test_change_stays_local(void **state)
{
	(void)state;
	struct span *s = span_new(SPAN_SIZE, 61);
	struct span *t = span_new(SPAN_SIZE, 61);
	fill(t->data + (8u << 20), 3 * BLOCK_SIZE, 99);
	span_cut(s, &usual);
	span_cut(t, &usual);
	uint32_t same = 0;
	for (uint32_t i = 0, j = 0; i < s->count && j < t->count;) {
		const struct piece *p = &s->pieces[i], *q = &t->pieces[j];
		if (p->offset == q->offset && p->len == q->len)
			same += p->len;
		if (p->offset <= q->offset)
			i++;
		else
			j++;
	}
	assert_true(same > SPAN_SIZE - (2u << 20));
	span_free(s);
	span_free(t);
}

/* Stored repositories depend on these very cuts to find duplicates. */
static void test_cuts_are_stable(void **state)
{
	(void)state;
	struct span *span = span_new(1u << 20, 7);
	span_cut(span, &usual);
	check_rules(span, &usual);
	uint64_t sum = 0;
	for (uint32_t i = 0; i < span->count; i++)
		sum = sum * 31 + span->pieces[i].len / BLOCK_SIZE;
	assert_int_equal(span->count, 13);
	assert_int_equal(sum, 0xe997cfd765571f46);
	struct chunker other = usual;
	other.seed++;
	uint8_t before[SPAN_BLOCKS];
	memcpy(before, span->marks, sizeof(before));
	span_cut(span, &other);
	assert_memory_not_equal(before, span->marks, (1u << 20) / BLOCK_SIZE);
	span_free(span);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_span),
		cmocka_unit_test(test_holes),
		cmocka_unit_test(test_all_zero),
		cmocka_unit_test(test_almost_zero),
		cmocka_unit_test(test_alternating),
		cmocka_unit_test(test_maximum),
		cmocka_unit_test(test_minimum),
		cmocka_unit_test(test_short_last_block),
		cmocka_unit_test(test_checksums),
		cmocka_unit_test(test_fed_in_pieces),
		cmocka_unit_test(test_change_stays_local),
		cmocka_unit_test(test_cuts_are_stable),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
