/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What was made here arrived when it was made. */
#include "keep_arrival.h"

#include <stdlib.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"

#define DAY INT64_C(86400)

struct arrival {
	size_t place; /* in PLACES */
	int64_t day, time;
};

static int by_day(const void *a, const void *b)
{
	const struct arrival *x = a, *y = b;
	return (x->day > y->day) - (x->day < y->day);
}

/* LATE[i] for those of PLACES, of which ARRIVALS are all, sorted. */
static void find_late(const struct arrival *arrivals, size_t count, bool *late)
{
	int64_t before = INT64_MIN; /* the latest time of earlier days */
	for (size_t i = 0; i < count;) {
		int64_t day = arrivals[i].day, latest = before;
		for (; i < count && arrivals[i].day == day; i++) {
			late[arrivals[i].place] = before != INT64_MIN
					&& before > arrivals[i].time + DAY;
			if (arrivals[i].time > latest)
				latest = arrivals[i].time;
		}
		before = latest;
	}
}

static void put_last(size_t *places, size_t count, const bool *late,
		size_t *moved)
{
	size_t kept = 0, gone = 0;
	for (size_t i = 0; i < count; i++) {
		if (late[i])
			moved[gone++] = places[i];
		else
			places[kept++] = places[i];
	}
	memcpy(places + kept, moved, gone * sizeof(*places));
}

int keep_arrival_split(const struct keep_item *items, size_t *places,
		size_t count, size_t *in_time)
{
	CLEANUP_FREE struct arrival *arrivals =
			calloc(count + 1, sizeof(*arrivals));
	CLEANUP_FREE bool *late = calloc(count + 1, sizeof(*late));
	CLEANUP_FREE size_t *moved = calloc(count + 1, sizeof(*moved));
	if (arrivals == NULL || late == NULL || moved == NULL)
		return fail_no_memory("applying the rules");
	for (size_t i = 0; i < count; i++) {
		const struct keep_item *item = &items[places[i]];
		int64_t when = item->arrived > 0 ? item->arrived : item->time;
		arrivals[i] = (struct arrival){ i, when / DAY, item->time };
	}
	qsort(arrivals, count, sizeof(*arrivals), by_day);
	find_late(arrivals, count, late);
	*in_time = 0;
	for (size_t i = 0; i < count; i++)
		*in_time += !late[i];
	put_last(places, count, late, moved);
	return 0;
}
