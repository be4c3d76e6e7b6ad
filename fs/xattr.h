/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Extended attributes of what a mount shows: user.amberfs.snapshot, .source,
 * .source_path, .format, .target and .root. Knows nothing of FUSE.
 */
#ifndef AMBERFS_FS_XATTR_H
#define AMBERFS_FS_XATTR_H

#include "tree.h"

#define XATTR_VALUE_MAX 16384

/* Writes the value to OUT. Its length (without the NUL), -ENODATA, -E2BIG. */
ssize_t xattr_get(const struct tree_held *held, const char *name,
		char out[XATTR_VALUE_MAX]);

/* The names that H has, each with its NUL. Returns the length. */
#define XATTR_NAMES_MAX 512
size_t xattr_list(const struct tree_held *held, char out[XATTR_NAMES_MAX]);

#endif
