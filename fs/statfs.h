/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How many bytes a repository's packs take, for df. The first answer costs a
 * look at every pack; later ones only at the folders that changed since.
 * Thread-safe.
 */
#ifndef AMBERFS_FS_STATFS_H
#define AMBERFS_FS_STATFS_H

#include "repo/store/store.h"

struct usage;

struct usage *usage_new(struct store *s); /* NULL without memory */
void usage_free(struct usage *u); /* NULL allowed */
/* At most a few seconds old. 0 or -errno. */
int usage_packs(struct usage *u, uint64_t *bytes);

#endif
