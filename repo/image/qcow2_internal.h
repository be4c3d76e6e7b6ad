/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the qcow2 view share. */
#ifndef AMBERFS_IMAGE_QCOW2_INTERNAL_H
#define AMBERFS_IMAGE_QCOW2_INTERNAL_H

#include <endian.h>
#include <string.h>

#include "image_clusters.h"
#include "qcow2.h"
#include "qcow2_layout.h"

#define QCOW2_CLUSTER_BITS 16
/* In entries of L1 and L2 tables: what it leads to has a refcount of 1. */
#define QCOW2_COPIED (UINT64_C(1) << 63)

/* Constant once it is open. */
struct qcow2_view {
	struct image *image;
	struct qcow2_layout layout;
	uint64_t spans; /* of the image */
};

/* --- qcow2_tables.c --- */

/* The BLOCK_SIZE bytes number BLOCK of the file, before its data. */
int qcow2_tables_block(const struct qcow2_view *view, uint64_t block,
		uint8_t *out);

/* The first slot at or after SLOT that is used, or the number of slots. */
int qcow2_tables_used_slot(const struct qcow2_view *view, uint64_t slot,
		uint64_t *out);

/* --- qcow2.c --- */

/* The data at OFFSET of the file (within the data): where that is in the image,
 * and how many bytes follow each other there, to the end of a cluster. The
 * image may end before. */
int qcow2_data_run(const struct qcow2_view *view, uint64_t offset, uint64_t *at,
		uint64_t *len);

#endif
