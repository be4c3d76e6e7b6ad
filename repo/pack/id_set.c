/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Linear probing; removal shifts the run behind the gap back, so no marks of
 * deleted entries pile up (Knuth, The Art of Computer Programming 3, 6.4,
 * algorithm R). An empty place holds the zero id.
 */
#include "id_set.h"

#include "id_hash.h"

#include <errno.h>
#include <stdlib.h>

struct id_set {
	struct id *places;
	size_t mask, count;
};

struct id_set *id_set_new(void)
{
	struct id_set *s = malloc(sizeof(*s));
	if (s == NULL)
		return NULL;
	s->mask = 1023;
	s->count = 0;
	s->places = calloc(s->mask + 1, sizeof(*s->places));
	if (s->places == NULL) {
		free(s);
		return NULL;
	}
	return s;
}

void id_set_free(struct id_set *s)
{
	if (s == NULL)
		return;
	free(s->places);
	free(s);
}

/* Where ID is, or the empty place where it would be. */
static size_t find(const struct id_set *s, const struct id *id)
{
	size_t i = id_hash(id) & s->mask;
	while (!id_is_zero(&s->places[i]) && !id_equal(&s->places[i], id))
		i = (i + 1) & s->mask;
	return i;
}

bool id_set_contains(const struct id_set *s, const struct id *id)
{
	return !id_is_zero(&s->places[find(s, id)]);
}

static int grow(struct id_set *s)
{
	struct id_set bigger = { .mask = 2 * s->mask + 1 };
	bigger.places = calloc(bigger.mask + 1, sizeof(*bigger.places));
	if (bigger.places == NULL)
		return -ENOMEM;
	for (size_t i = 0; i <= s->mask; i++)
		if (!id_is_zero(&s->places[i]))
			bigger.places[find(&bigger, &s->places[i])] =
					s->places[i];
	free(s->places);
	s->places = bigger.places;
	s->mask = bigger.mask;
	return 0;
}

int id_set_add(struct id_set *s, const struct id *id)
{
	if (s->count >= s->mask / 4 * 3 && grow(s) < 0)
		return -ENOMEM;
	size_t i = find(s, id);
	if (!id_is_zero(&s->places[i]))
		return 0;
	s->places[i] = *id;
	s->count++;
	return 1;
}

void id_set_remove(struct id_set *s, const struct id *id)
{
	size_t gap = find(s, id);
	if (id_is_zero(&s->places[gap]))
		return;
	s->count--;
	for (size_t i = (gap + 1) & s->mask; !id_is_zero(&s->places[i]);
			i = (i + 1) & s->mask) {
		size_t home = id_hash(&s->places[i]) & s->mask;
		/* An entry may move back only as far as its home. */
		if (((i - home) & s->mask) >= ((i - gap) & s->mask)) {
			s->places[gap] = s->places[i];
			gap = i;
		}
	}
	s->places[gap] = (struct id){ { 0 } };
}

size_t id_set_count(const struct id_set *s)
{
	return s->count;
}
