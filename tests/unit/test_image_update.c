/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: an image written over an earlier one, with a map of what
 * is the same, has the bytes and the very leaves of one that was read in full,
 * and no more is read than the changes' chunks and those after them until a new
 * cut meets an old one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "image_fixture.h" /* cmocka has a fail() of its own */
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/image/chunker.h"
#include "repo/image/image_writer.h"
#include "repo/session/session.h"

static int setup_sizes(void **state, bool encrypted, uint32_t least,
		uint32_t average, uint32_t largest)
{
	struct config c;
	assert_int_equal(seal_global_init(), 0);
	config_defaults(&c, encrypted);
	c.chunk_min = least;
	c.chunk_average = average;
	c.chunk_max = largest;
	return setup_config(state, &c);
}

static int setup_small(void **state)
{
	return setup_sizes(state, true, 4 * KIB, 8 * KIB, 16 * KIB);
}

static int setup_plain_small(void **state)
{
	return setup_sizes(state, false, 8 * KIB, 16 * KIB, 32 * KIB);
}

/* What was written can be read, though the index does not know it. */
static void flush(struct fixture *f)
{
	assert_int_equal(image_writer_flush(f->writer), 0);
	assert_int_equal(chunk_sink_barrier(f->sink, false), 0);
}

static uint64_t below(uint64_t n)
{
	return (((uint64_t)rand() << 31) ^ (uint64_t)rand()) % n;
}

/* UPDATE_CASES and UPDATE_SEED: for long runs. */
static int number_from(const char *variable, int usual)
{
	const char *text = getenv(variable);
	return text != NULL ? (int)strtol(text, NULL, 10) : usual;
}

static int case_count(int usual)
{
	srand((unsigned)number_from("UPDATE_SEED", 1));
	return number_from("UPDATE_CASES", usual);
}

/* --- a source in memory with a map of what may have changed --- */

struct version {
	uint8_t *bytes;
	uint64_t size;
	uint32_t granule; /* of the map of changes, bytes */
	uint8_t *dirty;	  /* by granule */
	uint8_t *seen;	  /* by block: was read */
	bool hide_holes;
	bool watched; /* for what is read */
	_Atomic uint64_t read;
	struct image_counts counts;
	struct tree_root full, updated;
};

static uint64_t units(uint64_t size, uint64_t unit)
{
	return (size + unit - 1) / unit;
}

static int version_read(void *ctx, unsigned worker, void *buf, size_t len,
		uint64_t offset)
{
	struct version *version = ctx;
	assert_true(worker < WORKERS);
	assert_true(len > 0 && offset + len <= version->size);
	memcpy(buf, version->bytes + offset, len);
	if (!version->watched)
		return 0;
	memset(version->seen + offset / BLOCK_SIZE, 1,
			units(offset + len, BLOCK_SIZE) - offset / BLOCK_SIZE);
	version->read += len;
	return 0;
}

static bool is_hole(const struct version *version, uint64_t at)
{
	return !version->hide_holes
			&& bytes_are_zero(version->bytes + at,
					min_u64(512, version->size - at));
}

static int version_extent(void *ctx, unsigned worker, uint64_t offset,
		uint64_t limit, bool *hole, uint64_t *end)
{
	const struct version *version = ctx;
	uint64_t at = offset / 512 * 512;
	assert_true(worker < WORKERS && offset < limit
			&& limit <= version->size);
	*hole = is_hole(version, at);
	while (at < limit && is_hole(version, at) == *hole)
		at += 512;
	*end = min_u64(at, limit);
	return 0;
}

static int version_same(void *ctx, unsigned worker, uint64_t offset,
		uint64_t limit, bool *same, uint64_t *end)
{
	const struct version *version = ctx;
	uint64_t g = offset / version->granule;
	assert_true(worker < WORKERS && offset < limit
			&& limit <= version->size);
	*same = !version->dirty[g];
	while (g * version->granule < limit && !version->dirty[g] == *same)
		g++;
	*end = min_u64(g * version->granule, limit);
	return 0;
}

