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
static int write_all(const struct qcow2_copy *copy, const uint8_t *buf,
		size_t len, uint64_t at, bool stream)
{
	while (len > 0) {
		ssize_t n = stream ? write(copy->fd, buf, len)
				   : pwrite(copy->fd, buf, len, (off_t)at);
		if (n < 0 && errno == EINTR
				&& !(copy->cancel != NULL && *copy->cancel))
			continue;
		if (n < 0)
			return fail_errno(-errno, "writing %s at byte %llu",
					copy->to, (unsigned long long)at);
		buf += n;
		len -= (size_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

static int copy_data(struct qcow2_copy *copy, struct image_sequence *ahead,
		uint8_t *buf, uint64_t at, uint64_t end, bool stream)
{
	while (at < end) {
		size_t n = min_u64(COPY_SIZE, end - at);
		if (copy->cancel != NULL && *copy->cancel)
			return fail(-ECANCELED, "interrupted");
		qcow2_note_read(copy->view, ahead, at, n);
		ssize_t got = qcow2_pread(copy->view, buf, n, at);
		if (got < 0)
			return read_failed((int)got, at);
		int err = write_all(copy, buf, n, at, stream);
		if (err < 0)
			return err;
		at += n;
		copy->written += n;
		copy->done = at;
	}
	return 0;
}

int qcow2_copy(struct qcow2_copy *copy)
{
	struct image_sequence ahead = { 0 };
	off_t size = (off_t)qcow2_size(copy->view), at = 0, end;
	CLEANUP_FREE uint8_t *buf = malloc(COPY_SIZE);
	if (buf == NULL)
		return fail_no_memory("copying");
	if (ftruncate(copy->fd, size) < 0)
		return fail_errno(-errno,
				"setting the size of %s to %llu bytes",
				copy->to, (unsigned long long)size);
	for (; at < size; at = end) {
		off_t data = qcow2_seek(copy->view, at, SEEK_DATA);
		if (data == -ENXIO)
			break;
		end = data < 0 ? data : qcow2_seek(copy->view, data, SEEK_HOLE);
		if (end < 0)
			return read_failed((int)end, (uint64_t)at);
		int err = copy_data(copy, &ahead, buf, (uint64_t)data,
				(uint64_t)end, false);
		if (err < 0)
			return err;
	}
	copy->done = (uint64_t)size;
	return 0;
}

int qcow2_copy_stream(struct qcow2_copy *copy)
{
	struct image_sequence ahead = { 0 };
	CLEANUP_FREE uint8_t *buf = malloc(COPY_SIZE);
	if (buf == NULL)
		return fail_no_memory("copying");
	return copy_data(copy, &ahead, buf, 0, qcow2_size(copy->view), true);
}
