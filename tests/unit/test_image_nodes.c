/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: an image of many spans that is written over an earlier one
 * takes over whole nodes of its tree, unread and hardly asked about, and has
 * the very tree of one that was read in full, whatever the sizes of the two. */
#include <stdlib.h>
#include <string.h>

#include "image_fixture.h" /* cmocka has a fail() of its own */
#include "repo/base/bytes.h"
#include "repo/image/chunker.h"

/* UPDATE_CASES and UPDATE_SEED: for long runs. */
static int number_from(const char *variable, int usual)
{
	const char *text = getenv(variable);
	return text != NULL ? (int)strtol(text, NULL, 10) : usual;
}

static uint64_t below(uint64_t n)
{
	return (((uint64_t)rand() << 31) ^ (uint64_t)rand()) % n;
}

static void flush(struct fixture *f)
{
	assert_int_equal(image_writer_flush(f->writer), 0);
	assert_int_equal(chunk_sink_barrier(f->sink, false), 0);
}

/* --- data in a few places --- */

#define PLACES 40

struct place {
	uint64_t block;
	uint32_t version; /* 0: hole */
	bool dirty;
};

struct sparse {
	uint64_t size;
	struct place at[PLACES]; /* ascending */
	_Atomic unsigned asked;
	_Atomic uint64_t read;
};

static const struct place *next_place(const struct sparse *sparse,
		uint64_t offset)
{
	uint64_t block = offset / BLOCK_SIZE;
	int k = 0;
	while (k < PLACES && sparse->at[k].block < block)
		k++;
	return k < PLACES ? &sparse->at[k] : NULL;
}

static int sparse_read(void *ctx, unsigned worker, void *buf, size_t len,
		uint64_t offset)
{
	struct sparse *sparse = ctx;
	uint8_t *to = buf;
	(void)worker;
	assert_int_equal(offset % BLOCK_SIZE, 0);
	sparse->read += len;
	for (uint64_t at = 0; at < len; at += BLOCK_SIZE) {
		const struct place *place = next_place(sparse, offset + at);
		uint64_t n = min_u64(BLOCK_SIZE, len - at);
		bool here = place != NULL
				&& place->block == (offset + at) / BLOCK_SIZE;
		memset(to + at, here ? (int)place->version : 0, n);
	}
	return 0;
}

/* The block at OFFSET, or all up to the next place. */
static void sparse_run(const struct sparse *sparse, uint64_t offset,
		uint64_t limit, const struct place **at, uint64_t *end)
{
	const struct place *place = next_place(sparse, offset);
	bool here = place != NULL && place->block == offset / BLOCK_SIZE;
	*at = here ? place : NULL;
	*end = here			? (place->block + 1) * BLOCK_SIZE
			: place != NULL ? place->block * BLOCK_SIZE
					: limit;
	*end = min_u64(*end, limit);
}

static int sparse_extent(void *ctx, unsigned worker, uint64_t offset,
		uint64_t limit, bool *hole, uint64_t *end)
{
	const struct place *place;
	(void)worker;
	sparse_run(ctx, offset, limit, &place, end);
	*hole = place == NULL || place->version == 0;
	return 0;
}

static int sparse_same(void *ctx, unsigned worker, uint64_t offset,
		uint64_t limit, bool *same, uint64_t *end)
{
	struct sparse *sparse = ctx;
	const struct place *place;
	(void)worker;
	sparse->asked++;
	sparse_run(sparse, offset, limit, &place, end);
	*same = place == NULL || !place->dirty;
	return 0;
}

static int by_block(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	return x->block < y->block ? -1 : x->block > y->block;
}

/* Where nodes begin and end, and anywhere. */
static uint64_t sparse_size(void)
{
	static const uint64_t spans[] = { 1, 2, 200, 255, 256, 257, 511, 513,
		5000, 65535, 65536, 65537, 65792, 70000 };
	uint64_t size = spans[rand() % 14] * SPAN_SIZE;
	return rand() % 2 ? size : size - below(SPAN_SIZE);
}

