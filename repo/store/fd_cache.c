/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The cache of open descriptors. An entry is kept (in the table, found by
 * others) or not (its last user closes it). Eviction takes the entry that was
 * used longest ago and is not in use; with all in use, a new one is not kept.
 * The table is small and searched from end to end.
 */
#include "fd_cache.h"

#include "repo/base/cleanup.h"

#include <string.h>
#include <sys/stat.h>

struct fd_cache {
	pthread_mutex_t mutex;
	/* protected by mutex: */
	struct fd_entry *kept[FD_CACHE_MAX]; /* NULL: free */
	uint64_t clock;
	uint64_t epoch;
};

struct fd_cache *fd_cache_new(void)
{
	struct fd_cache *c = calloc(1, sizeof(*c));
	if (c != NULL)
		pthread_mutex_init(&c->mutex, NULL);
	return c;
}

static void entry_free(struct fd_entry *e)
{
	close(e->fd);
	free(e->name);
	free(e);
}

void fd_cache_free(struct fd_cache *c)
{
	if (c == NULL)
		return;
	for (int i = 0; i < FD_CACHE_MAX; i++)
		if (c->kept[i] != NULL)
			entry_free(c->kept[i]);
	pthread_mutex_destroy(&c->mutex);
	free(c);
}

static struct fd_entry **find(struct fd_cache *c, const char *name)
{
	for (int i = 0; i < FD_CACHE_MAX; i++)
		if (c->kept[i] != NULL && strcmp(c->kept[i]->name, name) == 0)
			return &c->kept[i];
	return NULL;
}

static struct fd_entry *use(struct fd_cache *c, struct fd_entry *e)
{
	e->refs++;
	e->used = ++c->clock;
	return e;
}

struct fd_entry *fd_cache_get(struct fd_cache *c, const char *name)
{
	LOCK_SCOPE(&c->mutex);
	struct fd_entry **slot = find(c, name);
	return slot == NULL ? NULL : use(c, *slot);
}

uint64_t fd_cache_epoch(struct fd_cache *c)
{
	LOCK_SCOPE(&c->mutex);
	return c->epoch;
}

/* A free place, or that of the idle entry used longest ago, or NULL. */
static struct fd_entry **make_room(struct fd_cache *c)
{
	struct fd_entry **oldest = NULL;
	for (int i = 0; i < FD_CACHE_MAX; i++) {
		struct fd_entry *e = c->kept[i];
		if (e == NULL)
			return &c->kept[i];
		if (e->refs == 0 &&
				(oldest == NULL || e->used < (*oldest)->used))
			oldest = &c->kept[i];
	}
	if (oldest != NULL)
		entry_free(take_ptr(*oldest));
	return oldest;
}

static struct fd_entry *entry_new(const char *name, int fd)
{
	struct fd_entry *e = calloc(1, sizeof(*e));
	char *copy = strdup(name);
	if (e == NULL || copy == NULL) {
		free(e);
		free(copy);
		close(fd);
		return NULL;
	}
	e->name = copy;
	e->fd = fd;
	return e;
}

struct fd_entry *fd_cache_add(struct fd_cache *c, const char *name, int fd,
		uint64_t epoch, bool keep)
{
	struct fd_entry *e = entry_new(name, fd);
	if (e == NULL)
		return NULL;
	LOCK_SCOPE(&c->mutex);
	if (!keep || epoch != c->epoch)
		return use(c, e);
	struct fd_entry **slot = find(c, name);
	if (slot != NULL) {
		entry_free(e);
		return use(c, *slot);
	}
	slot = make_room(c);
	if (slot != NULL) {
		*slot = e;
		e->kept = true;
	}
	return use(c, e);
}

void fd_cache_release(struct fd_cache *c, struct fd_entry *e)
{
	LOCK_SCOPE(&c->mutex);
	if (--e->refs == 0 && !e->kept)
		entry_free(e);
}

/* The mutex is held. */
static void forget_slot(struct fd_entry **slot)
{
	struct fd_entry *e = take_ptr(*slot);
	e->kept = false;
	if (e->refs == 0)
		entry_free(e);
}

void fd_cache_forget(struct fd_cache *c, const char *name)
{
	LOCK_SCOPE(&c->mutex);
	c->epoch++;
	struct fd_entry **slot = find(c, name);
	if (slot != NULL)
		forget_slot(slot);
}

void fd_cache_tidy(struct fd_cache *c)
{
	struct stat st;
	LOCK_SCOPE(&c->mutex);
	for (int i = 0; i < FD_CACHE_MAX; i++)
		if (c->kept[i] != NULL && fstat(c->kept[i]->fd, &st) == 0 &&
				st.st_nlink == 0)
			forget_slot(&c->kept[i]);
}
