/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The one place that names the version of libfuse's interface. */
#ifndef AMBERFS_FS_FUSE_API_H
#define AMBERFS_FS_FUSE_API_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#endif