static void version_make(struct version *version, uint64_t size,
		uint32_t granule)
{
	*version = (struct version){ .size = size, .granule = granule };
	version->bytes = calloc(1, size + 1);
	version->dirty = calloc(1, units(size, granule) + 1);
	version->seen = calloc(1, units(size, BLOCK_SIZE) + 1);
	assert_true(version->bytes && version->dirty && version->seen);
}

static void version_clear(struct version *version)
{
	free(version->bytes);
	free(version->dirty);
	free(version->seen);
}

/* --- random contents --- */

/* Something in [from, to): noise, zeros, one byte over and over, or bytes from
 * elsewhere. */
static void scribble(struct version *version, uint64_t from, uint64_t to)
{
	uint8_t *at = version->bytes + from;
	switch (rand() % 5) {
	case 0:
		memset(at, 0, to - from);
		break;
	case 1:
		memset(at, rand() % 255 + 1, to - from);
		break;
	case 2:
		memmove(at,
				version->bytes
						+ below(version->size
								- (to - from)
								+ 1),
				to - from);
		break;
	default:
		fill_noise(at, to - from);
	}
}

/* A random range of up to MAX bytes, mostly of whole blocks. */
static void choose_range(const struct version *version, uint64_t max,
		uint64_t *from, uint64_t *to)
{
	*from = below(version->size);
	*to = *from + 1 + below(max);
	if (rand() % 4) {
		*from = *from / BLOCK_SIZE * BLOCK_SIZE;
		*to = round_up(*to, BLOCK_SIZE);
	}
	*to = min_u64(*to, version->size);
}

/* Data in a window of it, with holes; the rest is hole. */
static void make_base(struct version *version, uint64_t data)
{
	uint64_t from = below(version->size);
	uint64_t to = min_u64(from + data, version->size);
	bool dense = rand() % 3 == 0;
	for (uint64_t at = from; at < to;) {
		uint64_t end = min_u64(at + 1 + below(300 * KIB), to);
		if (rand() % 3)
			end = min_u64(round_up(end, BLOCK_SIZE), to);
		if (dense)
			fill_noise(version->bytes + at, end - at);
		else
			scribble(version, at, end);
		at = end;
	}
}

static void soil(struct version *version, uint64_t from, uint64_t to)
{
	for (uint64_t g = from / version->granule; g * version->granule < to;
			g++)
		version->dirty[g] = 1;
}

/* BASE with some changes; its map has them, and a little more. */
static void make_version(struct version *version, const struct version *base)
{
	static const uint32_t granules[] = { 4096, 65536, 65536, 512, 10000,
		12288, 1 << 20 };
	uint64_t size = base->size;
	if (rand() % 8 == 0)
		size = max_u64(1, size - size / 4 + below(size / 2 + 1));
	version_make(version, size, granules[rand() % 7]);
	memcpy(version->bytes, base->bytes, min_u64(size, base->size));
	version->hide_holes = rand() % 3 == 0;
	for (int n = rand() % 6; n > 0; n--) {
		uint64_t from, to;
		choose_range(version, rand() % 5 ? 20 * KIB : 1 << 20, &from,
				&to);
		scribble(version, from, to);
		soil(version, from, to);
		if (rand() % 4 == 0) { /* dirty, but not changed */
			choose_range(version, 100 * KIB, &from, &to);
			soil(version, from, to);
		}
	}
	if (rand() % 4 == 0) { /* back to the base's bytes */
		uint64_t from, to;
		choose_range(version, 100 * KIB, &from, &to);
		to = min_u64(to, base->size);
		if (from < to)
			memcpy(version->bytes + from, base->bytes + from,
					to - from);
	}
}

/* --- writing --- */

static void write_full(struct fixture *f, struct version *version)
{
	struct image_source s = { .size = version->size,
		.read = version_read,
		.extent = version_extent,
		.ctx = version };
	uint64_t size;
	struct image_counts counts = { .done = 0 };
	version->watched = false;
	assert_int_equal(image_writer_write(f->writer, &s, NULL, &counts, NULL,
					 &version->full, &size),
			0);
}

