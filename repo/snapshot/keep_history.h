/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which snapshots of a source the rules of keep_policy.h count, and how old
 * they are, whatever clocks have said. */
#ifndef AMBERFS_SNAPSHOT_KEEP_HISTORY_H
#define AMBERFS_SNAPSHOT_KEEP_HISTORY_H

#include "keep_policy.h"

struct keep_moment {
	size_t item;  /* its place in ITEMS */
	int64_t time; /* UTC seconds, never before the one before it */
	int64_t age;  /* seconds from it to the newest, without pauses */
	bool after_pause;
};

/* From the oldest to the newest. */
struct keep_history {
	struct keep_moment *items;
	size_t count;
};

/* As keep_policy_apply; sets those of OUT that are kept without a rule. 0 or
 * -ENOMEM. */
int keep_history_make(struct keep_history *out, const struct keep_item *items,
		size_t count, int64_t now, struct keep_verdict *verdicts);
void keep_history_clear(struct keep_history *history);

#endif
