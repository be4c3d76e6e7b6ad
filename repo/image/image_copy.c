/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Threads that take spans in order, skip their holes, and write the rest
 * straight from the decoded frames.
 *
 * Where damage is to become zeros, a piece that can't be read is taken apart
 * into its chunks. A lost tree node, even one covering a terabyte, costs one
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
	struct {
		uint64_t from, to;
	} * ranges GUARDED_BY(mutex);
	size_t count GUARDED_BY(mutex);
	size_t room GUARDED_BY(mutex);
};

struct copy_job {
	struct image_copy *copy;
	uint64_t spans;
	_Atomic uint64_t next_span;
	_Atomic bool failed;
	pthread_mutex_t mutex;
	struct error_copy error GUARDED_BY(mutex);
};

static int write_failed(const struct image_copy *copy, uint64_t at)
{
	return fail_errno(-errno, "writing %s at byte %llu", copy->to,
			(unsigned long long)at);
}

/* Writes all of the iovecs at AT; STREAM: at the file's own position. */
static int write_all(const struct image_copy *copy, struct iovec *iov,
		int count, uint64_t at, bool stream)
{
	while (count > 0) {
		ssize_t n = stream ? writev(copy->fd, iov, count)
				   : pwritev(copy->fd, iov, count, (off_t)at);
		if (n < 0 && errno == EINTR
				&& !(copy->cancel != NULL && *copy->cancel))
			continue;
		if (n < 0)
			return write_failed(copy, at);
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

static bool cancelled(const struct image_copy *copy)
{
	return copy->cancel != NULL && *copy->cancel;
}

static bool is_damage(const struct image_copy *copy, int err)
{
	return copy->damaged != NULL
			&& (err == -EBADMSG || err == -ENOENT || err == -EIO);
}

/* Where the lost range ends that AT is in, or 0. */
static uint64_t lost_until(const struct lost *lost, uint64_t at)
		REQUIRES(lost->mutex)
{
	for (size_t k = 0; k < lost->count; k++)
		if (at >= lost->ranges[k].from && at < lost->ranges[k].to)
			return lost->ranges[k].to;
	return 0;
}

/* The same for any thread. */
static uint64_t known_lost(struct image_copy *copy, uint64_t at)
{
	if (copy->damaged == NULL)
		return 0;
	LOCK_SCOPE(&copy->lost->mutex);
	return lost_until(copy->lost, at);
}

static int tell(struct image_copy *copy, uint64_t from, uint64_t to, int err)
{
	LOCK_SCOPE(&copy->lost->mutex);
	copy->damaged(copy->ctx, from, to - from, err);
	return 0;
}

/* A tree node and with it [from, to) is lost. The first to find out reports
 * it. */
static int lose(struct image_copy *copy, uint64_t from, uint64_t to, int err)
{
	struct lost *lost = copy->lost;
	LOCK_SCOPE(&lost->mutex);
	if (lost_until(lost, from) >= to)
		return 0;
	copy->damaged(copy->ctx, from, to - from, err);
	for (size_t k = lost->count; k-- > 0;)
		if (lost->ranges[k].to == from) {
			lost->ranges[k].to = to;
			return 0;
		}
	if (lost->count == lost->room) {
		size_t room = lost->room ? 2 * lost->room : 16;
		void *more = realloc(lost->ranges,
				room * sizeof(*lost->ranges));
		if (more == NULL)
			return fail_no_memory("copying");
		lost->ranges = more;
		lost->room = room;
	}
	lost->ranges[lost->count].from = from;
	lost->ranges[lost->count++].to = to;
	return 0;
}

static int write_zeros(struct image_copy *copy, uint64_t at, uint64_t end,
		bool stream)
{
	while (at < end) {
		struct iovec iov;
		const uint8_t *from = zeros;
		memcpy(&iov.iov_base, &from, sizeof(from)); /* only read */
		iov.iov_len = (size_t)min_u64(COPY_SIZE, end - at);
		if (cancelled(copy))
			return fail(-ECANCELED, "interrupted");
		at += iov.iov_len;
		int err = write_all(copy, &iov, 1, at - iov.iov_len, stream);
		if (err < 0)
			return err;
	}
	return 0;
}

/* Makes [at, end) zeros. */
static int zero_range(struct image_copy *copy, uint64_t at, uint64_t end,
		bool stream)
{
	if (at == end || (copy->fresh && !stream))
		return 0;
	/* Not every device supports this; then zeros are written. */
	if (!stream
			&& fallocate(copy->fd,
					   FALLOC_FL_PUNCH_HOLE
							   | FALLOC_FL_KEEP_SIZE,
					   (off_t)at, (off_t)(end - at))
					== 0)
		return 0;
	return write_zeros(copy, at, end, stream);
}

/* --- pieces --- */

static int write_piece(struct image_copy *copy, uint64_t at, size_t len,
		bool stream, bool *unreadable)
{
	struct iovec iov[IOV_ROOM];
	struct frame *pins[IOV_ROOM];
	struct image_iov v = { .iov = iov, .pins = pins, .room = IOV_ROOM };
	ssize_t n = image_read_iov(copy->image, &v, len, at);
	*unreadable = n < 0;
	if (n < 0)
		return fail_within((int)n, "at byte %llu",
				(unsigned long long)at);
	int err = write_all(copy, iov, v.count, at, stream);
	image_unpin(&v);
	copy->written += len;
	return err;
}

/* A piece that could not be read: chunk by chunk, the lost ones as zeros. */
static int write_remains(struct image_copy *copy, uint64_t at, uint64_t end,
		bool stream)
{
	while (at < end) {
		uint64_t from = at, to = known_lost(copy, at);
		bool unreadable = to != 0;
		int err = 0;
		if (!unreadable) {
			err = image_seek_piece(copy->image, at, &from, &to,
					NULL);
			unreadable = is_damage(copy, err);
			if (unreadable)
				err = lose(copy, from, to, err);
		}
		uint64_t until = min_u64(to, end);
		if (err == 0 && !unreadable) {
			err = write_piece(copy, at, (size_t)(until - at),
					stream, &unreadable);
			unreadable = unreadable && is_damage(copy, err);
			if (unreadable)
				err = tell(copy, at, until, err);
		}
		if (err == 0 && unreadable)
			err = zero_range(copy, at, until, stream);
		if (err < 0)
			return err;
		at = until;
	}
	return 0;
}

static int copy_piece(struct image_copy *copy, uint64_t at, size_t len,
		bool stream)
{
	bool unreadable = known_lost(copy, at) != 0;
	int err = unreadable ? 0
			     : write_piece(copy, at, len, stream, &unreadable);
	if (unreadable && (err == 0 || is_damage(copy, err)))
		return write_remains(copy, at, at + len, stream);
	return err;
}

static int copy_data(struct image_copy *copy, uint64_t at, uint64_t end,
		bool stream)
{
	while (at < end) {
		size_t n = (size_t)min_u64(COPY_SIZE, end - at);
		if (cancelled(copy))
			return fail(-ECANCELED, "interrupted");
		int err = copy_piece(copy, at, n, stream);
		if (err < 0)
			return err;
		at += n;
		copy->done += n;
	}
	return 0;
}

/* --- spans --- */

/* A span whose leaf, or a node above it, can't be read. */
static int lose_span(struct image_copy *copy, uint64_t at, uint64_t end,
		int err)
{
	uint64_t from = at, to = end;
	if (!is_damage(copy, err))
		return fail_within(err, "at byte %llu", (unsigned long long)at);
	int r = image_seek_piece(copy->image, at, &from, &to, NULL);
	if (r == 0) /* it can be read now: a transient failure of the disk */
		return copy_data(copy, at, end, false);
	r = is_damage(copy, r) ? lose(copy, from, to, r) : r;
	if (r == 0)
		r = zero_range(copy, at, end, false);
	copy->done += end - at;
	return r;
}

static int copy_span(struct image_copy *copy, uint64_t span)
{
	uint64_t at = span * SPAN_SIZE, to = 0;
	uint64_t end = min_u64(at + SPAN_SIZE, image_size(copy->image));
	if (known_lost(copy, at) != 0) {
		copy->done += end - at;
		return zero_range(copy, at, end, false);
	}
	for (; at < end; at = to) {
		bool hole = false;
		int err = image_seek_extent(copy->image, at, end, &hole, &to);
		if (err < 0)
			return lose_span(copy, at, end, err);
		err = hole ? zero_range(copy, at, to, false)
			   : copy_data(copy, at, to, false);
		if (err < 0)
			return err;
		if (hole)
			copy->done += to - at;
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

static int copy_parallel(struct image_copy *copy)
{
	struct copy_job job = { .copy = copy,
		.spans = node_span_count(image_size(copy->image)) };
	unsigned started = 0;
	pthread_t *threads = calloc(copy->threads, sizeof(*threads));
	if (threads == NULL)
		return fail_no_memory("copying");
	pthread_mutex_init(&job.mutex, NULL);
	/* This thread works too; fewer helpers than asked for is no failure. */
	while (started + 1 < copy->threads && started < job.spans
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

static int copy_stream(struct image_copy *copy)
{
	struct image_sequence ahead = { 0 };
	uint64_t size = image_size(copy->image);
	for (uint64_t at = 0; at < size; at += COPY_SIZE) {
		uint64_t end = min_u64(at + COPY_SIZE, size);
		image_prefetch_note_read(copy->image, &ahead, at, end - at);
		int err = copy_data(copy, at, end, true);
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

int image_copy_parallel(struct image_copy *copy)
{
	return copy_with(copy, copy_parallel);
}

int image_copy_stream(struct image_copy *copy)
{
	return copy_with(copy, copy_stream);
}
