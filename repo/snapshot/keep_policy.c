/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which snapshots a rotation keeps; see keep_policy.h. Those that count are
 * chosen first (keep_history.h), by history (keep_arrival.h). Then each rule walks from the newest to the
 * oldest of them and takes the first snapshot of every period it meets.
 */
#include "keep_policy.h"

#include <assert.h>
#include <string.h>
#include <time.h>

#include "keep_arrival.h"
#include "keep_history.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/units.h"

const char *keep_policy_rule_name(enum keep_rule rule)
{
	static const char *const names[KEEP_REASONS] = {
		[KEEP_LAST] = "last",
		[KEEP_HOURLY] = "hourly",
		[KEEP_DAILY] = "daily",
		[KEEP_WEEKLY] = "weekly",
		[KEEP_MONTHLY] = "monthly",
		[KEEP_YEARLY] = "yearly",
		[KEEP_WITHIN] = "within",
		[KEEP_IN_DOUBT] = "time in doubt",
		[KEEP_INCOMPLETE] = "incomplete",
	};
	assert((unsigned)rule < KEEP_REASONS);
	return names[rule];
}

/* 0 for rules without periods. */
static size_t format_period(char out[KEEP_PERIOD_MAX], enum keep_rule rule,
		const struct tm *tm)
{
	switch (rule) {
	case KEEP_HOURLY:
		return strftime(out, KEEP_PERIOD_MAX, "%Y-%m-%dT%H%z", tm);
	case KEEP_DAILY:
		return strftime(out, KEEP_PERIOD_MAX, "%Y-%m-%d", tm);
	case KEEP_WEEKLY:
		return strftime(out, KEEP_PERIOD_MAX, "%G-W%V", tm);
	case KEEP_MONTHLY:
		return strftime(out, KEEP_PERIOD_MAX, "%Y-%m", tm);
	case KEEP_YEARLY:
		return strftime(out, KEEP_PERIOD_MAX, "%Y", tm);
	default:
		return 0;
	}
}

char *keep_policy_period(char out[KEEP_PERIOD_MAX], enum keep_rule rule,
		int64_t time, bool utc)
{
	time_t second = (time_t)time;
	struct tm tm;
	const struct tm *ok = utc ? gmtime_r(&second, &tm)
				  : localtime_r(&second, &tm);
	if (ok == NULL || format_period(out, rule, &tm) == 0)
		out[0] = '\0';
	return out;
}

bool keep_policy_keeps(const struct keep_policy *policy)
{
	for (int rule = 0; rule < KEEP_WITHIN; rule++)
		if (policy->counts[rule] != 0)
			return true;
	return policy->has_within;
}

bool keep_policy_any_ahead(const struct keep_item *items, size_t count,
		int64_t now)
{
	for (size_t i = 0; i < count; i++)
		if (time_is_ahead(items[i].time, now))
			return true;
	return false;
}

/* hourly … yearly */
static void apply_periods(const struct keep_policy *policy, enum keep_rule rule,
		const struct keep_history *history, struct keep_verdict *out)
{
	char last[KEEP_PERIOD_MAX] = "", now[KEEP_PERIOD_MAX];
	long left = policy->counts[rule];
	bool paused = false; /* since the last one that was taken */
	for (size_t i = history->count; left != 0 && i-- > 0;) {
		const struct keep_moment *moment = &history->items[i];
		struct keep_verdict *verdict = &out[moment->item];
		keep_policy_period(now, rule, moment->time, policy->utc);
		bool newest = i == history->count - 1;
		bool first = newest || strcmp(now, last) != 0;
		paused = paused || (!newest && moment[1].after_pause);
		if (!first && i > 0)
			continue;
		verdict->rules |= 1u << rule;
		if (!first)
			verdict->oldest |= 1u << rule;
		if (left > 0 && !paused)
			left--;
		paused = false;
		memcpy(last, now, sizeof(last));
	}
}

static void apply_others(const struct keep_policy *policy,
		const struct keep_history *history, struct keep_verdict *out)
{
	long last = policy->counts[KEEP_LAST];
	for (size_t i = 0; i < history->count; i++) {
		const struct keep_moment *moment = &history->items[i];
		struct keep_verdict *verdict = &out[moment->item];
		if (last == KEEP_ALL
				|| (last > 0
						&& history->count - i
								<= (size_t)last))
			verdict->rules |= 1u << KEEP_LAST;
		if (policy->has_within && moment->age <= policy->within)
			verdict->rules |= 1u << KEEP_WITHIN;
	}
}

static int apply_to_history(const struct keep_policy *policy,
		const struct keep_item *items, size_t count, int64_t now,
		struct keep_verdict *out)
{
	struct keep_history history;
	int err = keep_history_make(&history, items, count, now, out);
	if (err < 0)
		return err;
	for (enum keep_rule rule = KEEP_HOURLY; rule < KEEP_WITHIN; rule++)
		apply_periods(policy, rule, &history, out);
	apply_others(policy, &history, out);
	keep_history_clear(&history);
	return 0;
}

/* The first COUNT of PLACES are one history. */
static int apply_to_places(const struct keep_policy *policy,
		const struct keep_item *items, const size_t *places,
		size_t count, int64_t now, struct keep_verdict *out)
{
	CLEANUP_FREE struct keep_item *chosen =
			calloc(count + 1, sizeof(*chosen));
	CLEANUP_FREE struct keep_verdict *verdicts =
			calloc(count + 1, sizeof(*verdicts));
	if (chosen == NULL || verdicts == NULL)
		return fail_no_memory("applying the rules");
	for (size_t i = 0; i < count; i++)
		chosen[i] = items[places[i]];
	int err = apply_to_history(policy, chosen, count, now, verdicts);
	for (size_t i = 0; err == 0 && i < count; i++)
		out[places[i]] = verdicts[i];
	return err;
}

int keep_policy_apply(const struct keep_policy *policy,
		const struct keep_item *items, size_t count, int64_t now,
		struct keep_verdict *out)
{
	CLEANUP_FREE size_t *places = calloc(count + 1, sizeof(*places));
	if (places == NULL)
		return fail_no_memory("applying the rules");
	memset(out, 0, count * sizeof(*out));
	for (size_t i = 0; i < count; i++)
		places[i] = i;
	tzset(); /* localtime_r need not */
	for (size_t done = 0; done < count;) {
		size_t in_time;
		int err = keep_arrival_split(items, places + done, count - done,
				&in_time);
		if (err == 0)
			err = apply_to_places(policy, items, places + done,
					in_time, now, out);
		if (err < 0)
			return err;
		done += in_time;
	}
	return 0;
}
