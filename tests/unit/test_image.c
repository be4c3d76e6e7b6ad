/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: what image_writer_write stores, image_pread, image_read_iov,
 * image_seek and image_copy give back: bytes, size, holes and counts, for
 * random patterns of data and holes, for files and streams, encrypted or not,
 * new or over an earlier image. */
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/image/image_copy.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int out_of_order(void)
{
	return fail(-EIO, "sector %d", 42);
}

#include "image_fixture.h" /* cmocka has a fail() of its own */

/* --- a source in memory, with a map of holes by 512-byte sectors --- */

struct memory {
	uint8_t *bytes;
	uint64_t size, at;
	bool hide_holes;
};

static int memory_read(void *ctx, unsigned worker, void *buf, size_t len,
		uint64_t offset)
{
	struct memory *memory = ctx;
	assert_true(worker < WORKERS);
	assert_true(offset + len <= memory->size);
	memcpy(buf, memory->bytes + offset, len);
	return 0;
}

static bool sector_zero(const struct memory *memory, uint64_t at)
{
	uint64_t n = min_u64(512, memory->size - at);
	return bytes_are_zero(memory->bytes + at, n);
}

static int memory_extent(void *ctx, unsigned worker, uint64_t offset,
		uint64_t limit, bool *hole, uint64_t *end)
{
	struct memory *memory = ctx;
	(void)worker;
	uint64_t at = offset / 512 * 512;
	*hole = !memory->hide_holes && sector_zero(memory, at);
	while (at < limit
			&& (!memory->hide_holes && sector_zero(memory, at))
					== *hole)
		at += 512;
	*end = min_u64(at, limit);
	return 0;
}

static ssize_t memory_next(void *ctx, void *buf, size_t len)
{
	struct memory *memory = ctx;
	size_t n = min_u64(len, memory->size - memory->at);
	if (n > 1000) /* short reads, as pipes do */
		n -= (size_t)rand() % 1000;
	memcpy(buf, memory->bytes + memory->at, n);
	memory->at += n;
	return (ssize_t)n;
}

static void fill_random(struct memory *memory, uint64_t from, uint64_t to)
{
	fill_noise(memory->bytes + from, to - from);
}

/* SIZE bytes with random runs of data, of zeros, and of repeats. */
static struct memory make_memory(uint64_t size)
{
	struct memory m = { .bytes = calloc(1, size + 1), .size = size };
	assert_non_null(m.bytes);
	for (uint64_t at = 0; at < size;) {
		uint64_t run = (uint64_t)(rand() % 300 + 1)
				* (rand() % 4 ? 4096 : 777);
		uint64_t end = min_u64(at + run, size);
		if (rand() % 3 == 0)
			fill_random(&m, at, end);
		else if (rand() % 2 && at > 65536)
			memcpy(m.bytes + at, m.bytes, min_u64(end - at, at));
		at = end;
	}
	return m;
}

/* --- storing and comparing --- */

static void store(struct fixture *f, struct memory *memory, bool stream,
		struct image *base, struct image_counts *counts,
		struct tree_root *root)
{
	struct image_source s = { .size = memory->size,
		.read = memory_read,
		.extent = memory_extent,
		.ctx = memory };
	uint64_t size;
	if (stream)
		s = (struct image_source){ .next = memory_next, .ctx = memory };
	*counts = (struct image_counts){ .done = 0 };
	assert_int_equal(image_writer_write(f->writer, &s, base, counts, NULL,
					 root, &size),
			0);
	assert_int_equal(size, memory->size);
	fixture_flush(f);
}

