/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which snapshots arrived in the order of their times; see keep_policy.h. */
#ifndef AMBERFS_SNAPSHOT_KEEP_ARRIVAL_H
#define AMBERFS_SNAPSHOT_KEEP_ARRIVAL_H

#include "keep_policy.h"

/* Puts those of PLACES in ITEMS that are not late to the front, both parts in the
 * order in which they were; *IN_TIME: how many that are, at least one if COUNT
 * is. O(COUNT log COUNT). 0 or -ENOMEM. */
int keep_arrival_split(const struct keep_item *items, size_t *places,
		size_t count, size_t *in_time);

#endif
