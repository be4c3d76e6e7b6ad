/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which files a domain's XML names, wherever in it: disks, the images below
 * them, mirrors, firmware, kernels. Paths are compared as texts. */
#ifndef AMBERFS_INGEST_LIBVIRT_DOMAIN_PATHS_H
#define AMBERFS_INGEST_LIBVIRT_DOMAIN_PATHS_H

#include <stdbool.h>

struct _xmlDoc; /* of domain_xml.h or domain_doc.h */

typedef int domain_path_fn(void *ctx, const char *path);
/* Calls FN for each absolute path in DOC, until it returns non-zero; returns
 * that, or 0. */
int domain_paths_each(const struct _xmlDoc *doc, domain_path_fn *fn, void *ctx);

/* Whether DOC names something below DIRECTORY. */
bool domain_paths_below(const struct _xmlDoc *doc, const char *directory);

/* Whether DOC names PATH. */
bool domain_paths_name(const struct _xmlDoc *doc, const char *path);

/*
 * The disks (by target) whose chain, but not whose own image, has something
 * below DIRECTORY. *TARGETS: NULL-ended, to be freed with domain_paths_free.
 * 0 or -errno.
 */
int domain_paths_backed(const struct _xmlDoc *doc, const char *directory,
		char ***targets);
void domain_paths_free(char **targets); /* NULL allowed */

/* DOC without the chains of those disks: their own images are all there is.
 * *OUT to free. 0 or -errno. */
int domain_paths_unback(const struct _xmlDoc *doc, const char *directory,
		char **out);

#endif
