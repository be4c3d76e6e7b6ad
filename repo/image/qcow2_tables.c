/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Header and tables of the qcow2 view, a block at a time. A block reads of the
 * tree what it depends on: an L2 table's the two leaves that its entries stand
 * for, an L1 table's and a refcount block's which L2 tables are not empty,
 * other blocks nothing.
 */
#include "qcow2_internal.h"

#include "repo/base/bytes.h"
#include "image_internal.h"

#define BLOCK_TABLE_ENTRIES (BLOCK_SIZE / 8u)
#define BLOCK_REFCOUNTS (BLOCK_SIZE / 2u)
#define BLOCKS_OF(clusters) ((clusters) * (CLUSTER_SIZE / BLOCK_SIZE))
#define SLOT_SPANS (QCOW2_L1_ENTRY / SPAN_SIZE)

int qcow2_tables_used_slot(const struct qcow2_view *v, uint64_t slot, uint64_t *out)
{
	uint64_t span = v->spans;
	int err = 0;
	*out = v->layout.l1_entries;
	if (slot < *out)
		err = image_seek_data_span(v->image, slot * SLOT_SPANS, &span);
	if (err == 0 && span < v->spans)
		*out = span / SLOT_SPANS;
	return err;
}

static void fill_refcount_table(const struct qcow2_layout *l, uint64_t block,
		uint8_t *out)
{
	uint64_t first = block * BLOCK_TABLE_ENTRIES;
	for (uint64_t k = 0; k < BLOCK_TABLE_ENTRIES &&
			first + k < l->block_count; k++)
		put_be64(out + 8 * k, (l->blocks + first + k) * CLUSTER_SIZE);
}

/* 1 for all clusters but unused slots and what is beyond the end. */
static int fill_refcounts(const struct qcow2_view *v, uint64_t block,
		uint8_t *out)
{
	const struct qcow2_layout *l = &v->layout;
	uint64_t first = block * BLOCK_REFCOUNTS;
	uint64_t end = min_u64(first + BLOCK_REFCOUNTS, l->end);
	uint64_t slot = max_u64(first, l->l2) - l->l2;
	for (uint64_t k = first; k < end; k++)
		if (k < l->l2 || k >= l->data)
			put_be16(out + 2 * (k - first), 1);
	while (l->l2 + slot < min_u64(end, l->data)) {
		int err = qcow2_tables_used_slot(v, slot, &slot);
		if (err < 0)
			return err;
		if (l->l2 + slot < min_u64(end, l->data))
			put_be16(out + 2 * (l->l2 + slot - first), 1);
		slot++;
	}
	return 0;
}

static int fill_l1(const struct qcow2_view *v, uint64_t block, uint8_t *out)
{
	const struct qcow2_layout *l = &v->layout;
	uint64_t first = block * BLOCK_TABLE_ENTRIES, slot = first;
	uint64_t end = min_u64(first + BLOCK_TABLE_ENTRIES, l->l1_entries);
	while (slot < end) {
		int err = qcow2_tables_used_slot(v, slot, &slot);
		if (err < 0)
			return err;
		if (slot < end)
			put_be64(out + 8 * (slot - first), QCOW2_COPIED |
					(l->l2 + slot) * CLUSTER_SIZE);
		slot++;
	}
	return 0;
}

/* The entries of one span, of which at most LAYOUT.END - DATA are set. */
static void fill_span(const struct qcow2_layout *l,
		const struct span_clusters *s, uint8_t *out)
{
	uint64_t nth = s->before;
	for (uint32_t n = 0; n < SPAN_CLUSTERS; n++)
		if ((s->map[n / 64] >> n % 64 & 1) != 0)
			put_be64(out + (size_t)8 * n, QCOW2_COPIED |
					(l->data + nth++) * CLUSTER_SIZE);
}

static int fill_l2(const struct qcow2_view *v, uint64_t block, uint8_t *out)
{
	uint64_t first = block * BLOCK_TABLE_ENTRIES / SPAN_CLUSTERS;
	for (uint64_t k = 0; k < BLOCK_TABLE_ENTRIES / SPAN_CLUSTERS; k++) {
		struct span_clusters s;
		if (first + k >= v->spans)
			break;
		int err = image_clusters_at(v->image, first + k, &s);
		if (err < 0)
			return err;
		fill_span(&v->layout, &s, out + k * SPAN_CLUSTERS * 8);
	}
	return 0;
}

int qcow2_tables_block(const struct qcow2_view *v, uint64_t block, uint8_t *out)
{
	const struct qcow2_layout *l = &v->layout;
	memset(out, 0, BLOCK_SIZE);
	if (block >= BLOCKS_OF(l->l2))
		return fill_l2(v, block - BLOCKS_OF(l->l2), out);
	if (block >= BLOCKS_OF(l->l1))
		return fill_l1(v, block - BLOCKS_OF(l->l1), out);
	if (block >= BLOCKS_OF(l->blocks))
		return fill_refcounts(v, block - BLOCKS_OF(l->blocks), out);
	if (block >= BLOCKS_OF(1))
		fill_refcount_table(l, block - BLOCKS_OF(1), out);
	else if (block == 0)
		qcow2_layout_header(l, out);
	return 0;
}
