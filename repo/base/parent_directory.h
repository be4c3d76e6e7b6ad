/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The directory that a path's last component is in. */
#ifndef AMBERFS_BASE_PARENT_DIRECTORY_H
#define AMBERFS_BASE_PARENT_DIRECTORY_H

/* Opens it. *LEAF is the last component, within PATH. Its descriptor, or -errno
 * with a text. */
int parent_directory_open(const char *path, const char **leaf);

#endif
