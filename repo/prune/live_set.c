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
	uint64_t seed; /* as in id_hash.h */
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

static bool is_empty(const struct entry *entry)
{
	return entry->low == 0 && (entry->high & ~FLAG_BIT) == 0;
}

static bool is_same(const struct entry *a, const struct entry *b)
{
	return a->low == b->low && ((a->high ^ b->high) & ~FLAG_BIT) == 0;
}

/* Where ENTRY is, or the empty place where it would be. */
static struct entry *find(const struct live_set *set, const struct entry *entry)
{
	const struct entry key = { entry->low, entry->high & ~FLAG_BIT };
	uint64_t hash = XXH3_64bits_withSeed(&key, sizeof(key), set->seed);
	uint64_t i = (uint64_t)(((unsigned __int128)hash * set->size) >> 64);
	while (!is_empty(&set->places[i]) && !is_same(&set->places[i], entry))
		i = i + 1 == set->size ? 0 : i + 1;
	return &set->places[i];
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
	struct live_set *set = calloc(1, sizeof(*set));
	if (set == NULL)
		return NULL;
	set->bytes_max = bytes_max;
	seal_random(&set->seed, sizeof(set->seed));
	set->size = max_u64(min_u64(places_for(count),
					    bytes_max / LIVE_ENTRY_SIZE),
			PLACES_MIN);
	set->places = calloc(set->size, LIVE_ENTRY_SIZE);
	if (set->places == NULL) {
		free(set);
		return NULL;
	}
	return set;
}

void live_set_free(struct live_set *set)
{
	if (set == NULL)
		return;
	free(set->places);
	free(set);
}

static int grow(struct live_set *set)
{
	struct live_set bigger = { .size = set->size + set->size / 2,
		.seed = set->seed };
	if ((set->size + bigger.size) * LIVE_ENTRY_SIZE > set->bytes_max)
		return -E2BIG;
	bigger.places = calloc(bigger.size, LIVE_ENTRY_SIZE);
	if (bigger.places == NULL)
		return -ENOMEM;
	for (uint64_t i = 0; i < set->size; i++)
		if (!is_empty(&set->places[i]))
			*find(&bigger, &set->places[i]) = set->places[i];
	free(set->places);
	set->places = bigger.places;
	set->size = bigger.size;
	return 0;
}

int live_set_add(struct live_set *set, const struct id *id)
{
	struct entry e = entry_of(id);
	struct entry *entry = find(set, &e);
	if (!is_empty(entry))
		return 0;
	if (set->count >= set->size / 5 * 4) {
		int err = grow(set);
		if (err < 0)
			return err;
		entry = find(set, &e);
	}
	*entry = e;
	set->count++;
	return 1;
}

int live_set_flag(const struct live_set *set, const struct id *id)
{
	struct entry e = entry_of(id);
	const struct entry *entry = find(set, &e);
	if (is_empty(entry))
		return -1;
	return (entry->high & FLAG_BIT) != 0;
}

bool live_set_turn(struct live_set *set, const struct id *id, bool flag)
{
	struct entry e = entry_of(id);
	struct entry *entry = find(set, &e);
	if (is_empty(entry) || ((entry->high & FLAG_BIT) != 0) == flag)
		return false;
	entry->high ^= FLAG_BIT;
	if (flag)
		set->flagged++;
	else
		set->flagged--;
	return true;
}

void live_set_clear(struct live_set *set)
{
	memset(set->places, 0, set->size * LIVE_ENTRY_SIZE);
	set->count = set->flagged = 0;
}

uint64_t live_set_count(const struct live_set *set)
{
	return set->count;
}

uint64_t live_set_flagged(const struct live_set *set)
{
	return set->flagged;
}

uint64_t live_set_bytes(const struct live_set *set)
{
	return set->size * LIVE_ENTRY_SIZE;
}