static struct sparse make_sparse(void)
{
	struct sparse s = { .size = sparse_size() };
	uint64_t centre = below(s.size / BLOCK_SIZE + 1);
	for (int k = 0; k < PLACES; k++) {
		uint64_t room = rand() % 2 ? 10 * SPAN_BLOCKS : 1 << 24;
		s.at[k] = (struct place){ .block = centre + below(room),
			.version = rand() % 5 ? 1 : 0 };
	}
	qsort(s.at, PLACES, sizeof(s.at[0]), by_block);
	for (int k = 1; k < PLACES; k++) /* places may be one */
		if (s.at[k].block == s.at[k - 1].block)
			s.at[k].version = s.at[k - 1].version;
	return s;
}

/* Some places differ, and the size may. */
static struct sparse change_sparse(const struct sparse *base)
{
	struct sparse s = { .size = rand() % 2 ? base->size : sparse_size() };
	memcpy(s.at, base->at, sizeof(s.at));
	for (int k = rand() % 8 - 3; k > 0; k--) {
		struct place *place = &s.at[rand() % PLACES];
		place->version = (uint32_t)rand() % 4;
		place->dirty = true;
	}
	for (int k = 1; k < PLACES; k++)
		if (s.at[k].block == s.at[k - 1].block) {
			s.at[k].version = s.at[k - 1].version;
			s.at[k].dirty = s.at[k - 1].dirty =
					s.at[k].dirty || s.at[k - 1].dirty;
		}
	return s;
}

static void write_sparse(struct fixture *f, struct sparse *sparse,
		struct image *base, struct image_counts *counts,
		struct tree_root *root)
{
	struct image_source source = { .size = sparse->size,
		.read = sparse_read,
		.extent = sparse_extent,
		.ctx = sparse };
	uint64_t size;
	if (base != NULL)
		source.same = sparse_same;
	*counts = (struct image_counts){ .done = 0 };
	assert_int_equal(image_writer_write(f->writer, &source, base, counts,
					 NULL, root, &size),
			0);
	assert_int_equal(counts->done, sparse->size);
	flush(f);
}

/* Of two images, where places differ: all else is the same, in few answers. */
static void check_same_places(struct fixture *f, const struct sparse *sparse,
		const struct tree_root *root, const struct sparse *before,
		struct image *base)
{
	struct image *image;
	int answers = 0;
	assert_int_equal(image_open(&image, f->reader, root, sparse->size), 0);
	for (uint64_t at = 0, end = 0; at < sparse->size; at = end, answers++) {
		bool same = false, differs = false;
		assert_int_equal(image_compare(image, base, at, sparse->size,
						 &same, &end),
				0);
		for (int k = 0; k < PLACES; k++)
			differs = differs
					|| (sparse->at[k].block >= at / BLOCK_SIZE
							&& sparse->at[k].block * BLOCK_SIZE
									< end
							&& sparse->at[k].version
									!= before->at[k].version);
		assert_int_equal(same, !differs);
	}
	assert_true(answers < 3000);
	image_close(image);
}

static void test_whole_nodes(void **state)
{
	struct fixture *f = *state;
	srand((unsigned)number_from("UPDATE_SEED", 1));
	for (int n = number_from("UPDATE_CASES", 120); n > 0; n--) {
		struct sparse first = make_sparse(), next;
		struct image_counts counts;
		struct tree_root root, full, updated;
		struct image *base;
		write_sparse(f, &first, NULL, &counts, &root);
		assert_int_equal(image_open(&base, f->reader, &root,
						 first.size),
				0);
		next = change_sparse(&first);
		write_sparse(f, &next, base, &counts, &updated);
		/* Neither spans nor nodes without changes are asked about. */
		assert_true(next.asked < 12 * PLACES);
		if (next.size == first.size)
			assert_true(next.read <= 4 * 3 * BLOCK_SIZE);
		write_sparse(f, &next, NULL, &counts, &full);
		assert_int_equal(full.level, updated.level);
		assert_int_equal(full.data_bytes, updated.data_bytes);
		assert_int_equal(full.clusters, updated.clusters);
		assert_memory_equal(&full.id, &updated.id, ID_SIZE);
		if (next.size == first.size)
			check_same_places(f, &next, &full, &first, base);
		image_close(base);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whole_nodes, setup_plain,
				teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