static void write_update(struct fixture *f, struct version *version,
		struct image *base)
{
	struct image_source s = { .size = version->size,
		.read = version_read,
		.extent = version_extent,
		.same = version_same,
		.ctx = version };
	uint64_t size;
	version->watched = true;
	version->read = 0;
	version->counts = (struct image_counts){ .done = 0 };
	assert_int_equal(image_writer_write(f->writer, &s, base,
					 &version->counts, NULL,
					 &version->updated, &size),
			0);
	assert_int_equal(size, version->size);
	assert_int_equal(version->counts.done, version->size);
	assert_int_equal(version->counts.read, version->read);
}

/* --- what must come out of it --- */

static const struct leaf_entry all_hole = { .len = SPAN_SIZE, .hole = true };

struct entries {
	struct cached_node *node;
	const struct leaf_entry *e;
	uint32_t count;
};

static void entries_get(struct image *image, uint64_t span, struct entries *out,
		struct node_child *child)
{
	assert_int_equal(image_leaf(image, span, &out->node, child), 0);
	out->e = out->node != NULL ? out->node->leaf->entries : &all_hole;
	out->count = out->node != NULL ? out->node->leaf->count : 1;
}

static bool same_entry(const struct leaf_entry *a, const struct leaf_entry *b)
{
	return a->offset == b->offset && a->len == b->len && a->hole == b->hole
			&& id_equal(&a->id, &b->id);
}

static void check_leaf(struct image *full, struct image *updated, uint64_t span)
{
	struct entries a, b;
	struct node_child says_a, says_b;
	entries_get(full, span, &a, &says_a);
	entries_get(updated, span, &b, &says_b);
	assert_int_equal(a.count, b.count);
	for (uint32_t k = 0; k < a.count; k++)
		assert_true(same_entry(&a.e[k], &b.e[k]));
	assert_int_equal(says_a.data_bytes, says_b.data_bytes);
	assert_int_equal(says_a.clusters, says_b.clusters);
	if (b.node != NULL && b.node->leaf->has_proof)
		assert_memory_equal(&says_a.id, &says_b.id, ID_SIZE);
	node_cache_release(a.node);
	node_cache_release(b.node);
}

static void check_bytes(struct image *image, const struct version *version)
{
	CLEANUP_FREE uint8_t *buf = malloc(version->size);
	assert_int_equal(image_pread(image, buf, version->size, 0),
			version->size);
	assert_memory_equal(buf, version->bytes, version->size);
}

/* --- what may be read for it --- */

enum { KEEP, MAY, MUST }; /* read a block */

static void allow(uint8_t *allowed, const struct leaf_entry *entry, uint8_t how)
{
	memset(allowed + entry->offset / BLOCK_SIZE, how,
			units(entry->len, BLOCK_SIZE));
}

static bool entry_has(const uint8_t *allowed, const struct leaf_entry *entry,
		uint8_t how)
{
	return memchr(allowed + entry->offset / BLOCK_SIZE, how,
			units(entry->len, BLOCK_SIZE));
}

static void allow_dirty(uint8_t *allowed, const struct version *version,
		uint64_t from, uint64_t len)
{
	for (uint64_t g = from / version->granule;
			g * version->granule < from + len; g++) {
		if (!version->dirty[g])
			continue;
		uint64_t a = max_u64(g * version->granule, from) - from;
		uint64_t b = min_u64((g + 1) * version->granule, from + len)
				- from;
		memset(allowed + a / BLOCK_SIZE, MUST,
				units(b, BLOCK_SIZE) - a / BLOCK_SIZE);
	}
}

/* A chunk that ended before a hole that is dirty, and those that are cut
 * otherwise now. */
