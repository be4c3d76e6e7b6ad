/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Threads that take spans in order, skip their holes, and write the rest
 * straight from the decoded frames.
 *
 * Where damage is to become zeros, a piece that can't be read is taken apart
 * into its chunks. What is lost with a tree node, be it a terabyte, costs one
 * failure and is remembered: the spans below it are not tried.
 */
#include "image_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"

#define COPY_SIZE (1u << 20)
#define IOV_ROOM 512

static const uint8_t zeros[COPY_SIZE];

/* What is lost with unreadable tree nodes. */
struct lost {
	pthread_mutex_t mutex;
	/* protected by mutex */
	struct {
		uint64_t from, to;
	} *ranges;
	size_t count, room;
};

struct copy_job {
	struct image_copy *copy;
	uint64_t spans;
	_Atomic uint64_t next_span;
	_Atomic bool failed;
	pthread_mutex_t mutex;
	struct error_copy error; /* protected by mutex */
};

static int write_failed(const struct image_copy *c, uint64_t at)
{
	return fail_errno(-errno, "writing %s at byte %llu", c->to,
			(unsigned long long)at);
}

/* Writes all of the iovecs at AT; STREAM: at the file's own position. */
static int write_all(const struct image_copy *c, struct iovec *iov, int count,
		uint64_t at, bool stream)
{
	while (count > 0) {
		ssize_t n = stream ? writev(c->fd, iov, count)
				   : pwritev(c->fd, iov, count, (off_t)at);
		if (n < 0 && errno == EINTR && !(c->cancel && *c->cancel))
			continue;
		if (n < 0)
			return write_failed(c, at);
		at += (uint64_t)n;
		while (count > 0 && (size_t)n >= iov->iov_len) {
			n -= (ssize_t)iov->iov_len;
			iov++;
			count--;
		}
		if (count > 0) {
			iov->iov_base = (uint8_t *)iov->iov_base + n;
			iov->iov_len -= (size_t)n;
		}
	}
	return 0;
}

/* --- damage --- */

static bool cancelled(const struct image_copy *c)
{
	return c->cancel && *c->cancel;
}

static bool is_damage(const struct image_copy *c, int err)
{
	return c->damaged != NULL
			&& (err == -EBADMSG || err == -ENOENT || err == -EIO);
}

/* Where the lost range ends that AT is in, or 0; mutex held. */
static uint64_t lost_until(const struct lost *l, uint64_t at)
{
	for (size_t k = 0; k < l->count; k++)
		if (at >= l->ranges[k].from && at < l->ranges[k].to)
			return l->ranges[k].to;
	return 0;
}

/* The same for any thread. */
static uint64_t known_lost(struct image_copy *c, uint64_t at)
{
	if (c->damaged == NULL)
		return 0;
	LOCK_SCOPE(&c->lost->mutex);
	return lost_until(c->lost, at);
}

static int tell(struct image_copy *c, uint64_t from, uint64_t to, int err)
{
	LOCK_SCOPE(&c->lost->mutex);
	c->damaged(c->ctx, from, to - from, err);
	return 0;
}

/* A tree node is lost and with it [from, to). Told by whoever is first. */
static int lose(struct image_copy *c, uint64_t from, uint64_t to, int err)
{
	struct lost *l = c->lost;
	LOCK_SCOPE(&l->mutex);
	if (lost_until(l, from) >= to)
		return 0;
	c->damaged(c->ctx, from, to - from, err);
	for (size_t k = l->count; k-- > 0;)
		if (l->ranges[k].to == from) {
			l->ranges[k].to = to;
			return 0;
		}
	if (l->count == l->room) {
		size_t room = l->room ? 2 * l->room : 16;
		void *more = realloc(l->ranges, room * sizeof(*l->ranges));
		if (more == NULL)
			return fail_errno(-ENOMEM, "copying");
		l->ranges = more;
		l->room = room;
	}
	l->ranges[l->count].from = from;
	l->ranges[l->count++].to = to;
	return 0;
}

static int write_zeros(struct image_copy *c, uint64_t at, uint64_t end,
		bool stream)
{
	while (at < end) {
		struct iovec iov;
		const uint8_t *from = zeros;
		memcpy(&iov.iov_base, &from, sizeof(from)); /* only read */
		iov.iov_len = (size_t)min_u64(COPY_SIZE, end - at);
		if (cancelled(c))
			return fail(-ECANCELED, "interrupted");
		at += iov.iov_len;
		int err = write_all(c, &iov, 1, at - iov.iov_len, stream);
		if (err < 0)
			return err;
	}
	return 0;
}

/* Makes [at, end) zeros. */
static int zero_range(struct image_copy *c, uint64_t at, uint64_t end,
		bool stream)
{
	if (at == end || (c->fresh && !stream))
		return 0;
	/* Not every device can; then zeros are written. */
	if (!stream
			&& fallocate(c->fd,
					   FALLOC_FL_PUNCH_HOLE
							   | FALLOC_FL_KEEP_SIZE,
					   (off_t)at, (off_t)(end - at))
					== 0)
		return 0;
	return write_zeros(c, at, end, stream);
}

/* --- pieces --- */

static int write_piece(struct image_copy *c, uint64_t at, size_t len,
		bool stream, bool *unreadable)
{
	struct iovec iov[IOV_ROOM];
	struct frame *pins[IOV_ROOM];
	struct image_iov v = { .iov = iov, .pins = pins, .room = IOV_ROOM };
	ssize_t n = image_read_iov(c->image, &v, len, at);
	*unreadable = n < 0;
	if (n < 0)
		return fail_within((int)n, "at byte %llu",
				(unsigned long long)at);
	int err = write_all(c, iov, v.count, at, stream);
	image_unpin(&v);
	c->written += len;
	return err;
}

