/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Block devices. (Their kernel headers stay out of everything else.) */
#ifndef AMBERFS_BASE_DEVICE_H
#define AMBERFS_BASE_DEVICE_H

#include <stdint.h>

/* The size in bytes of the block device open as FD. 0 or -errno (no text). */
int device_size(int fd, uint64_t *bytes);

/* ERR with the text that PATH is neither a regular file nor a block device. */
int device_fail_kind(int err, const char *path);

#endif