static void check_seeks(struct image *image, const struct memory *memory)
{
	/* The image's holes are its zero blocks, the last maybe short. */
	for (int k = 0; k < 300; k++) {
		uint64_t at = (uint64_t)rand() % memory->size;
		uint64_t block = at / BLOCK_SIZE * BLOCK_SIZE;
		bool want_hole = rand() % 2;
		uint64_t expect = memory->size;
		for (uint64_t b = block; b < memory->size; b += BLOCK_SIZE) {
			uint64_t n = min_u64(BLOCK_SIZE, memory->size - b);
			if (bytes_are_zero(memory->bytes + b, n) == want_hole) {
				expect = max_u64(b, at);
				break;
			}
		}
		off_t got = image_seek(image, (off_t)at,
				want_hole ? SEEK_HOLE : SEEK_DATA);
		if (!want_hole && expect == memory->size)
			assert_int_equal(got, -ENXIO);
		else
			assert_int_equal(got, (off_t)expect);
	}
	assert_int_equal(image_seek(image, (off_t)memory->size, SEEK_DATA),
			-ENXIO);
	assert_int_equal(image_seek(image, (off_t)memory->size, SEEK_HOLE),
			-ENXIO);
	assert_int_equal(image_seek(image, -1, SEEK_HOLE), -ENXIO);
}

static void check_iov(struct image *image, const struct memory *memory,
		uint64_t at, size_t len)
{
	struct iovec iov[64];
	struct frame *pins[64];
	struct image_iov v = { .iov = iov, .pins = pins, .room = 64 };
	ssize_t n = image_read_iov(image, &v, len, at);
	if (n == -E2BIG)
		return;
	assert_int_equal(n, min_u64(len, memory->size - at));
	for (int k = 0; k < v.count; k++) {
		assert_memory_equal(iov[k].iov_base, memory->bytes + at,
				iov[k].iov_len);
		at += iov[k].iov_len;
	}
	image_unpin(&v);
}

static void check_image(struct fixture *f, const struct memory *memory,
		const struct tree_root *root)
{
	struct image *image;
	assert_int_equal(image_open(&image, f->reader, root, memory->size), 0);
	CLEANUP_FREE uint8_t *buf = malloc(memory->size + 1);
	assert_int_equal(image_pread(image, buf, memory->size + 1, 0),
			memory->size);
	assert_memory_equal(buf, memory->bytes, memory->size);
	for (int k = 0; k < 300 && memory->size > 0; k++) {
		uint64_t at = (uint64_t)rand() % memory->size;
		size_t len = (size_t)(rand() % 400000);
		size_t expect = min_u64(len, memory->size - at);
		if (k % 7 == 0)
			image_prefetch(image, at, len);
		assert_int_equal(image_pread(image, buf, len, at), expect);
		assert_memory_equal(buf, memory->bytes + at, expect);
		check_iov(image, memory, at, len);
	}
	assert_int_equal(image_pread(image, buf, 10, memory->size), 0);
	if (memory->size > 0)
		check_seeks(image, memory);
	image_close(image);
}

static uint64_t data_bytes(const struct memory *memory)
{
	uint64_t sum = 0;
	for (uint64_t b = 0; b < memory->size; b += BLOCK_SIZE) {
		uint64_t n = min_u64(BLOCK_SIZE, memory->size - b);
		sum += bytes_are_zero(memory->bytes + b, n) ? 0 : n;
	}
	return sum;
}

static void test_round_trips(void **state)
{
	static const uint64_t sizes[] = { 0, 1, 511, 4096, 4097, 65536, 1000000,
		SPAN_SIZE - 1, SPAN_SIZE, SPAN_SIZE + 1,
		3 * (uint64_t)SPAN_SIZE + 12345 };
	struct fixture *f = *state;
	srand(1);
	for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
		struct memory m = make_memory(sizes[k]);
		struct image_counts counts;
		struct tree_root direct, streamed, blind;
		store(f, &m, false, NULL, &counts, &direct);
		assert_int_equal(counts.read + counts.holes, m.size);
		assert_int_equal(direct.data_bytes, data_bytes(&m));
		check_image(f, &m, &direct);
		/* However the bytes came in, the tree is the same. */
		store(f, &m, true, NULL, &counts, &streamed);
		m.hide_holes = true;
		store(f, &m, false, NULL, &counts, &blind);
		assert_memory_equal(&direct.id, &streamed.id, ID_SIZE);
		assert_memory_equal(&direct.id, &blind.id, ID_SIZE);
		free(m.bytes);
	}
}

