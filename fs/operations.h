/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the kernel asks of a mount, answered from the tree of names and the
 * images. The userdata of the FUSE session is a struct filesystem.
 */
#ifndef AMBERFS_FS_OPERATIONS_H
#define AMBERFS_FS_OPERATIONS_H

#include "fuse_api.h"
#include "mount_options.h"
#include "repo/base/thread_safety.h"
#include "roots.h"
#include "statfs.h"
#include "tree.h"

struct filesystem {
	const struct mount_options *options;
	struct repository *repo;
	struct image_reader *reader;
	struct tree *tree;
	struct roots *roots;
	struct statfs_cache *usage;
	/* Called once, after the initial negotiation with the kernel. */
	void (*started)(void *ctx);
	void *started_ctx;
	pthread_mutex_t mutex;
	struct handle *handles GUARDED_BY(mutex); /* open files */
};

const struct fuse_lowlevel_ops *operations_table(void);

/* Closes the files that were open when the mount was torn down. */
void file_close_all(struct filesystem *fs);

#endif
