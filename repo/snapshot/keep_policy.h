/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which snapshots of one source a rotation keeps, with the rules known from
 * restic and borg. A pure function of what is known of the snapshots; it knows
 * no repository.
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
 * Incomplete snapshots lack something that should be in them. No rule counts
 * them. They are kept while they are newer than the newest complete one; if
 * there is no complete one at all, they count as if they were.
 *
 * Clocks are not trusted: what counts as newer is the order in which the
 * snapshots were made.
 *	- A time that contradicts that order (it is not in the longest run of
 *	  snapshots whose times follow it), is more than a day ahead of now, or
 *	  before 2020 (a clock that starts anew without its battery), is in
 *	  doubt: the snapshot is kept and uses up no rule.
 *	- A copy that arrived on a later day (of UTC) than one that is more than
 *	  a day newer is late. Those that are late are a history of their own
 *	  (and those late among them another), in which the rules apply anew:
 *	  whatever times somebody gives to what is copied later, it takes no
 *	  place of what is there.
 *	- A pause of more than three days, and of more than four usual intervals
 *	  (their median), may be a clock that was set: for "within" it is as
 *	  long as a usual interval, and the first period behind it does not
 *	  count.
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
	KEEP_RULES, /* those that can be given end here */
	KEEP_IN_DOUBT = KEEP_RULES,
	KEEP_INCOMPLETE,
	KEEP_REASONS
};

#define KEEP_ALL (-1)

struct keep_policy {
	long counts[KEEP_WITHIN]; /* by rule: 0 … or KEEP_ALL */
	bool has_within;
	int64_t within; /* seconds, at least 0 */
	bool utc;	/* periods of UTC */
};

struct keep_item {
	int64_t time; /* UTC seconds */
	bool complete;
	int64_t arrived; /* of a copy, UTC second; 0: made here, or unknown */
};

/* Sets of reasons: 1 << enum keep_rule. Kept if RULES is not 0. */
struct keep_verdict {
	unsigned rules;
	unsigned oldest; /* those of RULES that keep it only as the oldest */
};

/* False if it would keep nothing of anything. Where it is true, the newest
 * complete snapshot of a source is always kept. */
bool keep_policy_keeps(const struct keep_policy *policy);

/* ITEMS: COUNT snapshots in the order in which they were made. NOW: UTC seconds.
 * Sets OUT[i] for each. O(COUNT log COUNT). 0 or -ENOMEM. */
int keep_policy_apply(const struct keep_policy *policy,
		const struct keep_item *items, size_t count, int64_t now,
		struct keep_verdict *out);

/* Whether any is more than a day ahead of NOW. One of both clocks was wrong
 * then, and nobody can tell which: a rotation should not go on unasked. */
bool keep_policy_any_ahead(const struct keep_item *items, size_t count,
		int64_t now);

/* "last", "hourly", … "within", "time in doubt", "incomplete". */
const char *keep_policy_rule_name(enum keep_rule rule);

#define KEEP_PERIOD_MAX 40
/* The period of RULE that TIME lies in, empty for KEEP_LAST and KEEP_WITHIN:
 * 2026-11-23T04+0100, 2026-11-23, 2026-W48, 2026-11, 2026. Two times lie in the
 * same period if these are equal. Returns OUT. */
char *keep_policy_period(char out[KEEP_PERIOD_MAX], enum keep_rule rule,
		int64_t time, bool utc);

#endif
