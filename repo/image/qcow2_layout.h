/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where things are in the qcow2 file that an image is shown as: this depends
 * only on the disk's size and the number of its non-empty clusters. All places
 * and counts are in clusters of 64 KiB of the file:
 *
 *	0		header
 *	1		refcount table: one entry for each refcount block
 *	blocks		refcount blocks, for all clusters of the file
 *	l1		L1 table: one entry for each 512 MiB of the disk
 *	l2		a slot for each L2 table that there can be; where 512
 *			MiB are all hole, the slot is unused and a hole
 *	data		the non-empty clusters of the disk, in order
 *	end
 *
 * Limits: a disk of 2^47 bytes, all data, needs an L1 table of 2 MiB and a
 * refcount table of 513 KiB. The specification allows offsets up to 2^56, qemu
 * an L1 table of 32 MiB and a refcount table of 8 MiB. (qemu-img check gives up
 * on a file of 2^31 clusters, which is one that has 128 TiB of data.)
 */
#ifndef AMBERFS_IMAGE_QCOW2_LAYOUT_H
#define AMBERFS_IMAGE_QCOW2_LAYOUT_H

#include <stdint.h>

#include "repo/format/node.h"

#define QCOW2_L1_ENTRY ((uint64_t)512 << 20)	/* bytes of the disk */
#define QCOW2_TABLE_ENTRIES (CLUSTER_SIZE / 8u) /* of a cluster of a table */
#define QCOW2_BLOCK_ENTRIES (CLUSTER_SIZE / 2u) /* of a refcount block */
#define QCOW2_HEADER_SIZE 112u /* with the end of its extensions */

struct qcow2_layout {
	uint64_t disk_size; /* bytes, a multiple of 512 */
	uint64_t block_count;
	uint64_t l1_entries; /* and slots; at least 1 */
	uint64_t blocks, l1, l2, data, end;
};

/* Of a disk of SIZE bytes (at most IMAGE_SIZE_MAX), CLUSTERS of its clusters
 * not empty. */
struct qcow2_layout qcow2_layout(uint64_t size, uint64_t clusters);

/* OUT gets QCOW2_HEADER_SIZE bytes. */
void qcow2_layout_header(const struct qcow2_layout *layout, uint8_t *out);

#endif