static void test_over_base(void **state)
{
	struct fixture *f = *state;
	struct memory m = make_memory(5 * (uint64_t)SPAN_SIZE + 999);
	struct image_counts counts;
	struct chunk_sink_stats before, after;
	struct tree_root first, second;
	struct image *base;
	srand(2);
	fill_random(&m, 0, 100000);
	store(f, &m, false, NULL, &counts, &first);
	assert_int_equal(image_open(&base, f->reader, &first, m.size), 0);
	/* The same again: every span is recognised, where there are proofs. */
	store(f, &m, false, base, &counts, &second);
	assert_memory_equal(&first.id, &second.id, ID_SIZE);
	if (seal_encrypts(f->repo->seal))
		assert_int_equal(counts.same, first.data_bytes);
	/* One block of one span differs: little is new. */
	fill_random(&m, SPAN_SIZE + 40960, SPAN_SIZE + 45056);
	chunk_sink_stats(f->sink, &before);
	store(f, &m, false, base, &counts, &second);
	chunk_sink_stats(f->sink, &after);
	assert_memory_not_equal(&first.id, &second.id, ID_SIZE);
	assert_in_range(after.new_bytes - before.new_bytes, 4096, 1 << 20);
	check_image(f, &m, &second);
	image_close(base);
	free(m.bytes);
}

/* Spans of the base are taken over on the source's word, and not read; that a
 * span is the base's where there is no base is nothing to go by. */
static int all_but_second(void *ctx, unsigned worker, uint64_t offset,
		uint64_t limit, bool *same, uint64_t *end)
{
	const struct memory *memory = ctx;
	assert_true(worker < WORKERS);
	assert_true(offset < limit && limit <= memory->size);
	*same = offset / SPAN_SIZE != 1;
	*end = min_u64(offset < SPAN_SIZE	? SPAN_SIZE
					: *same ? memory->size
						: 2 * (uint64_t)SPAN_SIZE,
			limit);
	return 0;
}

static void test_same(void **state)
{
	struct fixture *f = *state;
	struct memory m = make_memory(4 * (uint64_t)SPAN_SIZE + 999);
	struct image_source s = { .size = m.size,
		.read = memory_read,
		.same = all_but_second,
		.ctx = &m };
	struct image_counts counts;
	struct tree_root first, second, plain;
	struct image *base;
	uint64_t size;
	memset(m.bytes + 2 * (uint64_t)SPAN_SIZE, 0, SPAN_SIZE);
	store(f, &m, false, NULL, &counts, &first);
	assert_int_equal(image_open(&base, f->reader, &first, m.size), 0);
	fill_random(&m, SPAN_SIZE + 40960, SPAN_SIZE + 45056);
	counts = (struct image_counts){ .done = 0 };
	assert_int_equal(image_writer_write(f->writer, &s, base, &counts, NULL,
					 &second, &size),
			0);
	assert_int_equal(counts.read, SPAN_SIZE);
	assert_int_equal(counts.done, m.size);
	fixture_flush(f);
	check_image(f, &m, &second);
	counts = (struct image_counts){ .done = 0 };
	assert_int_equal(image_writer_write(f->writer, &s, NULL, &counts, NULL,
					 &plain, &size),
			0);
	assert_int_equal(counts.read, m.size);
	assert_memory_equal(&plain.id, &second.id, ID_SIZE);
	image_close(base);
	free(m.bytes);
}

/* An image's own map of holes says what its bytes say, and may call data what
 * is a hole only when asked about more than a span. */