static void allow_neighbours(uint8_t *allowed, const struct entries *old,
		const struct entries *new)
{
	for (uint32_t k = 0; k + 1 < old->count; k++) {
		const struct leaf_entry *entry = &old->e[k];
		if (!entry->hole && entry[1].hole
				&& !entry_has(allowed, entry, MUST)
				&& allowed[entry[1].offset / BLOCK_SIZE]
						== MUST)
			allow(allowed, entry, MAY);
	}
	uint32_t n = 0;
	for (uint32_t k = 0; k < old->count; k++) {
		const struct leaf_entry *entry = &old->e[k];
		while (new->e[n].offset + new->e[n].len <= entry->offset)
			n++;
		if (!entry->hole && !same_entry(entry, &new->e[n])
				&& !entry_has(allowed, entry, MUST))
			allow(allowed, entry, MAY);
	}
}

/* Little that is missing from a whole may be read as well. */
static void allow_rest(uint8_t *allowed, const struct entries *old,
		uint32_t blocks)
{
	uint32_t wanted = 0, rest = 0;
	for (uint32_t b = 0; b < blocks; b++)
		wanted += allowed[b] == MUST;
	for (uint32_t k = 0; k < old->count; k++)
		if (!old->e[k].hole && !entry_has(allowed, &old->e[k], MUST))
			rest += (uint32_t)units(old->e[k].len, BLOCK_SIZE);
	for (uint32_t k = 0; wanted && rest <= wanted / 7 && k < old->count;
			k++)
		if (!old->e[k].hole && !entry_has(allowed, &old->e[k], MUST))
			allow(allowed, &old->e[k], MAY);
}

/* Returns the data bytes of the span that were not read. */
static uint64_t check_span_reads(const struct version *version,
		struct image *base, struct image *full, uint64_t span)
{
	uint8_t allowed[SPAN_BLOCKS] = { KEEP };
	struct entries old = { .node = NULL }, new;
	uint64_t from = span * SPAN_SIZE, unread = 0;
	uint64_t len = min_u64(SPAN_SIZE, version->size - from);
	uint64_t base_size = image_size(base);
	uint32_t blocks = (uint32_t)units(len, BLOCK_SIZE);
	const uint8_t *seen = version->seen + from / BLOCK_SIZE;
	entries_get(full, span, &new, NULL);
	if (from < base_size && min_u64(SPAN_SIZE, base_size - from) == len) {
		entries_get(base, span, &old, NULL);
		allow_dirty(allowed, version, from, len);
		for (uint32_t k = 0; k < old.count; k++)
			if (!old.e[k].hole
					&& entry_has(allowed, &old.e[k], MUST))
				allow(allowed, &old.e[k], MUST);
		allow_rest(allowed, &old, blocks);
		allow_neighbours(allowed, &old, &new);
	} else {
		memset(allowed, MAY, sizeof(allowed));
	}
	for (uint32_t b = 0; b < blocks; b++)
		assert_true(!seen[b] || allowed[b] != KEEP);
	for (uint32_t k = 0; k < new.count; k++)
		if (!new.e[k].hole && !entry_has(seen, &new.e[k], 1))
			unread += new.e[k].len;
	node_cache_release(old.node);
	node_cache_release(new.node);
	return unread;
}

static void check_version(struct fixture *f, struct version *version,
		struct image *base)
{
	struct image *full, *updated;
	uint64_t unread = 0;
	assert_int_equal(image_open(&full, f->reader, &version->full,
					 version->size),
			0);
	assert_int_equal(image_open(&updated, f->reader, &version->updated,
					 version->size),
			0);
	if (!seal_encrypts(f->repo->seal))
		assert_memory_equal(&version->full.id, &version->updated.id,
				ID_SIZE);
	for (uint64_t span = 0; span < node_span_count(version->size); span++) {
		check_leaf(full, updated, span);
		unread += check_span_reads(version, base, full, span);
	}
	/* No block is read twice. */
	uint64_t seen = 0;
	for (uint64_t b = 0; b < units(version->size, BLOCK_SIZE); b++)
		seen += version->seen[b];
	assert_true(version->read <= seen * BLOCK_SIZE);
	if (seal_encrypts(f->repo->seal))
		assert_true(version->counts.same >= unread);
	else
		assert_int_equal(version->counts.same, unread);
	check_bytes(updated, version);
	image_close(full);
	image_close(updated);
}

/* --- the same, as two trees tell --- */

