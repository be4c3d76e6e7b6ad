/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Threads that take spans in order, skip their holes, and write the rest
 * straight from the decoded frames.
 */
#include "image_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>

#include "../base/bytes.h"
#include "../base/cleanup.h"
#include "../base/error.h"

#define COPY_SIZE (1u << 20)
#define IOV_ROOM 512

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

static int copy_piece(struct image_copy *c, uint64_t at, size_t len,
		bool stream)
{
	struct iovec iov[IOV_ROOM];
	struct frame *pins[IOV_ROOM];
	struct image_iov v = { .iov = iov, .pins = pins, .room = IOV_ROOM };
	ssize_t n = image_read_iov(c->image, &v, len, at);
	if (n < 0)
		return fail_within((int)n, "at byte %llu",
				(unsigned long long)at);
	int r = write_all(c, iov, v.count, at, stream);
	image_unpin(&v);
	c->written += len;
	return r;
}

static int copy_data(struct image_copy *c, uint64_t at, uint64_t end,
		bool stream)
{
	while (at < end) {
		size_t n = (size_t)min_u64(COPY_SIZE, end - at);
		if (c->cancel && *c->cancel)
			return fail(-ECANCELED, "interrupted");
		int r = copy_piece(c, at, n, stream);
		if (r < 0)
			return r;
		at += n;
		c->done += n;
	}
	return 0;
}

static int zero_range(struct image_copy *c, uint64_t at, uint64_t end)
{
	if (c->fresh || at == end)
		return 0;
	if (fallocate(c->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			    (off_t)at, (off_t)(end - at))
			== 0)
		return 0;
	/* Not every device can; then the zeros of the image are written. */
	while (at < end) {
		size_t n = (size_t)min_u64(COPY_SIZE, end - at);
		if (c->cancel && *c->cancel)
			return fail(-ECANCELED, "interrupted");
		int r = copy_piece(c, at, n, false);
		if (r < 0)
			return r;
		at += n;
	}
	return 0;
}

static int copy_span(struct image_copy *c, uint64_t span)
{
	uint64_t at = span * SPAN_SIZE;
	uint64_t end = min_u64(at + SPAN_SIZE, image_size(c->image));
	while (at < end) {
		off_t data = image_seek(c->image, (off_t)at, SEEK_DATA);
		if (data < 0 && data != -ENXIO)
			return fail_within((int)data, "at byte %llu",
					(unsigned long long)at);
		uint64_t from = data < 0 ? end : min_u64((uint64_t)data, end);
		int r = zero_range(c, at, from);
		if (r < 0)
			return r;
		c->done += from - at;
		at = from;
		if (at == end)
			break;
		off_t hole = image_seek(c->image, (off_t)at, SEEK_HOLE);
		if (hole < 0)
			return fail_within((int)hole, "at byte %llu",
					(unsigned long long)at);
		uint64_t to = min_u64((uint64_t)hole, end);
		r = copy_data(c, at, to, false);
		if (r < 0)
			return r;
		at = to;
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
		int r = copy_span(job->copy, span);
		if (r == 0)
			continue;
		LOCK_SCOPE(&job->mutex);
		if (job->error.err == 0)
			error_save(&job->error, r);
		job->failed = true;
	}
	return NULL;
}

int image_copy_parallel(struct image_copy *c)
{
	struct copy_job job = { .copy = c,
		.spans = span_count(image_size(c->image)) };
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

int image_copy_stream(struct image_copy *c)
{
	struct image_sequence ahead = { 0 };
	uint64_t size = image_size(c->image);
	for (uint64_t at = 0; at < size; at += COPY_SIZE) {
		uint64_t end = min_u64(at + COPY_SIZE, size);
		image_note_read(c->image, &ahead, at, end - at);
		int r = copy_data(c, at, end, true);
		if (r < 0)
			return r;
	}
	return 0;
}
