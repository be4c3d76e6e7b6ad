/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The one place that asks whether an image is read raw or as qcow2. */
#include "image_view.h"

#include <stdlib.h>

#include "qcow2.h"
#include "repo/base/error.h"

struct image_view {
	struct image *image;
	struct qcow2_view *qcow2; /* NULL: raw */
};

int image_view_open(struct image_view **out, struct image_reader *reader,
		const struct tree_root *root, uint64_t size,
		enum image_view_kind kind)
{
	struct image_view *view = calloc(1, sizeof(*view));
	if (view == NULL)
		return fail_no_memory("opening an image");
	int err = image_open(&view->image, reader, root, size);
	if (err == 0 && kind == IMAGE_VIEW_QCOW2)
		err = qcow2_open(&view->qcow2, view->image);
	if (err < 0) {
		image_view_close(view);
		return err;
	}
	*out = view;
	return 0;
}

void image_view_close(struct image_view *view)
{
	if (view == NULL)
		return;
	qcow2_close(view->qcow2);
	image_close(view->image);
	free(view);
}

ssize_t image_view_pread(struct image_view *view, void *buf, size_t len,
		uint64_t offset)
{
	if (view->qcow2 != NULL)
		return qcow2_pread(view->qcow2, buf, len, offset);
	return image_pread(view->image, buf, len, offset);
}

ssize_t image_view_read_iov(struct image_view *view, struct image_iov *iov,
		size_t len, uint64_t offset)
{
	if (view->qcow2 != NULL)
		return qcow2_read_iov(view->qcow2, iov, len, offset);
	return image_read_iov(view->image, iov, len, offset);
}

off_t image_view_seek(struct image_view *view, off_t offset, int whence)
{
	if (view->qcow2 != NULL)
		return qcow2_seek(view->qcow2, offset, whence);
	return image_seek(view->image, offset, whence);
}

void image_view_note_read(struct image_view *view,
		struct image_sequence *sequence, uint64_t offset, uint64_t len)
{
	if (view->qcow2 != NULL)
		qcow2_note_read(view->qcow2, sequence, offset, len);
	else
		image_prefetch_note_read(view->image, sequence, offset, len);
}
