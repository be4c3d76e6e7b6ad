/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Ids in hash tables. Without encryption whoever writes the repository chooses
 * what ids a trailer lists, and would choose them so that they all meet in one
 * place; so the hash depends on a number that each process draws anew.
 */
#ifndef AMBERFS_PACK_ID_HASH_H
#define AMBERFS_PACK_ID_HASH_H

#include "repo/crypto/seal.h"

/* Any thread. seal_global_init must have been called. */
uint64_t id_hash(const struct id *id);

#endif
