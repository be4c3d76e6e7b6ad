/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Linear probing; removal shifts the run behind the gap back, so no marks of
 * deleted entries pile up (Knuth, The Art of Computer Programming 3, 6.4,
 * algorithm R). An empty place holds the zero id.
 */
#include "id_set.h"

#include <errno.h>
#include <stdlib.h>

#include "id_hash.h"

struct id_set {
	struct id *places;
	size_t mask, count;
};

struct id_set *id_set_new(void)
{
	struct id_set *set = malloc(sizeof(*set));
	if (set == NULL)
		return NULL;
	set->mask = 1023;
	set->count = 0;
	set->places = calloc(set->mask + 1, sizeof(*set->places));
	if (set->places == NULL) {
		free(set);
		return NULL;
	}
	return set;
}

void id_set_free(struct id_set *set)
{
	if (set == NULL)
		return;
	free(set->places);
	free(set);
}

/* Where ID is, or the empty place where it would be. */
static size_t find(const struct id_set *set, const struct id *id)
{
	size_t i = id_hash(id) & set->mask;
	while (!id_is_zero(&set->places[i]) && !id_equal(&set->places[i], id))
		i = (i + 1) & set->mask;
	return i;
}

bool id_set_contains(const struct id_set *set, const struct id *id)
{
	return !id_is_zero(&set->places[find(set, id)]);
}

static int grow(struct id_set *set)
{
	struct id_set bigger = { .mask = 2 * set->mask + 1 };
	bigger.places = calloc(bigger.mask + 1, sizeof(*bigger.places));
	if (bigger.places == NULL)
		return -ENOMEM;
	for (size_t i = 0; i <= set->mask; i++)
		if (!id_is_zero(&set->places[i]))
			bigger.places[find(&bigger, &set->places[i])] =
					set->places[i];
	free(set->places);
	set->places = bigger.places;
	set->mask = bigger.mask;
	return 0;
}

int id_set_add(struct id_set *set, const struct id *id)
{
	if (set->count >= set->mask / 4 * 3 && grow(set) < 0)
		return -ENOMEM;
	size_t i = find(set, id);
	if (!id_is_zero(&set->places[i]))
		return 0;
	set->places[i] = *id;
	set->count++;
	return 1;
}

void id_set_remove(struct id_set *set, const struct id *id)
{
	size_t gap = find(set, id);
	if (id_is_zero(&set->places[gap]))
		return;
	set->count--;
	for (size_t i = (gap + 1) & set->mask; !id_is_zero(&set->places[i]);
			i = (i + 1) & set->mask) {
		size_t home = id_hash(&set->places[i]) & set->mask;
		/* An entry may move back only as far as its home. */
		if (((i - home) & set->mask) >= ((i - gap) & set->mask)) {
			set->places[gap] = set->places[i];
			gap = i;
		}
	}
	set->places[gap] = (struct id){ { 0 } };
}

size_t id_set_count(const struct id_set *set)
{
	return set->count;
}
