/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What amberfs-index and the programs that start it say to each other. Both
 * are of one build and one machine, so the bytes are those of the structs.
 *
 * One that reads gets an identity, answers with a greeting, and then each
 * question with an answer and its items. One that writes finds its request in
 * a file in memory (index_write.c), says 'a' now and then for "alive", and at
 * its end 'r' and its result.
 */
#ifndef AMBERFS_INDEX_INDEX_WIRE_H
#define AMBERFS_INDEX_INDEX_WIRE_H

#include "index_internal.h"

/* Of this interface; another one's helper does nothing. */
#define WIRE_VERSION "2"
#define WIRE_OTHER_VERSION 64 /* its exit status then (EX_USAGE) */

#define WIRE_READ "read"
#define WIRE_WRITE "write"

enum wire_what { WIRE_FIND, WIRE_PACKS, WIRE_SHARDS, WIRE_NUMBERS };

struct wire_question {
	uint32_t what;
	uint32_t number; /* most packs wanted, or the shard */
	uint64_t key;
};

struct wire_answer {
	int32_t err; /* 0 or -errno */
	uint32_t count;
	/* COUNT items: pack ids; the states of 256 shards; or 1 index_env_numbers */
};

struct wire_greeting {
	int32_t err;
	uint8_t nonce[INDEX_NONCE_SIZE];
	uint64_t device, inode; /* of the data file */
};

/* Packs of one of 256 shards; with more, a repository has 16 petabytes. */
#define WIRE_PACKS_MAX (1u << 20)

/* Followed by the run's entries, its packs, and the packs removed. */
struct wire_request {
	struct index_identity identity;
	uint8_t nonce[INDEX_NONCE_SIZE];
	uint32_t create; /* an empty index, instead of a merge */
	uint32_t has_run;
	uint32_t entry_count, pack_count;
	uint64_t removed_count;
	uint64_t cpu_seconds, map_size;
	uint32_t txn_entries;
	uint32_t set_shards;
	uint64_t before[256], now[256];
};

#endif
