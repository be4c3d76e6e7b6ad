/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Copying an image out: in parallel to a file or block device, in order to a
 * stream. */
#ifndef AMBERFS_IMAGE_IMAGE_COPY_H
#define AMBERFS_IMAGE_IMAGE_COPY_H

#include <signal.h>

#include "image.h"

struct image_copy {
	struct image *image;
	int fd;
	const char *to; /* its name, for messages */
	/* The target is new and empty: holes are left out. Otherwise (a block
	 * device) they are punched or written as zeros. */
	bool fresh;
	unsigned threads; /* at least 1 */
	const _Atomic sig_atomic_t *cancel;
	/* NULL: a range that can't be read ends the copy. Otherwise it is
	 * written as zeros and reported here: one call at a time, by any
	 * thread, each lost tree node once, in no order. ERR's text is the
	 * thread's. */
	void (*damaged)(void *ctx, uint64_t offset, uint64_t len, int err);
	void *ctx;
	_Atomic uint64_t done; /* bytes processed, holes included */
	_Atomic uint64_t written;
	struct lost *lost; /* image_copy.c's */
};

/* A file must already have its size. Not fsynced. 0; -ECANCELED; -errno with a
 * text that names the byte. */
int image_copy_parallel(struct image_copy *copy);
int image_copy_stream(struct image_copy *copy);

#endif
