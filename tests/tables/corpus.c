/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Images mapped into memory, walked by their data extents. Equal chunks are
 * told by XXH3-128, which will do for counting but not for a repository.
 */
#include "corpus.h"

#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/units.h"
#include "repo/image/chunker.h"

struct extent {
	uint64_t start, end;
};

struct picture {
	const uint8_t *data;
	uint64_t size;
	struct extent *extents;
	size_t count;
};

struct corpus {
	struct picture *images;
	int count;
	uint64_t data_bytes;
};

static void *grow(void *p, size_t count, size_t size)
{
	p = reallocarray(p, count, size);
	if (p == NULL)
		err(1, "memory");
	return p;
}

void parts_add(struct parts *parts, const uint8_t *data, uint64_t len)
{
	if (parts->count == parts->room) {
		parts->room = parts->room == 0 ? 65536 : parts->room * 2;
		parts->items = grow(parts->items, parts->room,
				sizeof(*parts->items));
	}
	parts->items[parts->count++] = (struct part){ data, (uint32_t)len };
	parts->bytes += len;
}

void parts_free(struct parts *parts)
{
	free(parts->items);
	*parts = (struct parts){ 0 };
}

/* Data extents, in whole blocks. */
static void find_extents(struct picture *picture, int fd)
{
	off_t at = 0, end;
	while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
		end = lseek(fd, at, SEEK_HOLE);
		if (end < 0)
			err(1, "SEEK_HOLE");
		picture->extents = grow(picture->extents, picture->count + 1,
				sizeof(*picture->extents));
		picture->extents[picture->count++] = (struct extent){
			(uint64_t)at / BLOCK_SIZE * BLOCK_SIZE,
			min_u64(round_up((uint64_t)end, BLOCK_SIZE),
					picture->size)
		};
		at = end;
	}
}

static void picture_open(struct picture *picture, const char *path)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) != 0)
		err(1, "%s", path);
	picture->size = (uint64_t)st.st_size;
	find_extents(picture, fd);
	if (picture->count == 0)
		errx(1, "%s: no data in it", path);
	void *map = mmap(NULL, picture->size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		err(1, "%s", path);
	picture->data = map;
}

struct corpus *corpus_open(char **paths, int count)
{
	struct corpus *c = calloc(1, sizeof(*c));
	if (c == NULL
			|| (c->images = calloc((size_t)count,
					    sizeof(*c->images)))
					== NULL)
		err(1, "memory");
	c->count = count;
	volatile uint8_t sum = 0;
	for (int i = 0; i < count; i++) {
		struct picture *picture = &c->images[i];
		picture_open(picture, paths[i]);
		for (size_t e = 0; e < picture->count; e++) {
			struct extent x = picture->extents[e];
			c->data_bytes += x.end - x.start;
			/* Every page once, so that no row pays for it. */
			for (uint64_t at = x.start; at < x.end; at += 4096)
				sum = (uint8_t)(sum + picture->data[at]);
		}
	}
	return c;
}

void corpus_close(struct corpus *c)
{
	for (int i = 0; i < c->count; i++) {
		munmap((void *)c->images[i].data, c->images[i].size);
		free(c->images[i].extents);
	}
	free(c->images);
	free(c);
}

uint64_t corpus_data_bytes(const struct corpus *c)
{
	return c->data_bytes;
}

static void cut_fixed(const struct picture *picture,
		const struct method *method, struct parts *all)
{
	uint64_t at = 0;
	for (size_t e = 0; e < picture->count; e++) {
		uint64_t first = picture->extents[e].start / method->average
				* method->average;
		for (at = max_u64(at, first); at < picture->extents[e].end;
				at += method->average) {
			uint64_t len = min_u64(method->average,
					picture->size - at);
			if (!bytes_are_zero(picture->data + at, len))
				parts_add(all, picture->data + at, len);
		}
	}
}

/* Marks what is data of one span; returns false if nothing is. *E is the
 * first extent that ends after the span's start. */
