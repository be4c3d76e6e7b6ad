/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The cache of open descriptors. An entry is kept (in the table, found by
 * others) or not (its last user closes it). Eviction takes the entry that was
 * used longest ago and is not in use; with all in use, a new one is not kept.
 * The table is small and searched from end to end.
 */
#include "fd_cache.h"

#include <string.h>
#include <sys/stat.h>

#include "repo/base/cleanup.h"

struct fd_cache {
	pthread_mutex_t mutex;
	struct fd_entry *kept[FD_CACHE_MAX] GUARDED_BY(mutex); /* NULL: free */
	uint64_t clock GUARDED_BY(mutex);
	uint64_t epoch GUARDED_BY(mutex);
};

struct fd_cache *fd_cache_new(void)
{
	struct fd_cache *cache = calloc(1, sizeof(*cache));
	if (cache != NULL)
		pthread_mutex_init(&cache->mutex, NULL);
	return cache;
}

static void entry_free(struct fd_entry *entry)
{
	close(entry->fd);
	free(entry->name);
	free(entry);
}

void fd_cache_free(struct fd_cache *cache)
{
	if (cache == NULL)
		return;
	not_shared(&cache->mutex);
	for (int i = 0; i < FD_CACHE_MAX; i++)
		if (cache->kept[i] != NULL)
			entry_free(cache->kept[i]);
	pthread_mutex_destroy(&cache->mutex);
	free(cache);
}

static struct fd_entry **find(struct fd_cache *cache, const char *name)
		REQUIRES(cache->mutex)
{
	for (int i = 0; i < FD_CACHE_MAX; i++)
		if (cache->kept[i] != NULL
				&& strcmp(cache->kept[i]->name, name) == 0)
			return &cache->kept[i];
	return NULL;
}

static struct fd_entry *use(struct fd_cache *cache, struct fd_entry *entry)
		REQUIRES(cache->mutex)
{
	entry->refs++;
	entry->used = ++cache->clock;
	return entry;
}

struct fd_entry *fd_cache_get(struct fd_cache *cache, const char *name)
{
	LOCK_SCOPE(&cache->mutex);
	struct fd_entry **slot = find(cache, name);
	return slot == NULL ? NULL : use(cache, *slot);
}

uint64_t fd_cache_epoch(struct fd_cache *cache)
{
	LOCK_SCOPE(&cache->mutex);
	return cache->epoch;
}

/* A free place, or that of the idle entry used longest ago, or NULL. */
static struct fd_entry **make_room(struct fd_cache *cache)
		REQUIRES(cache->mutex)
{
	struct fd_entry **oldest = NULL;
	for (int i = 0; i < FD_CACHE_MAX; i++) {
		struct fd_entry *entry = cache->kept[i];
		if (entry == NULL)
			return &cache->kept[i];
		if (entry->refs == 0
				&& (oldest == NULL
						|| entry->used < (*oldest)->used))
			oldest = &cache->kept[i];
	}
	if (oldest != NULL)
		entry_free(take_ptr(*oldest));
	return oldest;
}

static struct fd_entry *entry_new(const char *name, int fd)
{
	struct fd_entry *entry = calloc(1, sizeof(*entry));
	char *copy = strdup(name);
	if (entry == NULL || copy == NULL) {
		free(entry);
		free(copy);
		close(fd);
		return NULL;
	}
	entry->name = copy;
	entry->fd = fd;
	return entry;
}

struct fd_entry *fd_cache_add(struct fd_cache *cache, const char *name, int fd,
		uint64_t epoch, bool keep)
{
	struct fd_entry *entry = entry_new(name, fd);
	if (entry == NULL)
		return NULL;
	LOCK_SCOPE(&cache->mutex);
	if (!keep || epoch != cache->epoch)
		return use(cache, entry);
	struct fd_entry **slot = find(cache, name);
	if (slot != NULL) {
		entry_free(entry);
		return use(cache, *slot);
	}
	slot = make_room(cache);
	if (slot != NULL) {
		*slot = entry;
		entry->kept = true;
	}
	return use(cache, entry);
}

void fd_cache_release(struct fd_cache *cache, struct fd_entry *entry)
{
	LOCK_SCOPE(&cache->mutex);
	if (--entry->refs == 0 && !entry->kept)
		entry_free(entry);
}

static void forget_slot(struct fd_entry **slot)
{
	struct fd_entry *entry = take_ptr(*slot);
	entry->kept = false;
	if (entry->refs == 0)
		entry_free(entry);
}

void fd_cache_forget(struct fd_cache *cache, const char *name)
{
	LOCK_SCOPE(&cache->mutex);
	cache->epoch++;
	struct fd_entry **slot = find(cache, name);
	if (slot != NULL)
		forget_slot(slot);
}

void fd_cache_tidy(struct fd_cache *cache)
{
	struct stat st;
	LOCK_SCOPE(&cache->mutex);
	for (int i = 0; i < FD_CACHE_MAX; i++)
		if (cache->kept[i] != NULL
				&& fstat(cache->kept[i]->fd, &st) == 0
				&& st.st_nlink == 0)
			forget_slot(&cache->kept[i]);
}
