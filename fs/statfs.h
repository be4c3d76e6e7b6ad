/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How many bytes a repository's packs take, for df. The first answer has to
 * look at every pack; later ones only at directories that changed since.
 * Thread-safe.
 */
#ifndef AMBERFS_FS_STATFS_H
#define AMBERFS_FS_STATFS_H

#include "repo/store/store.h"

struct statfs_cache;

struct statfs_cache *statfs_new(struct store *store); /* NULL without memory */
void statfs_free(struct statfs_cache *cache);	      /* NULL allowed */
/* At most a few seconds old. 0 or -errno. */
int statfs_packs(struct statfs_cache *cache, uint64_t *bytes);

#endif
