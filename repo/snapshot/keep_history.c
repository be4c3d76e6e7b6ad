/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See keep_policy.h for what is trusted, and why. */
#include "keep_history.h"

#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/units.h"

#define DAY INT64_C(86400)
/* 2020-01-01: there was no amberfs before. */
#define EARLIEST INT64_C(1577836800)
/* A longer pause may be a clock that was set. */
#define PAUSE_MIN (3 * DAY)
#define PAUSE_INTERVALS 4

/* --- those that are complete --- */

/* The newest complete one, or COUNT. */
static size_t newest_complete(const struct keep_item *items, size_t count)
{
	for (size_t i = count; i-- > 0;)
		if (items[i].complete)
			return i;
	return count;
}

static void choose(struct keep_history *history, const struct keep_item *items,
		size_t count, int64_t now, struct keep_verdict *verdicts)
{
	size_t newest = newest_complete(items, count);
	bool any = newest < count;
	for (size_t i = 0; i < count; i++) {
		if (any && i > newest)
			verdicts[i].rules |= 1u << KEEP_INCOMPLETE;
		if (any && !items[i].complete)
			continue;
		if (time_is_ahead(items[i].time, now)
				|| items[i].time < EARLIEST)
			verdicts[i].rules |= 1u << KEEP_IN_DOUBT;
		else
			history->items[history->count++] =
					(struct keep_moment){ .item = i,
						.time = items[i].time };
	}
}

/* --- those whose times agree with their order --- */

/* What ends a run of length LEN+1 with the least time, by LEN; where each run
 * came from. */
struct runs {
	size_t *ends, *before;
	size_t longest;
};

/* The first run whose end is later than TIME. */
static size_t find_run(const struct runs *runs,
		const struct keep_moment *moments, int64_t time)
{
	size_t low = 0, high = runs->longest;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (moments[runs->ends[middle]].time <= time)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/*
 * The longest subsequence of non-decreasing times (patience sorting; Fredman
 * 1975): IN[i] for each of them. 0 or -ENOMEM.
 */
static int longest_run(const struct keep_history *history, bool *in)
{
	size_t count = history->count;
	CLEANUP_FREE size_t *ends = calloc(count + 1, sizeof(*ends));
	CLEANUP_FREE size_t *before = calloc(count + 1, sizeof(*before));
	struct runs runs = { .ends = ends, .before = before };
	if (ends == NULL || before == NULL)
		return fail_no_memory("applying the rules");
	for (size_t i = 0; i < count; i++) {
		size_t run = find_run(&runs, history->items,
				history->items[i].time);
		before[i] = run > 0 ? ends[run - 1] : count;
		ends[run] = i;
		runs.longest += run == runs.longest;
	}
	for (size_t i = runs.longest ? ends[runs.longest - 1] : count;
			i < count; i = before[i])
		in[i] = true;
	return 0;
}

/* The time of the next one that is IN, by number; INT64_MAX: none. */
static void find_next(const struct keep_history *history, const bool *in,
		int64_t *next)
{
	int64_t time = INT64_MAX;
	for (size_t i = history->count; i-- > 0;) {
		next[i] = time;
		if (in[i])
			time = history->items[i].time;
	}
}

/*
 * What is off by less than a day from where it belongs, between its neighbours
 * in the run, is a clock that was set right, and is moved there. The others are
 * in doubt.
 */
static void drop_doubtful(struct keep_history *history, const bool *in,
		const int64_t *next, struct keep_verdict *verdicts)
{
	size_t kept = 0;
	int64_t last = INT64_MIN;
	for (size_t i = 0; i < history->count; i++) {
		struct keep_moment moment = history->items[i];
		bool near = (last == INT64_MIN || moment.time >= last - DAY)
				&& moment.time - DAY <= next[i];
		if (!in[i] && !near) {
			verdicts[moment.item].rules |= 1u << KEEP_IN_DOUBT;
			continue;
		}
		if (moment.time > next[i])
			moment.time = next[i];
		if (moment.time < last)
			moment.time = last;
		last = moment.time;
		history->items[kept++] = moment;
	}
	history->count = kept;
}

/* --- pauses --- */

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

/* The median interval; a day if there are too few to tell. */
static int64_t usual_interval(const struct keep_history *history,
		int64_t *intervals)
{
	size_t count = history->count - 1;
	for (size_t i = 0; i < count; i++)
		intervals[i] = history->items[i + 1].time
				- history->items[i].time;
	qsort(intervals, count, sizeof(*intervals), by_size);
	return count < 3 ? DAY : intervals[(count - 1) / 2];
}

static int find_pauses(struct keep_history *history)
{
	if (history->count < 2)
		return 0;
	CLEANUP_FREE int64_t *intervals =
			calloc(history->count, sizeof(*intervals));
	if (intervals == NULL)
		return fail_no_memory("applying the rules");
	int64_t usual = usual_interval(history, intervals);
	int64_t limit = PAUSE_INTERVALS * usual;
	limit = limit > PAUSE_MIN ? limit : PAUSE_MIN;
	for (size_t i = history->count - 1; i-- > 0;) {
		struct keep_moment *moment = &history->items[i];
		int64_t interval = moment[1].time - moment->time;
		moment[1].after_pause = interval > limit;
		moment->age = moment[1].age
				+ (interval > limit ? usual : interval);
	}
	return 0;
}

/* --- all of it --- */

static int examine(struct keep_history *history, struct keep_verdict *verdicts)
{
	CLEANUP_FREE bool *in = calloc(history->count + 1, sizeof(*in));
	CLEANUP_FREE int64_t *next = calloc(history->count + 1, sizeof(*next));
	if (in == NULL || next == NULL)
		return fail_no_memory("applying the rules");
	int err = longest_run(history, in);
	if (err < 0)
		return err;
	find_next(history, in, next);
	drop_doubtful(history, in, next, verdicts);
	return find_pauses(history);
}

int keep_history_make(struct keep_history *out, const struct keep_item *items,
		size_t count, int64_t now, struct keep_verdict *verdicts)
{
	*out = (struct keep_history){ .items = calloc(count + 1,
						      sizeof(*out->items)) };
	if (out->items == NULL)
		return fail_no_memory("applying the rules");
	choose(out, items, count, now, verdicts);
	int err = examine(out, verdicts);
	if (err < 0)
		keep_history_clear(out);
	return err;
}

void keep_history_clear(struct keep_history *history)
{
	free(history->items);
	*history = (struct keep_history){ 0 };
}
