/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One sum for each of the store's 256 shards of packs. */
#include "statfs.h"

#include "repo/base/cleanup.h"
#include "repo/base/units.h"

#include <stdio.h>

#define SHARDS 256
#define GOOD_FOR_SECONDS 5.0

struct statfs_cache {
	struct store *store;
	pthread_mutex_t mutex;
	/* protected by mutex: */
	double at;
	uint64_t bytes;
	struct {
		uint64_t state, bytes;
	} shards[SHARDS];
};

struct statfs_cache *statfs_new(struct store *s)
{
	struct statfs_cache *u = calloc(1, sizeof(*u));
	if (u != NULL) {
		u->store = s;
		pthread_mutex_init(&u->mutex, NULL);
	}
	return u;
}

void statfs_free(struct statfs_cache *u)
{
	if (u != NULL)
		pthread_mutex_destroy(&u->mutex);
	free(u);
}

struct sum {
	struct store *store;
	uint64_t bytes;
};

static int add_object(void *ctx, const char *name)
{
	struct sum *sum = ctx;
	uint64_t size;
	int err = store_size(sum->store, name, &size);
	if (err == 0)
		sum->bytes += size;
	return err == -ENOENT ? 0 : err;
}

static int sum_shard(struct statfs_cache *u, unsigned shard)
{
	char prefix[16];
	struct sum sum = { u->store, 0 };
	uint64_t state = store_shard_state(u->store, shard);
	if (state != 0 && state == u->shards[shard].state)
		return 0;
	snprintf(prefix, sizeof(prefix), "packs/%02x/", shard);
	int err = store_list(u->store, prefix, add_object, &sum);
	if (err == 0) {
		u->shards[shard].state = state;
		u->shards[shard].bytes = sum.bytes;
	}
	return err;
}

int statfs_packs(struct statfs_cache *u, uint64_t *bytes)
{
	LOCK_SCOPE(&u->mutex);
	double now = monotonic_now();
	if (u->at == 0 || now - u->at > GOOD_FOR_SECONDS) {
		uint64_t total = 0;
		for (unsigned i = 0; i < SHARDS; i++) {
			int err = sum_shard(u, i);
			if (err != 0)
				return err;
			total += u->shards[i].bytes;
		}
		u->bytes = total;
		u->at = now;
	}
	*bytes = u->bytes;
	return 0;
}