static void test_extent(void **state)
{
	struct fixture *f = *state;
	struct memory m = make_memory(3 * (uint64_t)SPAN_SIZE + 5000);
	struct image_counts counts;
	struct tree_root root;
	struct image *image;
	memset(m.bytes + SPAN_SIZE, 0, SPAN_SIZE);
	store(f, &m, false, NULL, &counts, &root);
	assert_int_equal(image_open(&image, f->reader, &root, m.size), 0);
	for (int k = 0; k < 2000; k++) {
		uint64_t at = (uint64_t)rand() % m.size, end = 0;
		uint64_t limit = at + 1 + (uint64_t)rand() % (m.size - at);
		bool hole = false;
		assert_int_equal(image_seek_extent(image, at, limit, &hole,
						 &end),
				0);
		assert_true(end > at && end <= limit);
		assert_true(!hole || bytes_are_zero(m.bytes + at, end - at));
		if (hole || at % SPAN_SIZE == 0)
			continue;
		for (uint64_t b = at / BLOCK_SIZE * BLOCK_SIZE; b < end;
				b += BLOCK_SIZE)
			assert_false(bytes_are_zero(m.bytes + b,
					min_u64(BLOCK_SIZE, m.size - b)));
	}
	image_close(image);
	free(m.bytes);
}

/* 20 TiB with data in a few places: three levels, made in no time. */
struct huge {
	uint64_t places[8];
};

static int huge_read(void *ctx, unsigned worker, void *buf, size_t len,
		uint64_t offset)
{
	const struct huge *huge = ctx;
	(void)worker;
	memset(buf, 0, len);
	for (int k = 0; k < 8; k++)
		if (huge->places[k] >= offset && huge->places[k] < offset + len)
			((uint8_t *)buf)[huge->places[k] - offset] =
					(uint8_t)(k + 1);
	return 0;
}

static int huge_extent(void *ctx, unsigned worker, uint64_t offset,
		uint64_t limit, bool *hole, uint64_t *end)
{
	const struct huge *huge = ctx;
	(void)worker;
	*hole = true;
	*end = limit;
	for (int k = 0; k < 8; k++) {
		uint64_t from = huge->places[k] / BLOCK_SIZE * BLOCK_SIZE;
		if (offset >= from && offset < from + BLOCK_SIZE) {
			*hole = false;
			*end = min_u64(from + BLOCK_SIZE, limit);
			return 0;
		}
		if (from > offset)
			*end = min_u64(*end, from);
	}
	return 0;
}

static void test_huge_sparse(void **state)
{
	struct fixture *f = *state;
	uint64_t size = (uint64_t)20 << 40, got;
	struct huge h = { .places = { 0, 5000, 1 << 24, (uint64_t)4 << 30,
					  ((uint64_t)4 << 30) - 1,
					  ((uint64_t)7 << 40) + 777,
					  size - 4097, size - 1 } };
	struct image_source s = { .size = size,
		.read = huge_read,
		.extent = huge_extent,
		.ctx = &h };
	struct image_counts counts = { .done = 0 };
	struct tree_root root;
	struct image *image;
	assert_int_equal(image_writer_write(f->writer, &s, NULL, &counts, NULL,
					 &root, &got),
			0);
	assert_int_equal(image_writer_flush(f->writer), 0);
	assert_int_equal(chunk_sink_barrier(f->sink, false), 0);
	assert_int_equal(root.level, 3);
	assert_int_equal(root.data_bytes, 8 * BLOCK_SIZE);
	assert_int_equal(counts.done, size);
	assert_int_equal(image_open(&image, f->reader, &root, size), 0);
	for (int k = 0; k < 8; k++) {
		uint8_t b = 0;
		off_t at = (off_t)(h.places[k] / BLOCK_SIZE * BLOCK_SIZE);
		assert_int_equal(image_pread(image, &b, 1, h.places[k]), 1);
		assert_int_equal(b, k + 1);
		assert_int_equal(image_seek(image, at, SEEK_DATA), at);
	}
	assert_int_equal(image_seek(image, 8192, SEEK_DATA), 1 << 24);
	assert_int_equal(image_seek(image, (off_t)6 << 40, SEEK_DATA),
			((off_t)7 << 40));
	assert_int_equal(image_seek(image, (off_t)6 << 40, SEEK_HOLE),
			(off_t)6 << 40);
	assert_int_equal(image_seek(image, (off_t)size - 1, SEEK_HOLE), size);
	image_close(image);
}

/* Sizes at which nodes are just full, nearly, or just begun: their last block
 * can be read. */
