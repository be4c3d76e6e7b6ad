/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The files that a domain's XML names anywhere: disks, their backing files,
 * mirrors, firmware, kernels. Paths are compared as text. */
#ifndef AMBERFS_INGEST_LIBVIRT_DOMAIN_PATHS_H
#define AMBERFS_INGEST_LIBVIRT_DOMAIN_PATHS_H

#include <stdbool.h>

struct _xmlDoc; /* of domain_xml.h or domain_doc.h */

typedef int domain_path_fn(void *ctx, const char *path);
/* Calls FN for each absolute path in DOC until it returns non-zero; returns
 * that, or 0. */
int domain_paths_each(const struct _xmlDoc *doc, domain_path_fn *fn, void *ctx);

/* Whether DOC names anything below DIRECTORY. */
bool domain_paths_below(const struct _xmlDoc *doc, const char *directory);

/* Whether DOC names PATH. */
bool domain_paths_name(const struct _xmlDoc *doc, const char *path);

/*
 * The disks (by target) with a backing file, but not their own image, below
 * DIRECTORY. *TARGETS: NULL-terminated, to be freed with domain_paths_free.
 * 0 or -errno.
 */
int domain_paths_backed(const struct _xmlDoc *doc, const char *directory,
		char ***targets);
void domain_paths_free(char **targets); /* NULL allowed */

/* DOC without the backing chains of those disks. *OUT to free. 0 or -errno. */
int domain_paths_unback(const struct _xmlDoc *doc, const char *directory,
		char **out);

#endif
