/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which lock protects what, in a form that clang (19 or newer) checks with
 * -Wthread-safety. To other compilers these words mean nothing.
 *
 *	struct cache {
 *		pthread_mutex_t mutex;
 *		unsigned used GUARDED_BY(mutex);
 *	};
 *	static void evict(struct cache *cache) REQUIRES(cache->mutex);
 *
 * GUARDED_BY names a member of the same struct, or a variable. The check does
 * not tell two objects of one type apart, and takes the lock of a LOCK_SCOPE in
 * a bare block for held until the function ends.
 */
#ifndef AMBERFS_BASE_THREAD_SAFETY_H
#define AMBERFS_BASE_THREAD_SAFETY_H

#include <pthread.h>

#ifdef THREAD_SAFETY_ANALYSIS
#define THREAD_SAFETY(...) __attribute__((__VA_ARGS__))
#else
#define THREAD_SAFETY(...)
#endif

/* clang takes &(lock) for another lock than &lock. */
/* NOLINTBEGIN(bugprone-macro-parentheses) */
/* Read or written with LOCK held only. */
#define GUARDED_BY(lock) THREAD_SAFETY(guarded_by(&lock))
/* What the pointer points to is; the pointer itself isn't. */
#define PT_GUARDED_BY(lock) THREAD_SAFETY(pt_guarded_by(&lock))
/* NOLINTEND(bugprone-macro-parentheses) */

/* Of functions: the caller holds the lock; holds it for reading; does not hold
 * it; gets it; gives it back. */
#define REQUIRES(...) THREAD_SAFETY(requires_capability(__VA_ARGS__))
#define REQUIRES_SHARED(...)                                                   \
	THREAD_SAFETY(requires_shared_capability(__VA_ARGS__))
#define EXCLUDES(...) THREAD_SAFETY(locks_excluded(__VA_ARGS__))
#define ACQUIRE(...) THREAD_SAFETY(acquire_capability(__VA_ARGS__))
#define ACQUIRE_SHARED(...)                                                    \
	THREAD_SAFETY(acquire_shared_capability(__VA_ARGS__))
#define RELEASE(...) THREAD_SAFETY(release_capability(__VA_ARGS__))
#define RELEASE_GENERIC(...)                                                   \
	THREAD_SAFETY(release_generic_capability(__VA_ARGS__))
#define ASSERT_HELD(...) THREAD_SAFETY(assert_capability(__VA_ARGS__))

/* For a function that the check can't follow; a comment says why it is
 * correct. */
#define NO_THREAD_SAFETY_ANALYSIS THREAD_SAFETY(no_thread_safety_analysis)

/*
 * What *LOCK protects is not shared yet, or no longer: from here on it may be
 * used as if the lock were held. After pthread_mutex_init() that is assumed.
 */
static inline void not_shared(const void *lock) ASSERT_HELD(lock)
{
	(void)lock;
}

/* The lock is held already, by a name that the check takes for another lock. */
static inline void same_lock(const void *lock) ASSERT_HELD(lock)
{
	(void)lock;
}

#ifdef THREAD_SAFETY_ANALYSIS
int pthread_mutex_init(pthread_mutex_t *mutex,
		const pthread_mutexattr_t *attributes) ASSERT_HELD(mutex);
int pthread_mutex_lock(pthread_mutex_t *mutex) ACQUIRE(mutex);
int pthread_mutex_unlock(pthread_mutex_t *mutex) RELEASE(mutex);
int pthread_mutex_trylock(pthread_mutex_t *mutex)
		THREAD_SAFETY(try_acquire_capability(0, mutex));
int pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
		REQUIRES(mutex);
int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
		const struct timespec *until) REQUIRES(mutex);
int pthread_rwlock_rdlock(pthread_rwlock_t *lock) ACQUIRE_SHARED(lock);
int pthread_rwlock_wrlock(pthread_rwlock_t *lock) ACQUIRE(lock);
int pthread_rwlock_unlock(pthread_rwlock_t *lock) RELEASE_GENERIC(lock);
#endif

#endif
