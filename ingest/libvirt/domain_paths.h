/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which files a domain's XML names, wherever in it: disks, the images below
 * them, mirrors, firmware, kernels. Paths are compared as texts. */
#ifndef AMBERFS_INGEST_LIBVIRT_DOMAIN_PATHS_H
#define AMBERFS_INGEST_LIBVIRT_DOMAIN_PATHS_H

#include <stdbool.h>

/* Calls FN for each absolute path in XML, until it returns non-zero; returns
 * that, 0, or -EBADMSG with a text. */
typedef int domain_path_fn(void *ctx, const char *path);
int domain_paths_each(const char *xml, domain_path_fn *fn, void *ctx);

/* 1: XML names something below DIRECTORY; 0; -errno. */
int domain_paths_below(const char *xml, const char *directory);

/* 1: XML names PATH; 0; -errno. */
int domain_paths_name(const char *xml, const char *path);

/*
 * The disks (by target) whose chain, but not whose own image, has something
 * below DIRECTORY. *TARGETS: NULL-ended, to be freed with domain_paths_free.
 * 0 or -errno.
 */
int domain_paths_backed(const char *xml, const char *directory,
		char ***targets);
void domain_paths_free(char **targets); /* NULL allowed */

/* XML without the chains of those disks: their own images are all there is.
 * *OUT to free. 0 or -errno. */
int domain_paths_unback(const char *xml, const char *directory, char **out);

#endif
