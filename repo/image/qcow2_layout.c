/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Arithmetic of the layout, and the header that tells of it. */
#include "qcow2_layout.h"

#include <assert.h>
#include <string.h>

#include "qcow2_internal.h"
#include "repo/base/bytes.h"

#define SECTOR 512u
#define HEADER_LENGTH 104u /* version 3 without optional fields */

static_assert(HEADER_LENGTH + 8 == QCOW2_HEADER_SIZE, "header");
static_assert(CLUSTER_SIZE == 1u << QCOW2_CLUSTER_BITS, "cluster bits");
static_assert(QCOW2_TABLE_ENTRIES * (uint64_t)CLUSTER_SIZE == QCOW2_L1_ENTRY,
		"an L2 table is one cluster");

static uint64_t count_of(uint64_t things, uint64_t in_each)
{
	return things / in_each + (things % in_each != 0);
}

struct qcow2_layout qcow2_layout(uint64_t size, uint64_t clusters)
{
	struct qcow2_layout l = { .disk_size = round_up(size, SECTOR),
		.block_count = 1 };
	uint64_t blocks = 0;
	l.l1_entries = max_u64(1, count_of(l.disk_size, QCOW2_L1_ENTRY));
	/* Refcount blocks count themselves: until they are enough. */
	while (blocks != l.block_count) {
		blocks = l.block_count;
		l.blocks = 1 + count_of(blocks, QCOW2_TABLE_ENTRIES);
		l.l1 = l.blocks + blocks;
		l.l2 = l.l1 + count_of(l.l1_entries, QCOW2_TABLE_ENTRIES);
		l.data = l.l2 + l.l1_entries;
		l.end = l.data + clusters;
		l.block_count = count_of(l.end, QCOW2_BLOCK_ENTRIES);
	}
	return l;
}

void qcow2_layout_header(const struct qcow2_layout *layout, uint8_t *out)
{
	memset(out, 0, QCOW2_HEADER_SIZE);
	put_be32(out, 0x514649fb); /* "QFI", 0xfb */
	put_be32(out + 4, 3);	   /* version */
	put_be32(out + 20, QCOW2_CLUSTER_BITS);
	put_be64(out + 24, layout->disk_size);
	put_be32(out + 36, (uint32_t)layout->l1_entries);
	put_be64(out + 40, layout->l1 * CLUSTER_SIZE);
	put_be64(out + 48, CLUSTER_SIZE); /* the refcount table */
	put_be32(out + 56, (uint32_t)(layout->blocks - 1));
	put_be32(out + 96, 4); /* refcounts of 2^4 bits */
	put_be32(out + 100, HEADER_LENGTH);
	/* No backing file, encryption, snapshot or feature; and an extension
	 * of type and length 0, which ends the list of them. */
}
