/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The qcow2 view: blocks of tables where they are asked for, and behind them
 * the image's clusters, found by their number.
 */
#include "qcow2_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "image_internal.h"
#include "repo/base/bytes.h"
#include "repo/base/error.h"

int qcow2_open(struct qcow2_view **out, struct image *image)
{
	uint64_t size = image_size(image), count = image_clusters_count(image);
	if (count > round_up(size, CLUSTER_SIZE) / CLUSTER_SIZE)
		return fail(-EBADMSG,
				"an image's tree counts more clusters than "
				"the image has");
	struct qcow2_view *view = malloc(sizeof(*view));
	if (view == NULL)
		return fail_no_memory("opening an image as qcow2");
	*view = (struct qcow2_view){ .image = image,
		.spans = node_span_count(size),
		.layout = qcow2_layout(size, count) };
	*out = view;
	return 0;
}

void qcow2_close(struct qcow2_view *view)
{
	free(view);
}

uint64_t qcow2_size(const struct qcow2_view *view)
{
	return view->layout.end * CLUSTER_SIZE;
}

void qcow2_measure(uint64_t size, const struct tree_root *root,
		uint64_t *file_size, uint64_t *stored)
{
	bool empty = id_is_zero(&root->id);
	uint64_t clusters = empty ? 0 : root->clusters;
	struct qcow2_layout l = qcow2_layout(size, clusters);
	*file_size = l.end * CLUSTER_SIZE;
	*stored = BLOCK_SIZE + round_up(8 * l.block_count, BLOCK_SIZE)
			+ round_up(2 * l.end, BLOCK_SIZE)
			+ round_up(8 * l.l1_entries, BLOCK_SIZE)
			+ min_u64(l.l1_entries, clusters) * CLUSTER_SIZE
			+ (empty ? 0 : root->data_bytes);
}

/* --- reading --- */

static ssize_t read_tables(const struct qcow2_view *view, uint8_t *buf,
		size_t len, uint64_t offset)
{
	for (size_t done = 0; done < len;) {
		uint8_t block[BLOCK_SIZE];
		uint64_t at = offset + done, within = at % BLOCK_SIZE;
		size_t n = min_u64(BLOCK_SIZE - within, len - done);
		int err = qcow2_tables_block(view, at / BLOCK_SIZE, block);
		if (err < 0)
			return err;
		memcpy(buf + done, block + within, n);
		done += n;
	}
	return (ssize_t)len;
}

int qcow2_data_run(const struct qcow2_view *view, uint64_t offset, uint64_t *at,
		uint64_t *len)
{
	uint64_t nth = offset / CLUSTER_SIZE - view->layout.data;
	uint64_t within = offset % CLUSTER_SIZE;
	struct span_clusters s;
	uint32_t run = 0;
	int err = image_clusters_with(view->image, nth, &s);
	if (err < 0)
		return err;
	*at = image_clusters_run(&s, nth, &run) * CLUSTER_SIZE + within;
	*len = (uint64_t)run * CLUSTER_SIZE - within;
	return 0;
}

static ssize_t read_data(const struct qcow2_view *view, uint8_t *buf,
		size_t len, uint64_t offset)
{
	for (size_t done = 0; done < len;) {
		uint64_t at = 0, run = 0;
		int err = qcow2_data_run(view, offset + done, &at, &run);
		if (err < 0)
			return err;
		size_t want = min_u64(run, len - done);
		ssize_t n = image_pread(view->image, buf + done, want, at);
		if (n < 0)
			return n;
		/* Behind the image's end its last cluster is padded. */
		memset(buf + done + n, 0, want - (size_t)n);
		done += want;
	}
	return (ssize_t)len;
}

ssize_t qcow2_pread(struct qcow2_view *view, void *buf, size_t len,
		uint64_t offset)
{
	uint64_t size = qcow2_size(view),
		 data = view->layout.data * CLUSTER_SIZE;
	uint8_t *to = buf;
	if (offset >= size)
		return 0;
	len = min_u64(len, size - offset);
	size_t tables = offset < data ? min_u64(len, data - offset) : 0;
	ssize_t r = read_tables(view, to, tables, offset);
	if (r >= 0)
		r = read_data(view, to + tables, len - tables, offset + tables);
	return r < 0 ? r : (ssize_t)len;
}

/* --- without copying --- */

/* Appends LEN bytes of the image at AT. */
static int add_data(const struct qcow2_view *view, struct image_iov *iov,
		size_t len, uint64_t at)
{
	struct image_iov more = { .iov = iov->iov + iov->count,
		.pins = iov->pins + iov->pinned,
		.room = iov->room
				- (iov->count > iov->pinned ? iov->count
							    : iov->pinned) };
	ssize_t n = image_read_iov(view->image, &more, len, at);
	if (n < 0)
		return (int)n;
	iov->count += more.count;
	iov->pinned += more.pinned;
	return (size_t)n == len ? 0 : -E2BIG;
}

ssize_t qcow2_read_iov(struct qcow2_view *view, struct image_iov *iov,
		size_t len, uint64_t offset)
{
	uint64_t size = qcow2_size(view);
	iov->count = iov->pinned = 0;
	if (offset >= size)
		return 0;
	if (offset < view->layout.data * CLUSTER_SIZE)
		return -E2BIG;
	len = min_u64(len, size - offset);
	for (size_t done = 0; done < len;) {
		uint64_t at = 0, run = 0;
		int err = qcow2_data_run(view, offset + done, &at, &run);
		size_t want = min_u64(run, len - done);
		if (err == 0)
			err = add_data(view, iov, want, at);
		if (err < 0) {
			image_unpin(iov);
			return err;
		}
		done += want;
	}
	return (ssize_t)len;
}

/* --- ahead --- */

static uint64_t prefetch(void *ctx, uint64_t offset, uint64_t len)
{
	const struct qcow2_view *view = ctx;
	uint64_t end = min_u64(offset + len, qcow2_size(view));
	offset = max_u64(offset, view->layout.data * CLUSTER_SIZE);
	while (offset < end) {
		uint64_t at = 0, run = 0;
		/* An error is for the read that comes to it. */
		if (qcow2_data_run(view, offset, &at, &run) < 0
				|| at >= image_size(view->image))
			return end;
		run = min_u64(run, end - offset);
		run = min_u64(run, image_size(view->image) - at);
		uint64_t reached = image_prefetch(view->image, at, run);
		if (reached < at + run)
			return offset + (reached - at);
		/* Not RUN, which ends with the image, within a cluster. */
		offset = round_up(offset + run, CLUSTER_SIZE);
	}
	return max_u64(offset, end);
}

void qcow2_note_read(struct qcow2_view *view, struct image_sequence *sequence,
		uint64_t offset, uint64_t len)
{
	image_prefetch_note_sequence(sequence, offset, len, prefetch, view);
}
