/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Linear probing. An entry is two words: bytes 0 to 7 of the id, and bytes 8 to
 * 15 with the flag in place of the highest bit. An empty one is all zero, so an
 * id that begins with 127 zero bits is kept as if it began with a one.
 *
 * The place of an id is its hash scaled to the number of places, which
 * therefore need not be a power of two: the table can be just as large as it
 * must be. Scaling keeps the order of hashes, so growing copies from front to
 * back.
 */
#include "live_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "repo/base/bytes.h"

#define FLAG_BIT ((uint64_t)1 << 63)
#define PLACES_MIN 1024u

struct entry {
	uint64_t low, high;
};

struct live_set {
	struct entry *places;
	uint64_t size, count, flagged, bytes_max;
	uint64_t seed;		/* as in id_hash.h */
};

_Static_assert(sizeof(struct entry) == LIVE_ENTRY_SIZE, "an entry's size");

static struct entry entry_of(const struct id *id)
{
	struct entry e = { .low = get_le64(id->b),
		.high = get_le64(id->b + 8) & ~FLAG_BIT };
	if (e.low == 0 && e.high == 0)
		e.low = 1;
	return e;
}

static bool is_empty(const struct entry *e)
{
	return e->low == 0 && (e->high & ~FLAG_BIT) == 0;
}

static bool is_same(const struct entry *a, const struct entry *b)
{
	return a->low == b->low && ((a->high ^ b->high) & ~FLAG_BIT) == 0;
}

/* Where E is, or the empty place where it would be. */
static struct entry *find(const struct live_set *t, const struct entry *e)
{
	const struct entry key = { e->low, e->high & ~FLAG_BIT };
	uint64_t hash = XXH3_64bits_withSeed(&key, sizeof(key), t->seed);
	uint64_t i = (uint64_t)(((unsigned __int128)hash * t->size) >> 64);
	while (!is_empty(&t->places[i]) && !is_same(&t->places[i], e))
		i = i + 1 == t->size ? 0 : i + 1;
	return &t->places[i];
}

/* Places for COUNT ids at a fill of 4/5. */
static uint64_t places_for(uint64_t count)
{
	return max_u64(count + count / 4 + 1, PLACES_MIN);
}

uint64_t live_set_capacity(uint64_t bytes)
{
	return bytes / LIVE_ENTRY_SIZE / 5 * 4;
}

struct live_set *live_set_new(uint64_t count, uint64_t bytes_max)
{
	struct live_set *t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	t->bytes_max = bytes_max;
	seal_random(&t->seed, sizeof(t->seed));
	t->size = max_u64(min_u64(places_for(count),
					  bytes_max / LIVE_ENTRY_SIZE),
			PLACES_MIN);
	t->places = calloc(t->size, LIVE_ENTRY_SIZE);
	if (t->places == NULL) {
		free(t);
		return NULL;
	}
	return t;
}

void live_set_free(struct live_set *t)
{
	if (t == NULL)
		return;
	free(t->places);
	free(t);
}

static int grow(struct live_set *t)
{
	struct live_set bigger = { .size = t->size + t->size / 2,
		.seed = t->seed };
	if ((t->size + bigger.size) * LIVE_ENTRY_SIZE > t->bytes_max)
		return -E2BIG;
	bigger.places = calloc(bigger.size, LIVE_ENTRY_SIZE);
	if (bigger.places == NULL)
		return -ENOMEM;
	for (uint64_t i = 0; i < t->size; i++)
		if (!is_empty(&t->places[i]))
			*find(&bigger, &t->places[i]) = t->places[i];
	free(t->places);
	t->places = bigger.places;
	t->size = bigger.size;
	return 0;
}

int live_set_add(struct live_set *t, const struct id *id)
{
	struct entry e = entry_of(id);
	struct entry *at = find(t, &e);
	if (!is_empty(at))
		return 0;
	if (t->count >= t->size / 5 * 4) {
		int err = grow(t);
		if (err < 0)
			return err;
		at = find(t, &e);
	}
	*at = e;
	t->count++;
	return 1;
}

int live_set_flag(const struct live_set *t, const struct id *id)
{
	struct entry e = entry_of(id);
	const struct entry *at = find(t, &e);
	if (is_empty(at))
		return -1;
	return (at->high & FLAG_BIT) != 0;
}

bool live_set_turn(struct live_set *t, const struct id *id, bool flag)
{
	struct entry e = entry_of(id);
	struct entry *at = find(t, &e);
	if (is_empty(at) || ((at->high & FLAG_BIT) != 0) == flag)
		return false;
	at->high ^= FLAG_BIT;
	if (flag)
		t->flagged++;
	else
		t->flagged--;
	return true;
}

void live_set_clear(struct live_set *t)
{
	memset(t->places, 0, t->size * LIVE_ENTRY_SIZE);
	t->count = t->flagged = 0;
}

uint64_t live_set_count(const struct live_set *t)
{
	return t->count;
}

uint64_t live_set_flagged(const struct live_set *t)
{
	return t->flagged;
}

uint64_t live_set_bytes(const struct live_set *t)
{
	return t->size * LIVE_ENTRY_SIZE;
}
