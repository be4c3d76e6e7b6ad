/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A file of a snapshot as it is read: the image's bytes themselves, or a qcow2
 * file that is computed from them. Offsets and lengths are bytes of that file.
 * Errors as image.h. Threading: all calls on one view may run at once.
 */
#ifndef AMBERFS_IMAGE_IMAGE_VIEW_H
#define AMBERFS_IMAGE_IMAGE_VIEW_H

#include "image.h"

enum image_view_kind {
	IMAGE_VIEW_RAW,
	IMAGE_VIEW_QCOW2,
};

struct image_view;

/* Reads nothing. ROOT and SIZE come from a snapshot file. READER outlives the
 * view. */
int image_view_open(struct image_view **out, struct image_reader *reader,
		const struct tree_root *root, uint64_t size,
		enum image_view_kind kind);
void image_view_close(struct image_view *view); /* NULL allowed */

/* As image_pread. */
ssize_t image_view_pread(struct image_view *view, void *buf, size_t len,
		uint64_t offset);
/* As image_read_iov; -E2BIG also where bytes are computed. */
ssize_t image_view_read_iov(struct image_view *view, struct image_iov *iov,
		size_t len, uint64_t offset);
/* As image_seek. */
off_t image_view_seek(struct image_view *view, off_t offset, int whence);
/* As image_prefetch_note_read. */
void image_view_note_read(struct image_view *view,
		struct image_sequence *sequence, uint64_t offset, uint64_t len);

#endif
