/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The minimum age of what may be removed: the settings that were ever made,
 * objects retention/1, retention/2, … (FORMAT.md 12.2). They are never changed
 * nor deleted, so a setting can be lowered for future snapshots, but not for
 * existing ones.
 *
 * A snapshot of time T is protected until T + the largest min_age that was in
 * force at any time from T on. So raising takes effect at once for all
 * snapshots, lowering only for those made after it. Without any setting
 * nothing is protected. For a copy the same is true of the time at which it
 * arrived: who made it elsewhere may have given it any other time.
 *
 * Whoever removes snapshots or packs loads them first and removes nothing if
 * that fails: -EBADMSG with a text says that one can't be read or is missing.
 *
 * Threading: a loaded struct min_age may be read by all threads.
 */
#ifndef AMBERFS_REPOSITORY_MIN_AGE_H
#define AMBERFS_REPOSITORY_MIN_AGE_H

#include "repository.h"

#define MIN_AGE_COUNT_MAX 65536u
#define MIN_AGE_AGE_MAX INT64_C(3162240000) /* 100 years of 366 days */

struct min_age_setting {
	int64_t since;	 /* UTC second */
	int64_t min_age; /* seconds, 0 … MIN_AGE_AGE_MAX */
};

/* In the order of their numbers; SINCE never falls (what a wrong clock wrote
 * counts as made right after the one before). */
struct min_age {
	struct min_age_setting *items;
	size_t count;
};

/* 0, -EBADMSG, -ENOMEM, or why it can't be read. */
int min_age_load(struct repository *repo, struct min_age *out);
void min_age_clear(struct min_age *min_age);

/* What a snapshot made from now on gets, in seconds; 0: no protection. */
int64_t min_age_in_force(const struct min_age *min_age);

/* UTC seconds of a snapshot. */
struct min_age_of {
	int64_t time;
	int64_t arrived; /* of a copy; 0: it is none, or that is not known */
};

/* The UTC second from which on it may be removed; its TIME if no setting protects
 * it. */
int64_t min_age_until(const struct min_age *min_age, struct min_age_of of);
/* True if it may not be removed at NOW. (Its TIME may lie after NOW: several
 * snapshots of one second get the following ones.) */
bool min_age_protects(const struct min_age *min_age, struct min_age_of of,
		int64_t now);

/* The largest min_age that can still protect something at NOW: of the setting
 * in force and of older ones under which snapshots were made that are still
 * protected. Prune leaves alone what is younger than that. */
int64_t min_age_longest(const struct min_age *min_age, int64_t now);

/* Warns (report) if the newest snapshot is more than a day ahead of the clock:
 * then it is uncertain which snapshots are protected. */
void min_age_check_clock(struct repository *repo);

/* Makes MIN_AGE the setting from now on, durably, and adds it to R's. Its
 * SINCE is never before the newest snapshot, nor before ARRIVED, the latest
 * arrival (0: none), whatever the clock says. */
int min_age_set(struct repository *repo, struct min_age *r, int64_t min_age,
		int64_t arrived);

/* For repository_init: the first setting of a repository being made. */
int min_age_put_first(struct store *store, const struct seal *seal,
		const uint8_t *repo_id, const struct min_age_setting *first);

#endif
