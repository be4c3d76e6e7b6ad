/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Scope-bound cleanup: a variable declared with one of these is released when
 * its scope is left, whichever way.
 *
 *	CLEANUP_FREE char *path = NULL;
 *	CLEANUP_FD int fd = -1;
 *	LOCK_SCOPE(&cache->mutex);
 *
 * Give ownership away with take_ptr() or take_fd().
 */
#ifndef AMBERFS_BASE_CLEANUP_H
#define AMBERFS_BASE_CLEANUP_H

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "thread_safety.h"

#define CLEANUP(fn) __attribute__((cleanup(fn)))

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_fd(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;
		close(*fd);
		errno = saved;
	}
}

/* The two ends of LOCK_SCOPE, of which the checker sees the first only. */
static inline pthread_mutex_t *lock_scope_begin(pthread_mutex_t *mutex)
		ASSERT_HELD(mutex) NO_THREAD_SAFETY_ANALYSIS
{
	pthread_mutex_lock(mutex);
	return mutex;
}

static inline void lock_scope_end(pthread_mutex_t **mutex)
		NO_THREAD_SAFETY_ANALYSIS
{
	pthread_mutex_unlock(*mutex);
}

static inline int take_fd(int *fd)
{
	int err = *fd;
	*fd = -1;
	return err;
}

#define CLEANUP_FREE CLEANUP(cleanup_free)
#define CLEANUP_FD CLEANUP(cleanup_fd)

/* Hands the pointer over and leaves NULL behind. */
#define take_ptr(p)                                                            \
	({                                                                     \
		__typeof__(p) *take_from_ = &(p);                              \
		__typeof__(p) taken_ = *take_from_;                            \
		*take_from_ = NULL;                                            \
		taken_;                                                        \
	})

#define LOCK_SCOPE_NAME2(line) lock_scope_##line
#define LOCK_SCOPE_NAME(line) LOCK_SCOPE_NAME2(line)

/* Holds *MUTEX from here to the end of the enclosing block. */
#define LOCK_SCOPE(mutex)                                                      \
	CLEANUP(lock_scope_end)                                                \
	__attribute__((unused)) pthread_mutex_t *LOCK_SCOPE_NAME(__LINE__) =   \
			lock_scope_begin(mutex)

#endif
