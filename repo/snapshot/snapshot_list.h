/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The snapshots of a repository, and the newest of a source. */
#ifndef AMBERFS_SNAPSHOT_SNAPSHOT_LIST_H
#define AMBERFS_SNAPSHOT_SNAPSHOT_LIST_H

#include "repo/repository/repository.h"

struct snapshot_list {
	struct snapshot **items;
	size_t count;
};
typedef void snapshot_bad_fn(void *ctx, const char *object, int err);

/* Loads all, or those of SOURCE (escaped; NULL: all), sorted by source and
 * time. Objects that can't be read are reported through ON_BAD (may be NULL:
 * fail) and left out. */
int snapshot_list_load(struct repository *repo, const char *source,
		struct snapshot_list *out, snapshot_bad_fn *on_bad, void *ctx);
/* Those of SOURCE whose time is later than AFTER, and that can be read. */
int snapshot_list_load_later(struct repository *repo, const char *source,
		int64_t after, struct snapshot_list *out);
void snapshot_list_clear(struct snapshot_list *list);

/* The newest of SOURCE by time, or NULL in *OUT. */
int snapshot_list_newest(struct repository *repo, const char *source,
		struct snapshot **out);
/* What "latest" means: the newest complete one that is not more than a day ahead
 * of now; where there is none, the newest. A snapshot with a higher number that
 * this machine has seen is newer, whatever its time. NULL: there are none. */
int snapshot_list_newest_complete(struct repository *repo, const char *source,
		struct snapshot **out);
/* The same for who holds snapshots of one source: whether SNAP is a better answer
 * than OTHER; and whether, after those with numbers up to HIGHEST were asked from
 * the newest time on, SNAP is the answer. SEEN: high_water_get's; as a clock that
 * was behind gave an early time to a later number. */
bool snapshot_list_is_later(const struct snapshot *snap,
		const struct snapshot *other);
bool snapshot_list_is_latest(const struct snapshot *snap, uint64_t highest,
		uint64_t seen);
/* The one made last, which the next one is based on: the newest, or if that is
 * more than a day ahead of now, the one with the highest number. Warns (report)
 * of a rollback if this machine has seen a newer number (remembered beside the
 * index). */
int snapshot_list_latest(struct repository *repo, const char *source,
		struct snapshot **out);
/* The number of the next snapshot of SOURCE whose last one is BASE (or NULL):
 * higher than any that this machine has seen. */
uint64_t snapshot_list_next_sequence(struct repository *repo,
		const char *source, const struct snapshot *base);

#endif
