/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which snapshots of one source a rotation keeps, with the rules known from
 * restic and borg. A pure function of the snapshots' times; it knows no
 * repository.
 *
 * A snapshot is kept if at least one rule says so; each rule considers all of
 * them, whatever the others keep.
 *
 *	last N		the newest N.
 *	hourly … yearly N
 *			of each of the last N hours, days, weeks, months or years
 *			*that have a snapshot*, the newest one. Periods without
 *			any don't count. If there are fewer than N, the oldest
 *			snapshot is kept besides (so that a yearly rule keeps the
 *			first one until there are N years), marked "oldest".
 *	within D	all that are at most D older than the source's *newest*
 *			snapshot (not: than now, so that a source that is no longer
 *			backed up keeps its last ones). Exactly D counts as within.
 *
 * N KEEP_ALL: every period. N 0: as if not given.
 *
 * Periods are those of the local time zone (TZ), or of UTC. A week begins on
 * Monday and belongs to a year as ISO 8601 says: 2027-01-03 is in 2026-W53. An
 * hour that the clock shows twice, when summer time ends, is two hours; a day
 * of 23 or 25 hours is one day. A period is half open: midnight belongs to the
 * day that begins. D is a plain number of seconds.
 *
 * Ties: two snapshots of one source never have the same second. If two times are
 * equal nevertheless, the later one in the list is the newer.
 */
#ifndef AMBERFS_SNAPSHOT_KEEP_POLICY_H
#define AMBERFS_SNAPSHOT_KEEP_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum keep_rule {
	KEEP_LAST,
	KEEP_HOURLY,
	KEEP_DAILY,
	KEEP_WEEKLY,
	KEEP_MONTHLY,
	KEEP_YEARLY,
	KEEP_WITHIN,
	KEEP_RULES
};

#define KEEP_ALL (-1)

struct keep_policy {
	long counts[KEEP_WITHIN]; /* by rule: 0 … or KEEP_ALL */
	bool has_within;
	int64_t within; /* seconds, at least 0 */
	bool utc;	/* periods of UTC */
};

/* Sets of rules: 1 << enum keep_rule. Kept if RULES is not 0. */
struct keep_verdict {
	unsigned rules;
	unsigned oldest; /* those of RULES that keep it only as the oldest */
};

/* False if it would keep nothing of anything. Where it is true, the newest
 * snapshot of a source is always kept. */
bool keep_policy_keeps(const struct keep_policy *policy);

/* TIMES: COUNT UTC seconds, ascending. Sets OUT[i] for each. O(COUNT). */
void keep_policy_apply(const struct keep_policy *policy, const int64_t *times,
		size_t count, struct keep_verdict *out);

/* "last", "hourly", … "within". */
const char *keep_policy_rule_name(enum keep_rule rule);

#define KEEP_PERIOD_MAX 40
/* The period of RULE that TIME lies in, empty for KEEP_LAST and KEEP_WITHIN:
 * 2026-11-23T04+0100, 2026-11-23, 2026-W48, 2026-11, 2026. Two times lie in the
 * same period if these are equal. Returns OUT. */
char *keep_policy_period(char out[KEEP_PERIOD_MAX], enum keep_rule rule,
		int64_t time, bool utc);

#endif
