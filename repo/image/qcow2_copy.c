/* SPDX-License-Identifier: GPL-3.0-or-later */
/* In order, from one stretch of data to the next. */
#include "qcow2_copy.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"

#define COPY_SIZE (1u << 20)

static int read_failed(int err, uint64_t at)
{
	return fail_within(err, "at byte %llu", (unsigned long long)at);
}

/* STREAM: at the file's own position. */
static int write_all(const struct qcow2_copy *c, const uint8_t *buf, size_t len,
		uint64_t at, bool stream)
{
	while (len > 0) {
		ssize_t n = stream ? write(c->fd, buf, len)
				   : pwrite(c->fd, buf, len, (off_t)at);
		if (n < 0 && errno == EINTR && !(c->cancel && *c->cancel))
			continue;
		if (n < 0)
			return fail_errno(-errno, "writing %s at byte %llu",
					c->to, (unsigned long long)at);
		buf += n;
		len -= (size_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

static int copy_data(struct qcow2_copy *c, struct image_sequence *ahead,
		uint8_t *buf, uint64_t at, uint64_t end, bool stream)
{
	while (at < end) {
		size_t n = min_u64(COPY_SIZE, end - at);
		if (c->cancel && *c->cancel)
			return fail(-ECANCELED, "interrupted");
		qcow2_note_read(c->view, ahead, at, n);
		ssize_t got = qcow2_pread(c->view, buf, n, at);
		if (got < 0)
			return read_failed((int)got, at);
		int err = write_all(c, buf, n, at, stream);
		if (err < 0)
			return err;
		at += n;
		c->written += n;
		c->done = at;
	}
	return 0;
}

int qcow2_copy(struct qcow2_copy *c)
{
	struct image_sequence ahead = { 0 };
	off_t size = (off_t)qcow2_size(c->view), at = 0, end;
	CLEANUP_FREE uint8_t *buf = malloc(COPY_SIZE);
	if (buf == NULL)
		return fail_errno(-ENOMEM, "copying");
	if (ftruncate(c->fd, size) < 0)
		return fail_errno(-errno, "making %s %llu bytes large", c->to,
				(unsigned long long)size);
	for (; at < size; at = end) {
		off_t data = qcow2_seek(c->view, at, SEEK_DATA);
		if (data == -ENXIO)
			break;
		end = data < 0 ? data
			       : qcow2_seek(c->view, data, SEEK_HOLE);
		if (end < 0)
			return read_failed((int)end, (uint64_t)at);
		int err = copy_data(c, &ahead, buf, (uint64_t)data,
				(uint64_t)end, false);
		if (err < 0)
			return err;
	}
	c->done = (uint64_t)size;
	return 0;
}

int qcow2_copy_stream(struct qcow2_copy *c)
{
	struct image_sequence ahead = { 0 };
	CLEANUP_FREE uint8_t *buf = malloc(COPY_SIZE);
	if (buf == NULL)
		return fail_errno(-ENOMEM, "copying");
	return copy_data(c, &ahead, buf, 0, qcow2_size(c->view), true);
}
