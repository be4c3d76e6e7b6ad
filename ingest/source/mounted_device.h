/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether a block device, or a partition of it, is mounted to be written. */
#ifndef AMBERFS_INGEST_SOURCE_MOUNTED_DEVICE_H
#define AMBERFS_INGEST_SOURCE_MOUNTED_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* If so, WHERE gets the first mount point, made printable. As this process sees
 * the mounts; what lies on it in layers (LVM, RAID) is not looked at. */
bool mounted_device_find(dev_t device, char *where, size_t size);

#endif
