/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Memory for decoded frames. Frames come and go by the thousand a second, in
 * many sizes; malloc's heaps then hold up to twice what is in use. Here each
 * buffer is a mapping of its own, of a size rounded up to a class, and a few
 * unused ones are kept for the next frame of their class.
 * Thread-safe.
 */
#ifndef AMBERFS_PACK_BUFFER_POOL_H
#define AMBERFS_PACK_BUFFER_POOL_H

#include <stddef.h>
#include <stdint.h>

struct buffer_pool;

/* SPARE_MAX: the most bytes of unused buffers kept. NULL without memory. */
struct buffer_pool *buffer_pool_new(size_t spare_max);
/* After all buffers were given back. NULL allowed. */
void buffer_pool_free(struct buffer_pool *pool);

/* What a buffer for LEN bytes (at most FRAME_PLAIN_MAX) takes. */
size_t buffer_pool_capacity(size_t len);

/* At least LEN bytes, page-aligned, with anything in them. NULL without
 * memory. */
uint8_t *buffer_pool_take(struct buffer_pool *pool, size_t len);
/* LEN as it was asked for. P may be NULL. */
void buffer_pool_give(struct buffer_pool *pool, uint8_t *p, size_t len);

#endif
