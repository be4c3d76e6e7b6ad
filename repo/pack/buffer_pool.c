/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A list of unused buffers for each class. When they are too many in all, the
 * class with the most of them gives one up: so the lists come to hold what is
 * asked for often.
 */
#include "buffer_pool.h"

#include <sys/mman.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/format/trailer.h"

#define CLASS_STEP ((size_t)16 << 10)
#define CLASSES (FRAME_PLAIN_MAX / CLASS_STEP)

/* An unused buffer begins with this. */
struct spare {
	struct spare *next;
};

struct buffer_pool {
	size_t spare_max;
	pthread_mutex_t mutex;
	struct spare *spares[CLASSES] GUARDED_BY(mutex);
	size_t class_bytes[CLASSES] GUARDED_BY(mutex);
	size_t spare_bytes GUARDED_BY(mutex);
};

struct buffer_pool *buffer_pool_new(size_t spare_max)
{
	struct buffer_pool *pool = calloc(1, sizeof(*pool));
	if (pool == NULL)
		return NULL;
	pool->spare_max = spare_max;
	pthread_mutex_init(&pool->mutex, NULL);
	return pool;
}

size_t buffer_pool_capacity(size_t len)
{
	return len == 0 ? CLASS_STEP : round_up(len, CLASS_STEP);
}

/* --- spares --- */

static struct spare *pop(struct buffer_pool *pool, size_t capacity)
		REQUIRES(pool->mutex)
{
	size_t class = capacity / CLASS_STEP - 1;
	struct spare *spare = pool->spares[class];
	if (spare == NULL)
		return NULL;
	pool->spares[class] = spare->next;
	pool->class_bytes[class] -= capacity;
	pool->spare_bytes -= capacity;
	return spare;
}

static void push(struct buffer_pool *pool, struct spare *spare, size_t capacity)
		REQUIRES(pool->mutex)
{
	size_t class = capacity / CLASS_STEP - 1;
	spare->next = pool->spares[class];
	pool->spares[class] = spare;
	pool->class_bytes[class] += capacity;
	pool->spare_bytes += capacity;
}

static size_t fullest_class(const struct buffer_pool *pool)
		REQUIRES(pool->mutex)
{
	size_t fullest = 0;
	for (size_t i = 1; i < CLASSES; i++)
		if (pool->class_bytes[i] > pool->class_bytes[fullest])
			fullest = i;
	return fullest;
}

/* --- */

uint8_t *buffer_pool_take(struct buffer_pool *pool, size_t len)
{
	size_t capacity = buffer_pool_capacity(len);
	pthread_mutex_lock(&pool->mutex);
	void *p = pop(pool, capacity);
	pthread_mutex_unlock(&pool->mutex);
	if (p != NULL)
		return p;
	p = mmap(NULL, capacity, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

void buffer_pool_give(struct buffer_pool *pool, uint8_t *p, size_t len)
{
	size_t capacity = buffer_pool_capacity(len), excess = 0;
	void *drop = NULL;
	if (p == NULL)
		return;
	pthread_mutex_lock(&pool->mutex);
	push(pool, (struct spare *)(void *)p, capacity);
	if (pool->spare_bytes > pool->spare_max) {
		excess = (fullest_class(pool) + 1) * CLASS_STEP;
		drop = pop(pool, excess);
	}
	pthread_mutex_unlock(&pool->mutex);
	if (drop != NULL)
		munmap(drop, excess);
}

void buffer_pool_free(struct buffer_pool *pool)
{
	if (pool == NULL)
		return;
	not_shared(&pool->mutex);
	for (size_t i = 0; i < CLASSES; i++) {
		size_t capacity = (i + 1) * CLASS_STEP;
		struct spare *spare;
		while ((spare = pop(pool, capacity)) != NULL)
			munmap(spare, capacity);
	}
	pthread_mutex_destroy(&pool->mutex);
	free(pool);
}
