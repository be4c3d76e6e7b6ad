/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The commit point of a backup or copy. */
#ifndef AMBERFS_SNAPSHOT_SNAPSHOT_COMMIT_H
#define AMBERFS_SNAPSHOT_SNAPSHOT_COMMIT_H

#include "repo/repository/repository.h"

/* THE commit point. Takes the next free second at or after SNAP->time, sets
 * object and id. */
int snapshot_commit(struct repository *repo, struct snapshot *snap);
/* The same at exactly SNAP->time, for a copy; -EEXIST if that is taken. */
int snapshot_commit_at(struct repository *repo, struct snapshot *snap);

#endif
