/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Header and tables of the qcow2 view, a block at a time. A block reads of the
 * tree what it depends on: an L2 table's the two leaves that its entries stand
 * for, an L1 table's and a refcount block's which L2 tables are not empty,
 * other blocks nothing.
 */
#include "qcow2_internal.h"

#include "image_internal.h"
#include "repo/base/bytes.h"

#define BLOCK_TABLE_ENTRIES (BLOCK_SIZE / 8u)
#define BLOCK_REFCOUNTS (BLOCK_SIZE / 2u)
#define BLOCKS_OF(clusters) ((clusters) * (CLUSTER_SIZE / BLOCK_SIZE))
#define SLOT_SPANS (QCOW2_L1_ENTRY / SPAN_SIZE)

int qcow2_tables_used_slot(const struct qcow2_view *view, uint64_t slot,
		uint64_t *out)
{
	uint64_t span = view->spans;
	int err = 0;
	*out = view->layout.l1_entries;
	if (slot < *out)
		err = image_seek_data_span(view->image, slot * SLOT_SPANS,
				&span);
	if (err != 0)
		return err;
	if (span < view->spans)
		*out = span / SLOT_SPANS;
	return 0;
}

static void fill_refcount_table(const struct qcow2_layout *layout,
		uint64_t block, uint8_t *out)
{
	uint64_t first = block * BLOCK_TABLE_ENTRIES;
	for (uint64_t k = 0; k < BLOCK_TABLE_ENTRIES
			&& first + k < layout->block_count;
			k++)
		put_be64(out + 8 * k,
				(layout->blocks + first + k) * CLUSTER_SIZE);
}

/* 1 for all clusters but unused slots and what is beyond the end. */
static int fill_refcounts(const struct qcow2_view *view, uint64_t block,
		uint8_t *out)
{
	const struct qcow2_layout *layout = &view->layout;
	uint64_t first = block * BLOCK_REFCOUNTS;
	uint64_t end = min_u64(first + BLOCK_REFCOUNTS, layout->end);
	uint64_t slot = max_u64(first, layout->l2) - layout->l2;
	for (uint64_t k = first; k < end; k++)
		if (k < layout->l2 || k >= layout->data)
			put_be16(out + 2 * (k - first), 1);
	while (layout->l2 + slot < min_u64(end, layout->data)) {
		int err = qcow2_tables_used_slot(view, slot, &slot);
		if (err < 0)
			return err;
		if (layout->l2 + slot < min_u64(end, layout->data))
			put_be16(out + 2 * (layout->l2 + slot - first), 1);
		slot++;
	}
	return 0;
}

static int fill_l1(const struct qcow2_view *view, uint64_t block, uint8_t *out)
{
	const struct qcow2_layout *layout = &view->layout;
	uint64_t first = block * BLOCK_TABLE_ENTRIES, slot = first;
	uint64_t end = min_u64(first + BLOCK_TABLE_ENTRIES, layout->l1_entries);
	while (slot < end) {
		int err = qcow2_tables_used_slot(view, slot, &slot);
		if (err < 0)
			return err;
		if (slot < end)
			put_be64(out + 8 * (slot - first),
					QCOW2_COPIED
							| (layout->l2 + slot)
									* CLUSTER_SIZE);
		slot++;
	}
	return 0;
}

/* The entries of one span, of which at most LAYOUT.END - DATA are set. */
static void fill_span(const struct qcow2_layout *layout,
		const struct span_clusters *clusters, uint8_t *out)
{
	uint64_t nth = clusters->before;
	for (uint32_t n = 0; n < SPAN_CLUSTERS; n++)
		if ((clusters->map[n / 64] >> n % 64 & 1) != 0)
			put_be64(out + (size_t)8 * n,
					QCOW2_COPIED
							| (layout->data + nth++)
									* CLUSTER_SIZE);
}

static int fill_l2(const struct qcow2_view *view, uint64_t block, uint8_t *out)
{
	uint64_t first = block * BLOCK_TABLE_ENTRIES / SPAN_CLUSTERS;
	for (uint64_t k = 0; k < BLOCK_TABLE_ENTRIES / SPAN_CLUSTERS; k++) {
		struct span_clusters s;
		if (first + k >= view->spans)
			break;
		int err = image_clusters_at(view->image, first + k, &s);
		if (err < 0)
			return err;
		fill_span(&view->layout, &s, out + k * SPAN_CLUSTERS * 8);
	}
	return 0;
}

int qcow2_tables_block(const struct qcow2_view *view, uint64_t block,
		uint8_t *out)
{
	const struct qcow2_layout *layout = &view->layout;
	memset(out, 0, BLOCK_SIZE);
	if (block >= BLOCKS_OF(layout->l2))
		return fill_l2(view, block - BLOCKS_OF(layout->l2), out);
	if (block >= BLOCKS_OF(layout->l1))
		return fill_l1(view, block - BLOCKS_OF(layout->l1), out);
	if (block >= BLOCKS_OF(layout->blocks))
		return fill_refcounts(view, block - BLOCKS_OF(layout->blocks),
				out);
	if (block >= BLOCKS_OF(1))
		fill_refcount_table(layout, block - BLOCKS_OF(1), out);
	else if (block == 0)
		qcow2_layout_header(layout, out);
	return 0;
}