static void test_full_nodes(void **state)
{
	static const uint64_t spans[] = { 1, 255, 256, 257, 511, 512, 65279,
		65280, 65281, 65535, 65536, 65537 };
	struct fixture *f = *state;
	for (size_t k = 0; k < 2 * ARRAY_SIZE(spans); k++) {
		uint64_t size = spans[k / 2] * SPAN_SIZE - k % 2 * 777, got;
		struct huge h = { .places = { 0, 0, 0, 0, 0, 0, size / 2,
						  size - 1 } };
		struct image_source s = { .size = size,
			.read = huge_read,
			.extent = huge_extent,
			.ctx = &h };
		struct image_counts counts = { .done = 0 };
		struct tree_root root;
		struct image *image;
		uint8_t b = 0;
		assert_int_equal(image_writer_write(f->writer, &s, NULL,
						 &counts, NULL, &root, &got),
				0);
		fixture_flush(f);
		assert_int_equal(image_open(&image, f->reader, &root, size), 0);
		assert_int_equal(image_pread(image, &b, 1, size - 1), 1);
		assert_int_equal(b, 8);
		assert_int_equal(image_pread(image, &b, 1, size / 2), 1);
		assert_int_equal(b, 7);
		image_close(image);
	}
}

static int failing_read(void *ctx, unsigned worker, void *buf, size_t len,
		uint64_t offset)
{
	(void)ctx;
	(void)worker;
	memset(buf, 1, len);
	return offset >= 2 * (uint64_t)SPAN_SIZE ? out_of_order() : 0;
}

static void test_source_error(void **state)
{
	struct fixture *f = *state;
	struct image_source s = { .size = 10 * (uint64_t)SPAN_SIZE,
		.read = failing_read };
	struct image_counts counts = { .done = 0 };
	struct tree_root root;
	uint64_t size;
	assert_int_equal(image_writer_write(f->writer, &s, NULL, &counts, NULL,
					 &root, &size),
			-EIO);
	assert_string_equal(error_text(-EIO), "sector 42");
	/* The writer can be used after that. */
	struct memory m = make_memory(100000);
	store(f, &m, false, NULL, &counts, &root);
	check_image(f, &m, &root);
	free(m.bytes);
}

/* A hole that ends before it begins, at the second span. */
static int senseless_extent(void *ctx, unsigned worker, uint64_t offset,
		uint64_t limit, bool *hole, uint64_t *end)
{
	(void)ctx;
	(void)worker;
	*hole = offset >= SPAN_SIZE;
	*end = *hole ? 0 : limit;
	return 0;
}

static void test_senseless_map(void **state)
{
	struct fixture *f = *state;
	struct memory m = make_memory(3 * SPAN_SIZE);
	struct image_source s = { .size = m.size,
		.read = memory_read,
		.extent = senseless_extent,
		.ctx = &m };
	struct image_counts counts = { .done = 0 };
	struct tree_root root;
	uint64_t size;
	assert_int_equal(image_writer_write(f->writer, &s, NULL, &counts, NULL,
					 &root, &size),
			-EIO);
	free(m.bytes);
}

static void test_interrupted_rebuild(void **state)
{
	struct fixture *f = *state;
	struct memory m = make_memory(100000);
	struct image_counts counts;
	struct tree_root root;
	fill_random(&m, 0, 100000);
	store(f, &m, false, NULL, &counts, &root);
	interrupt_flag = 1;
	assert_int_equal(index_rebuild(f->repo->index), -ECANCELED);
	interrupt_flag = 0;
	assert_int_equal(index_rebuild(f->repo->index), 0);
	check_image(f, &m, &root);
	free(m.bytes);
}

/* --- a worker that joins --- */

/* Its first reader waits until another worker reads, too. */
struct joining {
	struct image_writer *writer;
	pthread_mutex_t mutex;
	pthread_cond_t joined;
	bool grown, has_joined;
};

