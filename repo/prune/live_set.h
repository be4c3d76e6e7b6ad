/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A set of ids, each with one flag, in little memory: what is live and whether
 * a pack has claimed it, or which tree nodes were seen.
 *
 * An entry has 16 bytes: the first 127 bits of the id and the flag. At the
 * fill of at most 4/5 that is 20 bytes per id, 20 MB per million. (Ids are
 * keyed hashes: two of a thousand million agree in 127 bits with a probability
 * below 2^-67. With 8 bytes it would be 2^-5.)
 *
 * Not thread-safe.
 */
#ifndef AMBERFS_PRUNE_LIVE_SET_H
#define AMBERFS_PRUNE_LIVE_SET_H

#include "repo/crypto/seal.h"

#define LIVE_ENTRY_SIZE 16u

struct live_set;

/* Room for COUNT ids at first; it grows as long as it takes at most BYTES_MAX,
 * the moment of growing included. NULL without memory. */
struct live_set *live_set_new(uint64_t count, uint64_t bytes_max);
void live_set_free(struct live_set *set); /* NULL allowed */

/* The most ids that BYTES hold, without growing. */
uint64_t live_set_capacity(uint64_t bytes);

/* 1 added, with the flag off; 0 was there; -E2BIG beyond the bound; -ENOMEM.
 * Without a text. */
int live_set_add(struct live_set *set, const struct id *id);
/* The flag, or -1: not there. */
int live_set_flag(const struct live_set *set, const struct id *id);
/* True if ID is there and its flag was not FLAG; it is then. */
bool live_set_turn(struct live_set *set, const struct id *id, bool flag);
/* Empties it. */
void live_set_clear(struct live_set *set);

uint64_t live_set_count(const struct live_set *set);
/* Those whose flag is on. */
uint64_t live_set_flagged(const struct live_set *set);
uint64_t live_set_bytes(const struct live_set *set);

#endif