static bool entry_in(struct image *image, const struct leaf_entry *entry,
		uint64_t span)
{
	struct entries all;
	bool found = false;
	entries_get(image, span, &all, NULL);
	for (uint32_t k = 0; k < all.count; k++)
		found = found || same_entry(entry, &all.e[k])
				|| (entry->hole && all.e[k].hole);
	node_cache_release(all.node);
	return found;
}

/* Each chunk of I that BASE has there too is the same, but where the leaf has a
 * proof or is of another length. */
static void check_same_chunks(struct image *image, struct image *base,
		uint64_t span)
{
	struct entries all;
	uint64_t from = span * SPAN_SIZE;
	entries_get(image, span, &all, NULL);
	for (uint32_t k = 0; k < all.count; k++) {
		const struct leaf_entry *entry = &all.e[k];
		uint64_t at = from + entry->offset, end = 0;
		bool same = false;
		assert_int_equal(image_compare(image, base, at, at + entry->len,
						 &same, &end),
				0);
		if (!entry->hole)
			assert_int_equal(same, entry_in(base, entry, span));
	}
	node_cache_release(all.node);
}

static void check_same(struct fixture *f, const struct version *version,
		struct image *base, const struct version *before)
{
	struct image *image;
	assert_int_equal(image_open(&image, f->reader, &version->updated,
					 version->size),
			0);
	for (uint64_t at = 0; at < version->size;) {
		uint64_t limit = at + 1 + below(version->size - at), end = 0;
		bool same = false;
		assert_int_equal(image_compare(image, base, at, limit, &same,
						 &end),
				0);
		assert_true(end > at && end <= limit);
		if (same) {
			assert_true(end <= before->size);
			assert_memory_equal(version->bytes + at,
					before->bytes + at, end - at);
		}
		at = end;
	}
	for (uint64_t span = 0; version->size == before->size
			&& span < node_span_count(version->size);
			span++)
		if (image_proven(image, span * SPAN_SIZE) == 0)
			check_same_chunks(image, base, span);
	image_close(image);
}

/* --- the tests --- */

#define VERSIONS 12

static void check_all_bytes(struct fixture *f, const struct version *version,
		int count)
{
	for (int k = 0; k < count; k++) {
		struct image *image;
		assert_int_equal(image_open(&image, f->reader,
						 &version[k].updated,
						 version[k].size),
				0);
		check_bytes(image, &version[k]);
		image_close(image);
	}
}

/* Versions over BASE, whose root is ROOT. One of them becomes BASE. */
static void try_versions(struct fixture *f, struct version *base)
{
	struct version next[VERSIONS];
	struct image *image;
	int chosen = rand() % VERSIONS;
	assert_int_equal(image_open(&image, f->reader, &base->updated,
					 base->size),
			0);
	for (int k = 0; k < VERSIONS; k++) {
		make_version(&next[k], base);
		write_update(f, &next[k], image);
	}
	flush(f);
	check_all_bytes(f, next, VERSIONS);
	/* Only now, or it would store what the updates lack. */
	for (int k = 0; k < VERSIONS; k++)
		write_full(f, &next[k]);
	flush(f);
	for (int k = 0; k < VERSIONS; k++)
		check_version(f, &next[k], image);
	for (int k = 0; k < VERSIONS; k++)
		check_same(f, &next[k], image, base);
	image_close(image);
	version_clear(base);
	*base = next[chosen];
	for (int k = 0; k < VERSIONS; k++)
		if (k != chosen)
			version_clear(&next[k]);
}

static void test_random(void **state)
{
	struct fixture *f = *state;
	for (int n = case_count(1); n > 0; n--) {
		struct version base;
		bool large = rand() % 5 == 0;
		uint64_t size = 1 + below(2 << 20) + (large ? SPAN_SIZE : 0);
		if (rand() % 8 == 0)
			size = round_up(size, SPAN_SIZE);
		version_make(&base, size, 4096);
		make_base(&base, 3 << 20);
		write_full(f, &base);
		flush(f);
		base.updated = base.full;
		for (int k = 0; k < 3; k++)
			try_versions(f, &base);
		version_clear(&base);
	}
}

