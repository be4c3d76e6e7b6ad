/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A bounded set of open read-only descriptors by object name, so that reading
 * many small ranges of a pack doesn't open it each time.
 * Threading: all calls on one cache may run at once. A descriptor that is in
 * use stays open until it is released, even when it was forgotten meanwhile.
 */
#ifndef AMBERFS_STORE_FD_CACHE_H
#define AMBERFS_STORE_FD_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#define FD_CACHE_MAX 64

struct fd_cache;

struct fd_entry {
	int fd;
	unsigned refs; /* protected by the cache's mutex, like the rest */
	bool kept;     /* in the cache's table; else closed when released */
	uint64_t used;
	char *name;
};

struct fd_cache *fd_cache_new(void);	    /* NULL without memory */
void fd_cache_free(struct fd_cache *cache); /* all released; NULL allowed */

/* NULL if NAME is not in the cache. */
struct fd_entry *fd_cache_get(struct fd_cache *cache, const char *name);

/* Moves with every fd_cache_forget: ask before opening the file. */
uint64_t fd_cache_epoch(struct fd_cache *cache);

/* Takes over FD, opened when the epoch was EPOCH. It is kept for others if
 * KEEP and nothing was forgotten since. Returns an entry to release (maybe
 * another thread's, for the same name), or NULL without memory, FD closed. */
struct fd_entry *fd_cache_add(struct fd_cache *cache, const char *name, int fd,
		uint64_t epoch, bool keep);
void fd_cache_release(struct fd_cache *cache, struct fd_entry *entry);

void fd_cache_forget(struct fd_cache *cache, const char *name);
/* Forgets all whose file has no name any more. */
void fd_cache_tidy(struct fd_cache *cache);

#endif
