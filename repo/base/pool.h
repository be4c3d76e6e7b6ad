/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A fixed number of threads and a bounded queue of small jobs. */
#ifndef AMBERFS_BASE_POOL_H
#define AMBERFS_BASE_POOL_H

#include <stdbool.h>

struct pool;
typedef void pool_job(void *arg);

/* NULL without memory or threads. */
struct pool *pool_new(unsigned threads, unsigned queue_max);
/* Runs what is queued, then ends the threads. NULL allowed. */
void pool_free(struct pool *pool);
/* False: the queue is full and nothing was queued. */
bool pool_try(struct pool *pool, pool_job *job, void *arg);
/* Waits for room. */
void pool_submit(struct pool *pool, pool_job *job, void *arg);
/* Waits until nothing is queued or running. */
void pool_drain(struct pool *pool);

/* Processors this process may use (affinity and cgroup quota), at least 1. */
unsigned pool_processors(void);

#endif
