/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Data and holes of the qcow2 view. Tables that are always there are data up to
 * the end of their last block in use, slots as a whole; data clusters have the
 * holes that the image has in them.
 */
#include "qcow2_internal.h"

#include <errno.h>

#include "repo/base/bytes.h"

/* The area from FIRST to END (clusters), of which USED bytes are data. */
static bool in_table(uint64_t offset, uint64_t first, uint64_t end,
		uint64_t used, bool *hole, uint64_t *to)
{
	uint64_t data_end = first * CLUSTER_SIZE + round_up(used, BLOCK_SIZE);
	if (offset >= end * CLUSTER_SIZE)
		return false;
	*hole = offset >= data_end;
	*to = *hole ? end * CLUSTER_SIZE : data_end;
	return true;
}

static int extent_in_slots(const struct qcow2_view *view, uint64_t offset,
		bool *hole, uint64_t *to)
{
	const struct qcow2_layout *layout = &view->layout;
	uint64_t slot = offset / CLUSTER_SIZE - layout->l2, used = 0;
	int err = qcow2_tables_used_slot(view, slot, &used);
	*hole = used != slot;
	*to = (layout->l2 + (*hole ? used : slot + 1)) * CLUSTER_SIZE;
	return err;
}

static int extent_in_data(const struct qcow2_view *view, uint64_t offset,
		bool *hole, uint64_t *to)
{
	uint64_t at = 0, run = 0, size = image_size(view->image);
	int err = qcow2_data_run(view, offset, &at, &run);
	if (err < 0)
		return err;
	*to = offset + run;
	if (at >= size) {
		*hole = true;
		return 0;
	}
	uint64_t end = min_u64(at + run, size);
	err = image_seek_extent(view->image, at, end, hole, &end);
	*to = offset + (end - at);
	return err;
}

/* What is at OFFSET (below the size), and how far that goes at least. */
static int extent(const struct qcow2_view *view, uint64_t offset, bool *hole,
		uint64_t *to)
{
	const struct qcow2_layout *layout = &view->layout;
	if (offset >= layout->data * CLUSTER_SIZE)
		return extent_in_data(view, offset, hole, to);
	if (offset >= layout->l2 * CLUSTER_SIZE)
		return extent_in_slots(view, offset, hole, to);
	if (!in_table(offset, 0, 1, QCOW2_HEADER_SIZE, hole, to)
			&& !in_table(offset, 1, layout->blocks,
					8 * layout->block_count, hole, to)
			&& !in_table(offset, layout->blocks, layout->l1,
					2 * layout->end, hole, to))
		in_table(offset, layout->l1, layout->l2, 8 * layout->l1_entries,
				hole, to);
	return 0;
}

off_t qcow2_seek(struct qcow2_view *view, off_t offset, int whence)
{
	uint64_t at = (uint64_t)offset, size = qcow2_size(view);
	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	if (offset < 0 || at >= size)
		return -ENXIO;
	while (at < size) {
		bool hole = false;
		uint64_t to = 0;
		int err = extent(view, at, &hole, &to);
		if (err < 0)
			return err;
		if (hole == (whence == SEEK_HOLE))
			return (off_t)at;
		at = to;
	}
	return whence == SEEK_HOLE ? (off_t)size : -ENXIO;
}