/* A piece that could not be read: chunk by chunk, the lost ones as zeros. */
static int write_remains(struct image_copy *c, uint64_t at, uint64_t end,
		bool stream)
{
	while (at < end) {
		uint64_t from = at, to = known_lost(c, at);
		bool unreadable = to != 0;
		int err = 0;
		if (!unreadable) {
			err = image_seek_piece(c->image, at, &from, &to, NULL);
			unreadable = is_damage(c, err);
			if (unreadable)
				err = lose(c, from, to, err);
		}
		uint64_t until = min_u64(to, end);
		if (err == 0 && !unreadable) {
			err = write_piece(c, at, (size_t)(until - at), stream,
					&unreadable);
			unreadable = unreadable && is_damage(c, err);
			if (unreadable)
				err = tell(c, at, until, err);
		}
		if (err == 0 && unreadable)
			err = zero_range(c, at, until, stream);
		if (err < 0)
			return err;
		at = until;
	}
	return 0;
}

static int copy_piece(struct image_copy *c, uint64_t at, size_t len,
		bool stream)
{
	bool unreadable = known_lost(c, at) != 0;
	int err = unreadable ? 0 : write_piece(c, at, len, stream, &unreadable);
	if (unreadable && (err == 0 || is_damage(c, err)))
		return write_remains(c, at, at + len, stream);
	return err;
}

static int copy_data(struct image_copy *c, uint64_t at, uint64_t end,
		bool stream)
{
	while (at < end) {
		size_t n = (size_t)min_u64(COPY_SIZE, end - at);
		if (cancelled(c))
			return fail(-ECANCELED, "interrupted");
		int err = copy_piece(c, at, n, stream);
		if (err < 0)
			return err;
		at += n;
		c->done += n;
	}
	return 0;
}

/* --- spans --- */

/* A span whose leaf, or a node above it, can't be read. */
static int lose_span(struct image_copy *c, uint64_t at, uint64_t end, int err)
{
	uint64_t from = at, to = end;
	if (!is_damage(c, err))
		return fail_within(err, "at byte %llu", (unsigned long long)at);
	int r = image_seek_piece(c->image, at, &from, &to, NULL);
	if (r == 0) /* it can be read now: a passing failure of the disk */
		return copy_data(c, at, end, false);
	r = is_damage(c, r) ? lose(c, from, to, r) : r;
	if (r == 0)
		r = zero_range(c, at, end, false);
	c->done += end - at;
	return r;
}

static int copy_span(struct image_copy *c, uint64_t span)
{
	uint64_t at = span * SPAN_SIZE, to = 0;
	uint64_t end = min_u64(at + SPAN_SIZE, image_size(c->image));
	if (known_lost(c, at) != 0) {
		c->done += end - at;
		return zero_range(c, at, end, false);
	}
	for (; at < end; at = to) {
		bool hole = false;
		int err = image_seek_extent(c->image, at, end, &hole, &to);
		if (err < 0)
			return lose_span(c, at, end, err);
		err = hole ? zero_range(c, at, to, false)
			 : copy_data(c, at, to, false);
		if (err < 0)
			return err;
		if (hole)
			c->done += to - at;
	}
	return 0;
}

static void *copy_thread(void *arg)
{
	struct copy_job *job = arg;
	while (!job->failed) {
		uint64_t span = job->next_span++;
		if (span >= job->spans)
			break;
		int err = copy_span(job->copy, span);
		if (err == 0)
			continue;
		LOCK_SCOPE(&job->mutex);
		if (job->error.err == 0)
			error_save(&job->error, err);
		job->failed = true;
	}
	return NULL;
}

static int copy_parallel(struct image_copy *c)
{
	struct copy_job job = { .copy = c,
		.spans = node_span_count(image_size(c->image)) };
	unsigned started = 0;
	pthread_t *threads = calloc(c->threads, sizeof(*threads));
	if (threads == NULL)
		return fail_errno(-ENOMEM, "copying");
	pthread_mutex_init(&job.mutex, NULL);
	/* This thread works too; fewer helpers than asked for is no failure. */
	while (started + 1 < c->threads && started < job.spans
			&& pthread_create(&threads[started], NULL, copy_thread,
					   &job)
					== 0)
		started++;
	copy_thread(&job);
	while (started > 0)
		pthread_join(threads[--started], NULL);
	free(threads);
	pthread_mutex_destroy(&job.mutex);
	return job.error.err ? error_load(&job.error) : 0;
}

static int copy_stream(struct image_copy *c)
{
	struct image_sequence ahead = { 0 };
	uint64_t size = image_size(c->image);
	for (uint64_t at = 0; at < size; at += COPY_SIZE) {
		uint64_t end = min_u64(at + COPY_SIZE, size);
		image_prefetch_note_read(c->image, &ahead, at, end - at);
		int err = copy_data(c, at, end, true);
		if (err < 0)
			return err;
	}
	return 0;
}

static int copy_with(struct image_copy *c, int (*copy)(struct image_copy *c))
{
	struct lost lost = { .count = 0 };
	pthread_mutex_init(&lost.mutex, NULL);
	c->lost = &lost;
	int err = copy(c);
	c->lost = NULL;
	free(lost.ranges);
	pthread_mutex_destroy(&lost.mutex);
	return err;
}

int image_copy_parallel(struct image_copy *c)
{
	return copy_with(c, copy_parallel);
}

int image_copy_stream(struct image_copy *c)
{
	return copy_with(c, copy_stream);
}