/* A block of new data here and there in a span without holes costs a few
 * chunks: the one it is in, seldom the next ones. */
static void test_single_blocks(void **state)
{
	enum { CHANGES = 60 };
	struct fixture *f = *state;
	const struct config *config = &f->repo->config;
	struct version base, v;
	struct image *image;
	uint64_t all = 0;
	version_make(&base, SPAN_SIZE, 4096);
	version_make(&v, SPAN_SIZE, 4096);
	fill_noise(base.bytes, base.size);
	write_full(f, &base);
	flush(f);
	assert_int_equal(image_open(&image, f->reader, &base.full, base.size),
			0);
	for (int k = 0; k < CHANGES; k++) {
		uint64_t at = below(SPAN_BLOCKS) * BLOCK_SIZE;
		memcpy(v.bytes, base.bytes, base.size);
		memset(v.dirty, 0, SPAN_BLOCKS);
		fill_noise(v.bytes + at, BLOCK_SIZE);
		soil(&v, at, at + BLOCK_SIZE);
		write_update(f, &v, image);
		assert_in_range(v.read, BLOCK_SIZE, 8 * config->chunk_max);
		assert_in_range(v.counts.same + v.read, SPAN_SIZE, SPAN_SIZE);
		all += v.read;
	}
	assert_in_range(all / CHANGES, BLOCK_SIZE, 3 * config->chunk_average);
	image_close(image);
	version_clear(&v);
	version_clear(&base);
}

/* --- what is damaged is read, though it is the same --- */

/* Records the frame of a chunk of the span as damaged. */
static void damage_chunk(struct fixture *f, struct image *image)
{
	struct chunk_place place;
	struct cached_node *node;
	assert_int_equal(image_leaf(image, 1, &node, NULL), 0);
	assert_int_equal(pack_cache_find(f->repo->packs, PACK_DATA,
					 &node->leaf->entries[20].id, &place),
			1);
	exclusions_add_damaged(f->repo->exclusions, &place.pack->trailer->pack,
			place.pack->trailer->chunks[place.chunk].frame);
	pack_cache_release(place.pack);
	node_cache_release(node);
}

/* Bytes of the image's chunks that are not stored whole. */
static uint64_t lacking(struct fixture *f, struct image *image)
{
	uint64_t sum = 0;
	for (uint64_t span = 0; span < node_span_count(image_size(image));
			span++) {
		struct cached_node *node;
		assert_int_equal(image_leaf(image, span, &node, NULL), 0);
		for (uint32_t k = 0; node != NULL && k < node->leaf->count; k++)
			if (!node->leaf->entries[k].hole
					&& !image_reader_chunk_stored(f->reader,
							&node->leaf->entries[k]
									 .id))
				sum += node->leaf->entries[k].len;
		node_cache_release(node);
	}
	return sum;
}

static void test_damaged(void **state)
{
	struct fixture *f = *state;
	struct version v;
	struct image *base;
	version_make(&v, 3 * (uint64_t)SPAN_SIZE + 5000, 4096);
	fill_noise(v.bytes + SPAN_SIZE, 3 << 20);
	fill_noise(v.bytes + 3 * (uint64_t)SPAN_SIZE, 5000);
	write_full(f, &v);
	fixture_flush(f);
	assert_int_equal(image_open(&base, f->reader, &v.full, v.size), 0);
	write_update(f, &v, base);
	assert_int_equal(v.read, 0);
	assert_int_equal(v.counts.same, v.full.data_bytes);
	damage_chunk(f, base);
	uint64_t lost = lacking(f, base);
	assert_in_range(lost, 1, 1 << 20);
	write_update(f, &v, base);
	fixture_flush(f);
	assert_int_equal(v.read, lost);
	assert_int_equal(v.counts.same, v.full.data_bytes - lost);
	assert_memory_equal(&v.full.id, &v.updated.id, ID_SIZE);
	assert_int_equal(lacking(f, base), 0);
	image_close(base);
	version_clear(&v);
}

