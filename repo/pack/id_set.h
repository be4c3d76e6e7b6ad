/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A set of ids in memory (open addressing, at most 3/4 full, 32 bytes an id).
 * Not thread-safe. */
#ifndef AMBERFS_PACK_ID_SET_H
#define AMBERFS_PACK_ID_SET_H

#include "repo/crypto/seal.h"

struct id_set;

struct id_set *id_set_new(void);      /* NULL without memory */
void id_set_free(struct id_set *set); /* NULL allowed */
bool id_set_contains(const struct id_set *set, const struct id *id);
/* 1 added, 0 already there, -ENOMEM. The zero id can't be added. */
int id_set_add(struct id_set *set, const struct id *id);
void id_set_remove(struct id_set *set, const struct id *id);
size_t id_set_count(const struct id_set *set);

#endif