static int joining_read(void *ctx, unsigned worker, void *buf, size_t len,
		uint64_t offset)
{
	struct joining *joining = ctx;
	memset(buf, (int)(offset >> 24) + 1, len);
	LOCK_SCOPE(&joining->mutex);
	if (worker == WORKERS) {
		joining->has_joined = true;
		pthread_cond_broadcast(&joining->joined);
	}
	if (!joining->grown) {
		joining->grown = true;
		assert_int_equal(image_writer_grow(joining->writer), 0);
	}
	while (!joining->has_joined)
		pthread_cond_wait(&joining->joined, &joining->mutex);
	return 0;
}

static void test_worker_joins(void **state)
{
	struct fixture *f = *state;
	struct joining joining = { .writer = f->writer };
	struct image_source s = { .size = (uint64_t)(WORKERS + 2) << 24,
		.read = joining_read,
		.ctx = &joining };
	struct image_counts counts = { .done = 0 };
	struct tree_root root;
	uint64_t size;
	pthread_mutex_init(&joining.mutex, NULL);
	pthread_cond_init(&joining.joined, NULL);
	for (int i = 0; i < 2; i++)
		assert_int_equal(image_writer_write(f->writer, &s, NULL,
						 &counts, NULL, &root, &size),
				0);
	assert_true(joining.has_joined);
	assert_int_equal(counts.read, 2 * s.size);
	assert_int_equal(image_writer_retire(f->writer), 0);
	assert_int_equal(chunk_sink_barrier(f->sink, true), 0);
	struct image *image;
	uint8_t byte;
	assert_int_equal(image_open(&image, f->reader, &root, size), 0);
	for (unsigned i = 0; i < WORKERS + 2; i++) {
		assert_int_equal(image_pread(image, &byte, 1,
						 (uint64_t)i << 24),
				1);
		assert_int_equal(byte, i + 1);
	}
	image_close(image);
}

static void test_copy(void **state)
{
	struct fixture *f = *state;
	struct memory m = make_memory(2 * (uint64_t)SPAN_SIZE + 54321);
	struct image_counts counts;
	struct tree_root root;
	char path[128];
	store(f, &m, false, NULL, &counts, &root);
	snprintf(path, sizeof(path), "%s/copy", f->directory);
	CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT, 0600);
	struct image_copy c = { .fd = fd,
		.to = path,
		.fresh = true,
		.threads = 3 };
	assert_int_equal(ftruncate(fd, (off_t)m.size), 0);
	assert_int_equal(image_open(&c.image, f->reader, &root, m.size), 0);
	assert_int_equal(image_copy_parallel(&c), 0);
	CLEANUP_FREE uint8_t *buf = malloc(m.size);
	assert_int_equal(pread(fd, buf, m.size, 0), m.size);
	assert_memory_equal(buf, m.bytes, m.size);
	assert_int_equal(c.written, root.data_bytes);
	/* Over old bytes, holes must become zeros. */
	memset(buf, 0xee, m.size);
	assert_int_equal(pwrite(fd, buf, m.size, 0), m.size);
	c.fresh = false;
	assert_int_equal(image_copy_parallel(&c), 0);
	assert_int_equal(pread(fd, buf, m.size, 0), m.size);
	assert_memory_equal(buf, m.bytes, m.size);
	image_close(c.image);
	free(m.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trips, setup,
				teardown),
		cmocka_unit_test_setup_teardown(test_round_trips, setup_plain,
				teardown),
		cmocka_unit_test_setup_teardown(test_over_base, setup,
				teardown),
		cmocka_unit_test_setup_teardown(test_over_base, setup_plain,
				teardown),
		cmocka_unit_test_setup_teardown(test_same, setup, teardown),
		cmocka_unit_test_setup_teardown(test_extent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_huge_sparse, setup,
				teardown),
		cmocka_unit_test_setup_teardown(test_full_nodes, setup,
				teardown),
		cmocka_unit_test_setup_teardown(test_source_error, setup,
				teardown),
		cmocka_unit_test_setup_teardown(test_senseless_map, setup,
				teardown),
		cmocka_unit_test_setup_teardown(test_interrupted_rebuild, setup,
				teardown),
		cmocka_unit_test_setup_teardown(test_worker_joins, setup,
				teardown),
		cmocka_unit_test_setup_teardown(test_copy, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
