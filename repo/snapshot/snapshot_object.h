/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A snapshot as an object of a repository. */
#ifndef AMBERFS_SNAPSHOT_SNAPSHOT_OBJECT_H
#define AMBERFS_SNAPSHOT_SNAPSHOT_OBJECT_H

#include "repo/repository/repository.h"

int snapshot_object_load(struct repository *repo, const char *object,
		struct snapshot **out);
/* 0: SNAP is still there, the very same; -ENOENT: it was forgotten (maybe
 * another has its name); or why this is unknown. What a session publishes
 * counts only if this says 0 afterwards. */
int snapshot_object_exists(struct repository *repo,
		const struct snapshot *snap);

/* True if A (of RA) and B (of RB) are one snapshot: one was copied from the
 * other, or both from one. */
bool snapshot_object_is_copy(const struct repository *ra,
		const struct snapshot *a, const struct repository *rb,
		const struct snapshot *b);

#endif
