/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Checks random places, most of them where the base has data, as writes that a
 * bitmap misses mostly overwrite data. From each place, the next range that is
 * marked clean is compared.
 *
 * One place is not random: the end of the base's last clean data. Shrinking and
 * growing an image turns its end into zeros, and qemu's bitmaps mark that
 * clean. If any data was lost in this way, the last data was.
 */
#include "clean_check.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/units.h"
#include "repo/crypto/seal.h"

#define RANGES 8u
#define RANGES_ANYWHERE 2u /* of them: holes included */
#define RANGE_MAX (64 * KIB)
/* How far from a place to search for clean bytes, and for data among them. */
#define LOOK_MAX (256 * MIB)
#define EXTENTS_MAX 256u

/* An error of the base is no reason to fail: everything can be read instead. */
static int base_failed(int err)
{
	return err == -ENOMEM ? err
			      : fail_within(-EBADMSG, "the last snapshot");
}

static uint64_t random_place(uint64_t size)
{
	uint64_t r;
	seal_random(&r, sizeof(r));
	return r % size;
}

/* Data of the base at or after AT, else the first; if it has none, AT. */
static uint64_t next_data(struct image *base, uint64_t at)
{
	off_t data = image_seek(base, (off_t)at, SEEK_DATA);
	if (data < 0)
		data = image_seek(base, 0, SEEK_DATA);
	return data < 0 ? at : (uint64_t)data;
}

/* The first clean range at or after AT: 1, or 0 if there is none near. */
static int find_clean(const struct image_source *source, uint64_t at,
		uint64_t *from, uint64_t *to)
{
	uint64_t limit = min_u64(source->size, at + LOOK_MAX);
	for (unsigned i = 0; i < EXTENTS_MAX && at < limit; i++) {
		bool same = false;
		uint64_t end = limit;
		int err = source->same(source->ctx, 0, at, limit, &same, &end);
		if (err < 0)
			return err;
		if (end <= at || end > limit)
			return fail(-EIO,
					"the dirty bitmap's ranges are "
					"inconsistent");
		if (same) {
			*from = at;
			*to = end;
			return 1;
		}
		at = end;
	}
	return 0;
}

/* Moves to data in the range, if the base has some there. */
static void prefer_data(struct image *base, uint64_t *from, uint64_t to)
{
	off_t data = image_seek(base, (off_t)*from, SEEK_DATA);
	if (data >= 0 && (uint64_t)data < to)
		*from = (uint64_t)data;
}

static int compare(const struct image_source *source, struct image *base,
		uint64_t from, uint64_t to, uint64_t *where)
{
	size_t len = (size_t)min_u64(RANGE_MAX, to - from);
	CLEANUP_FREE uint8_t *now = malloc(len), *then = malloc(len);
	if (now == NULL || then == NULL)
		return fail_no_memory("comparing with the last snapshot");
	ssize_t n = image_pread(base, then, len, from);
	if (n < 0)
		return base_failed((int)n);
	if ((size_t)n != len)
		return fail(-EBADMSG,
				"the image in the last snapshot is too short");
	int err = source->read(source->ctx, 0, now, len, from);
	if (err < 0 || memcmp(now, then, len) == 0)
		return err;
	size_t i = 0;
	while (now[i] == then[i])
		i++;
	*where = from + i;
	return 1;
}

/* The last span below BELOW that has data in the base: 1, or 0: none. */
static int last_data_span(struct image *base, uint64_t below, uint64_t *span)
{
	uint64_t low = 0, high = below;
	int err = image_seek_data_span(base, 0, &low);
	if (err < 0 || low >= below)
		return err < 0 ? base_failed(err) : 0;
	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2, next = 0;
		err = image_seek_data_span(base, middle, &next);
		if (err < 0)
			return base_failed(err);
		if (next < below)
			low = next;
		else
			high = middle;
	}
	*span = low;
	return 1;
}

/* The last clean part of the data at [at, end). */
static int last_clean(const struct image_source *source, uint64_t at,
		uint64_t end, uint64_t *from, uint64_t *to)
{
	while (at < end) {
		bool same = false;
		uint64_t next = end;
		int err = source->same(source->ctx, 0, at, end, &same, &next);
		if (err < 0)
			return err;
		if (next <= at || next > end)
			return fail(-EIO,
					"the dirty bitmap's ranges are "
					"inconsistent");
		if (same) {
			*from = at;
			*to = next;
		}
		at = next;
	}
	return 0;
}

/* The last clean data of a span: *FROM < *TO if there are any. */
static int last_in_span(const struct image_source *source, struct image *base,
		uint64_t span, uint64_t *from, uint64_t *to)
{
	uint64_t at = span * SPAN_SIZE,
		 end = min_u64(at + SPAN_SIZE, source->size);
	*from = *to = 0;
	while (at < end) {
		bool hole = false;
		uint64_t next = end;
		int err = image_seek_extent(base, at, end, &hole, &next);
		if (err < 0)
			return base_failed(err);
		if (!hole)
			err = last_clean(source, at, next, from, to);
		if (err < 0)
			return err;
		at = next;
	}
	return 0;
}

static int compare_end(const struct image_source *source, struct image *base,
		uint64_t *where)
{
	uint64_t span = (source->size + SPAN_SIZE - 1) / SPAN_SIZE;
	int err;
	while ((err = last_data_span(base, span, &span)) == 1) {
		uint64_t from = 0, to = 0;
		err = last_in_span(source, base, span, &from, &to);
		if (err < 0)
			return err;
		if (to > from)
			return compare(source, base,
					to - min_u64(to - from, RANGE_MAX), to,
					where);
	}
	return err;
}

int clean_check(const struct image_source *source, struct image *base,
		uint64_t *where)
{
	*where = 0;
	int err = compare_end(source, base, where);
	for (unsigned i = 0; i < RANGES && err == 0 && source->size > 0; i++) {
		uint64_t from = 0, to = 0, at = random_place(source->size);
		if (i >= RANGES_ANYWHERE)
			at = next_data(base, at);
		err = find_clean(source, at, &from, &to);
		if (err <= 0)
			continue;
		prefer_data(base, &from, to);
		err = compare(source, base, from, to, where);
	}
	return err;
}
