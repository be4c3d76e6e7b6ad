/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An image as a qcow2 file (version 3, clusters of 64 KiB, no backing file)
 * that is not stored: its header and tables are computed for the range
 * requested, its data is the image's. Only the image's non-empty clusters are
 * in it. Its bytes depend on the image's size and content, on nothing else.
 *
 * The disk in it has the image's size, rounded up to 512 bytes.
 * Offsets and lengths are bytes of the qcow2 file. Errors: as image.h; a tree
 * that is damaged or contradicts itself is an error, never a wrong table.
 * Threading: all calls on one view may run at once.
 */
#ifndef AMBERFS_IMAGE_QCOW2_H
#define AMBERFS_IMAGE_QCOW2_H

#include "image.h"

struct qcow2_view;

/* Reads nothing. IMAGE outlives the view. -EBADMSG: the image's root counts
 * more clusters than its size has. */
int qcow2_open(struct qcow2_view **out, struct image *image);
void qcow2_close(struct qcow2_view *view); /* NULL allowed */

uint64_t qcow2_size(const struct qcow2_view *view);
/* The same for an image of SIZE bytes that nobody has opened. *STORED is the
 * size without holes: never less than the truth, and more by at most 64 KiB for
 * each 512 MiB of the disk that are all hole. Reads nothing. */
void qcow2_measure(uint64_t size, const struct tree_root *root,
		uint64_t *file_size, uint64_t *stored);

/* As image_pread. */
ssize_t qcow2_pread(struct qcow2_view *view, void *buf, size_t len,
		uint64_t offset);
/* As image_read_iov, where the range is data only; elsewhere (header, tables,
 * the padding of the last cluster) -E2BIG too: use qcow2_pread. */
ssize_t qcow2_read_iov(struct qcow2_view *view, struct image_iov *iov,
		size_t len, uint64_t offset);

/* As image_seek. Unused slots of tables are holes, and so are the image's
 * within a cluster. */
off_t qcow2_seek(struct qcow2_view *view, off_t offset, int whence);

/* As image_prefetch_note_read, with a state of the view's own. */
void qcow2_note_read(struct qcow2_view *view, struct image_sequence *sequence,
		uint64_t offset, uint64_t len);

#endif
