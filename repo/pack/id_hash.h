/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Ids in hash tables. Without encryption whoever writes the repository chooses
 * the ids that a trailer lists, and could choose them so that they all collide;
 * so the hash depends on a random number drawn by each process.
 */
#ifndef AMBERFS_PACK_ID_HASH_H
#define AMBERFS_PACK_ID_HASH_H

#include "repo/crypto/seal.h"

/* Any thread. seal_global_init must have been called. */
uint64_t id_hash(const struct id *id);

#endif
