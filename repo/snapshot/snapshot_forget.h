/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Forgetting a snapshot. */
#ifndef AMBERFS_SNAPSHOT_SNAPSHOT_FORGET_H
#define AMBERFS_SNAPSHOT_SNAPSHOT_FORGET_H

#include "repo/repository/repository.h"

/* Deletes SNAP's object, once no prune is marking. snapshot_list_latest does
 * not take what this machine forgot for a rollback. */
int snapshot_forget(struct repository *repo, const struct snapshot *snap);

#endif
