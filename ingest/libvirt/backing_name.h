/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The name that an image's header has for the file below it, in the forms that
 * qemu understands for a file or device of this host: a path, "file:PATH", and
 * "json:{…}" with nested objects or dotted keys.
 */
#ifndef AMBERFS_INGEST_LIBVIRT_BACKING_NAME_H
#define AMBERFS_INGEST_LIBVIRT_BACKING_NAME_H

#include <stdbool.h>
#include <stdint.h>

struct backing_name {
	char *path;   /* absolute, or relative as the image's own path is */
	char *format; /* what json: says; NULL: nothing */
	bool sliced;  /* only this part of the file: */
	uint64_t slice_offset, slice_size;
};

/* IMAGE: the path of the image with that header, which a relative path starts
 * from. OUT is to be cleared. 0, -ENOMEM; -ENOTSUP: of another form. */
int backing_name_parse(struct backing_name *out, const char *name,
		const char *image);
void backing_name_clear(struct backing_name *name);

/* DIR(IMAGE) + NAME, as qemu resolves it: links are not followed first. To free;
 * NULL without memory. */
char *backing_name_beside(const char *image, const char *name);

#endif
