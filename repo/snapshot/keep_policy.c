/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which snapshots a rotation keeps; see keep_policy.h. Each rule walks from the
 * newest to the oldest and takes the first snapshot of every period it meets.
 */
#include "keep_policy.h"

#include <assert.h>
#include <string.h>
#include <time.h>

const char *keep_policy_rule_name(enum keep_rule rule)
{
	static const char *const names[KEEP_RULES] = {
		[KEEP_LAST] = "last",
		[KEEP_HOURLY] = "hourly",
		[KEEP_DAILY] = "daily",
		[KEEP_WEEKLY] = "weekly",
		[KEEP_MONTHLY] = "monthly",
		[KEEP_YEARLY] = "yearly",
		[KEEP_WITHIN] = "within",
	};
	assert((unsigned)rule < KEEP_RULES);
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

/* hourly … yearly */
static void apply_periods(const struct keep_policy *policy, enum keep_rule rule,
		const int64_t *times, size_t count, struct keep_verdict *out)
{
	char last[KEEP_PERIOD_MAX] = "", now[KEEP_PERIOD_MAX];
	long left = policy->counts[rule];
	for (size_t i = count; left != 0 && i-- > 0;) {
		keep_policy_period(now, rule, times[i], policy->utc);
		bool first = i == count - 1 || strcmp(now, last) != 0;
		if (!first && i > 0)
			continue;
		out[i].rules |= 1u << rule;
		if (!first)
			out[i].oldest |= 1u << rule;
		if (left > 0)
			left--;
		memcpy(last, now, sizeof(last));
	}
}

void keep_policy_apply(const struct keep_policy *policy, const int64_t *times,
		size_t count, struct keep_verdict *out)
{
	long last = policy->counts[KEEP_LAST];
	memset(out, 0, count * sizeof(*out));
	tzset(); /* localtime_r need not */
	for (enum keep_rule rule = KEEP_HOURLY; rule < KEEP_WITHIN; rule++)
		apply_periods(policy, rule, times, count, out);
	for (size_t i = 0; i < count; i++) {
		if (last == KEEP_ALL || (last > 0 && count - i <= (size_t)last))
			out[i].rules |= 1u << KEEP_LAST;
		if (policy->has_within
				&& times[count - 1] - times[i]
						<= policy->within)
			out[i].rules |= 1u << KEEP_WITHIN;
	}
}
