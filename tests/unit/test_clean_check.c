/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: a map of changes that does not tell the truth is found out
 * where it lies, one that does is never accused, and a base that can't be read
 * is told from a source that can't. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "image_fixture.h"
#include "ingest/live/clean_check.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/units.h"

#define SIZE (40 * MIB + 4096)
#define DATA (9 * MIB)	     /* data from here … */
#define DATA_END (21 * MIB)  /* … to here; the rest are holes */
#define DIRTY (12 * MIB)     /* called dirty from here … */
#define DIRTY_END (13 * MIB) /* … to here */

struct disk {
	uint8_t *bytes;
	bool all_dirty;
};

static int read_disk(void *ctx, unsigned worker, void *buf, size_t len,
		uint64_t offset)
{
	const struct disk *disk = ctx;
	(void)worker;
	assert_true(offset + len <= SIZE);
	memcpy(buf, disk->bytes + offset, len);
	return 0;
}

static int same_disk(void *ctx, unsigned worker, uint64_t offset,
		uint64_t limit, bool *same, uint64_t *end)
{
	const struct disk *disk = ctx;
	(void)worker;
	*same = !disk->all_dirty && (offset < DIRTY || offset >= DIRTY_END);
	*end = limit;
	if (offset < DIRTY)
		*end = min_u64(limit, DIRTY);
	else if (offset < DIRTY_END)
		*end = min_u64(limit, DIRTY_END);
	return 0;
}

static void fill(uint8_t *bytes, uint64_t from, uint64_t to, unsigned seed)
{
	for (uint64_t i = from; i < to; i++)
		bytes[i] = (uint8_t)((i * 2654435761u + seed) >> 13);
}

struct world {
	struct disk disk;
	struct image_source source;
	struct image *base;
};

static void store(struct world *w, struct fixture *f)
{
	struct tree_root root;
	uint64_t size;
	struct image_counts counts = { .done = 0 };
	w->disk = (struct disk){ .bytes = calloc(1, SIZE) };
	assert_non_null(w->disk.bytes);
	fill(w->disk.bytes, DATA, DATA_END, 1);
	w->source = (struct image_source){ .size = SIZE,
		.read = read_disk,
		.ctx = &w->disk };
	assert_int_equal(image_writer_write(f->writer, &w->source, NULL,
					 &counts, NULL, &root, &size),
			0);
	fixture_flush(f);
	assert_int_equal(image_open(&w->base, f->reader, &root, size), 0);
	w->source.same = same_disk;
}

static void clear(struct world *w)
{
	image_close(w->base);
	free(w->disk.bytes);
}

static void test_truth(void **state)
{
	struct world w;
	uint64_t where;
	store(&w, *state);
	/* What changed is what it calls dirty. */
	fill(w.disk.bytes, DIRTY, DIRTY_END, 2);
	for (int i = 0; i < 40; i++)
		assert_int_equal(clean_check(&w.source, w.base, &where), 0);
	w.disk.all_dirty = true;
	fill(w.disk.bytes, 0, SIZE, 3);
	assert_int_equal(clean_check(&w.source, w.base, &where), 0);
	clear(&w);
}

static void test_lie(void **state)
{
	struct world w;
	uint64_t where = 0;
	store(&w, *state);
	/* All data are others, which it calls dirty in one place only. */
	fill(w.disk.bytes, DATA, DATA_END, 4);
	assert_int_equal(clean_check(&w.source, w.base, &where), 1);
	assert_true(where >= DATA && where < DATA_END);
	assert_true(where < DIRTY || where >= DIRTY_END);
	clear(&w);
}

/* What a disk loses that is made smaller and as large again: found for
 * certain, however little it is, unless all of it was written since. */
static void test_lost_end(void **state)
{
	struct world w;
	uint64_t where = 0;
	store(&w, *state);
	memset(w.disk.bytes + DATA_END - 4096, 0, 4096);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(clean_check(&w.source, w.base, &where), 1);
		assert_true(where >= DATA_END - 4096 && where < DATA_END);
	}
	w.disk.all_dirty = true;
	assert_int_equal(clean_check(&w.source, w.base, &where), 0);
	clear(&w);
}

/* The disk that the repository is on fails. */
static _Atomic bool disk_fails;

ssize_t pread(int fd, void *buf, size_t len, off_t offset)
{
	if (!disk_fails)
		return syscall(SYS_pread64, fd, buf, len, offset);
	errno = EIO;
	return -1;
}

static void test_unreadable(void **state)
{
	struct world w;
	uint64_t where = 0;
	store(&w, *state);
	disk_fails = true;
	assert_int_equal(clean_check(&w.source, w.base, &where), -EBADMSG);
	disk_fails = false;
	clear(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_truth, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lie, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unreadable, setup,
				teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