/* --- a lost leaf comes back as it was --- */

static void lose_node(struct fixture *f, const struct id *id)
{
	struct chunk_place place;
	char name[PACK_NAME_SIZE];
	assert_int_equal(pack_cache_find(f->repo->packs, PACK_TREE, id, &place),
			1);
	struct pack_id pack = place.pack->trailer->pack;
	pack_cache_release(place.pack);
	pack_name(name, &pack);
	assert_int_equal(store_delete(f->repo->store, name), 0);
	pack_cache_drop(f->repo->packs, &pack);
	exclusions_add_missing(f->repo->exclusions); /* else nobody looks */
}

/* VERSION is the base's bytes: its leaf, which can't be read, is made again. */
static void check_lost_leaf(struct fixture *f, struct version *version,
		const struct tree_root *root)
{
	struct image_reader_options ro = { .cache_size = 1 << 20 };
	struct image_reader *reader; /* one that has not seen the leaf */
	struct image *base;
	fixture_flush(f);
	lose_node(f, &root->id);
	assert_int_equal(image_reader_new(&reader, f->repo->packs, &ro), 0);
	assert_int_equal(image_open(&base, reader, root, version->size), 0);
	write_update(f, version, base);
	fixture_flush(f);
	assert_int_equal(version->read, version->size);
	assert_memory_equal(&version->updated.id, &root->id, ID_SIZE);
	image_close(base);
	image_reader_free(reader);
	assert_int_equal(image_open(&base, f->reader, root, version->size), 0);
	check_bytes(base, version);
	image_close(base);
}

static void test_lost_leaf(void **state)
{
	struct fixture *f = *state;
	struct version v;
	struct image *base;
	version_make(&v, 5 << 20, 4096);
	fill_noise(v.bytes, v.size);
	write_full(f, &v);
	struct tree_root with_proof = v.full;
	check_lost_leaf(f, &v, &with_proof);
	/* One that was read in part has none. */
	assert_int_equal(image_open(&base, f->reader, &with_proof, v.size), 0);
	fill_noise(v.bytes + 70000, 100);
	soil(&v, 70000, 70100);
	write_update(f, &v, base);
	image_close(base);
	memset(v.dirty, 0, units(v.size, v.granule));
	struct tree_root without = v.updated;
	check_lost_leaf(f, &v, &without);
	write_full(f, &v);
	assert_memory_not_equal(&without.id, &v.full.id, ID_SIZE);
	version_clear(&v);
}

/* --- maps that can't be --- */

static int same_before(void *ctx, unsigned worker, uint64_t offset,
		uint64_t limit, bool *same, uint64_t *end)
{
	(void)ctx;
	(void)worker;
	*same = true;
	*end = offset < SPAN_SIZE ? min_u64(4096, limit) : offset;
	return 0;
}

static void test_senseless_map(void **state)
{
	struct fixture *f = *state;
	struct version v;
	struct image *base;
	struct image_counts counts = { .done = 0 };
	struct tree_root root;
	uint64_t size;
	version_make(&v, 2 * (uint64_t)SPAN_SIZE, 4096);
	fill_noise(v.bytes, 100000);
	write_full(f, &v);
	flush(f);
	assert_int_equal(image_open(&base, f->reader, &v.full, v.size), 0);
	struct image_source s = { .size = v.size,
		.read = version_read,
		.same = same_before,
		.ctx = &v };
	assert_int_equal(image_writer_write(f->writer, &s, base, &counts, NULL,
					 &root, &size),
			-EIO);
	image_close(base);
	version_clear(&v);
}

#define WITH(function, begin)                                                  \
	cmocka_unit_test_setup_teardown(function, begin, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(test_random, setup),
		WITH(test_random, setup_small),
		WITH(test_random, setup_plain),
		WITH(test_random, setup_plain_small),
		WITH(test_single_blocks, setup),
		WITH(test_single_blocks, setup_plain),
		WITH(test_damaged, setup),
		WITH(test_damaged, setup_plain),
		WITH(test_lost_leaf, setup),
		WITH(test_senseless_map, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
