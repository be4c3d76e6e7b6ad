/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One sum for each of the store's 256 shards of packs. */
#include "statfs.h"

#include <stdio.h>

#include "repo/base/cleanup.h"
#include "repo/base/units.h"

#define SHARDS 256
#define GOOD_FOR_SECONDS 5.0

struct statfs_cache {
	struct store *store;
	pthread_mutex_t mutex;
	double at GUARDED_BY(mutex);
	uint64_t bytes GUARDED_BY(mutex);
	struct {
		uint64_t state, bytes;
	} shards[SHARDS] GUARDED_BY(mutex);
};

struct statfs_cache *statfs_new(struct store *store)
{
	struct statfs_cache *cache = calloc(1, sizeof(*cache));
	if (cache != NULL) {
		cache->store = store;
		pthread_mutex_init(&cache->mutex, NULL);
	}
	return cache;
}

void statfs_free(struct statfs_cache *cache)
{
	if (cache != NULL)
		pthread_mutex_destroy(&cache->mutex);
	free(cache);
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

static int sum_shard(struct statfs_cache *cache, unsigned shard)
		REQUIRES(cache->mutex)
{
	char prefix[16];
	struct sum sum = { cache->store, 0 };
	uint64_t state = store_shard_state(cache->store, shard);
	if (state != 0 && state == cache->shards[shard].state)
		return 0;
	snprintf(prefix, sizeof(prefix), "packs/%02x/", shard);
	int err = store_list(cache->store, prefix, add_object, &sum);
	if (err != 0)
		return err;
	cache->shards[shard].state = state;
	cache->shards[shard].bytes = sum.bytes;
	return 0;
}

int statfs_packs(struct statfs_cache *cache, uint64_t *bytes)
{
	LOCK_SCOPE(&cache->mutex);
	double now = monotonic_now();
	if (cache->at == 0 || now - cache->at > GOOD_FOR_SECONDS) {
		uint64_t total = 0;
		for (unsigned i = 0; i < SHARDS; i++) {
			int err = sum_shard(cache, i);
			if (err != 0)
				return err;
			total += cache->shards[i].bytes;
		}
		cache->bytes = total;
		cache->at = now;
	}
	*bytes = cache->bytes;
	return 0;
}