static bool mark_span(const struct chunker *chunker,
		const struct picture *picture, size_t *e, uint64_t start,
		uint64_t end, uint8_t *marks)
{
	static uint64_t sums[SPAN_BLOCKS];
	bool any = false;
	while (*e < picture->count && picture->extents[*e].end <= start)
		++*e;
	for (size_t i = *e;
			i < picture->count && picture->extents[i].start < end;
			i++) {
		if (!any)
			memset(marks, BLOCK_ZERO, SPAN_BLOCKS);
		any = true;
		uint64_t from = max_u64(picture->extents[i].start, start);
		uint64_t to = min_u64(picture->extents[i].end, end);
		chunker_scan(chunker, marks + (from - start) / BLOCK_SIZE, sums,
				picture->data + from, (uint32_t)(to - from));
	}
	return any;
}

static void cut_blocks(const struct picture *picture,
		const struct method *method, struct parts *all)
{
	static struct piece pieces[SPAN_BLOCKS];
	static uint8_t marks[SPAN_BLOCKS];
	const struct chunker c = { .seed = 0x616d626572,
		.min = method->average / 4,
		.average = method->average,
		.max = method->average * 4 };
	size_t e = 0;
	for (uint64_t at = 0; at < picture->size; at += method->span) {
		uint64_t end = min_u64(at + method->span, picture->size);
		if (!mark_span(&c, picture, &e, at, end, marks))
			continue;
		uint32_t n = chunker_cut(&c, marks, (uint32_t)(end - at),
				pieces);
		for (uint32_t i = 0; i < n; i++)
			if (!pieces[i].hole)
				parts_add(all,
						picture->data + at
								+ pieces[i].offset,
						pieces[i].len);
	}
}

/* Length of the chunk at P: Xia et al., "FastCDC" (2016), without its two
 * masks. The hash's high bits depend on the last 64 bytes. */
static uint64_t gear_length(const uint64_t gear[256], uint32_t average,
		const uint8_t *p, uint64_t len)
{
	uint64_t mask = ~(uint64_t)0 << (64 - __builtin_ctz(average));
	uint64_t max = min_u64(len, (uint64_t)average * 4);
	uint64_t hash = 0, n = min_u64(average / 4, len);
	while (n < max) {
		hash = (hash << 1) + gear[p[n++]];
		if ((hash & mask) == 0)
			break;
	}
	return n;
}

static void cut_gear(const struct picture *picture, const struct method *method,
		struct parts *all)
{
	uint64_t gear[256];
	for (unsigned i = 0; i < 256; i++)
		gear[i] = XXH3_64bits_withSeed("gear", 4, i);
	for (size_t e = 0; e < picture->count; e++) {
		uint64_t at = picture->extents[e].start;
		while (at < picture->extents[e].end) {
			uint64_t len = gear_length(gear, method->average,
					picture->data + at,
					picture->extents[e].end - at);
			if (!bytes_are_zero(picture->data + at, len))
				parts_add(all, picture->data + at, len);
			at += len;
		}
	}
}

double corpus_cut(const struct corpus *c, const struct method *method,
		struct parts *all)
{
	double began = monotonic_now();
	for (int i = 0; i < c->count; i++) {
		switch (method->kind) {
		case METHOD_FIXED:
			cut_fixed(&c->images[i], method, all);
			break;
		case METHOD_BLOCKS:
			cut_blocks(&c->images[i], method, all);
			break;
		case METHOD_GEAR:
			cut_gear(&c->images[i], method, all);
			break;
		}
	}
	return monotonic_now() - began;
}

void parts_unique(const struct parts *all, struct parts *unique)
{
	size_t slots = 1024;
	while (slots < all->count * 2)
		slots *= 2;
	XXH128_hash_t *seen = calloc(slots, sizeof(*seen));
	if (seen == NULL)
		err(1, "memory");
	for (size_t i = 0; i < all->count; i++) {
		const struct part *part = &all->items[i];
		XXH128_hash_t h = XXH3_128bits(part->data, part->len);
		size_t at = h.low64 & (slots - 1);
		while (seen[at].low64 | seen[at].high64) {
			if (XXH128_isEqual(seen[at], h))
				break;
			at = (at + 1) & (slots - 1);
		}
		if (seen[at].low64 | seen[at].high64)
			continue;
		seen[at] = h;
		parts_add(unique, part->data, part->len);
	}
	free(seen);
}

size_t parts_gather(const struct part *parts, size_t count, uint32_t size,
		uint8_t *plain, uint32_t *len)
{
	size_t n = 0;
	*len = 0;
	do {
		memcpy(plain + *len, parts[n].data, parts[n].len);
		*len += parts[n].len;
		n++;
	} while (n < count && *len + parts[n].len <= size);
	return n;
}
