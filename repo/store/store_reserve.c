/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The reserve file: space for prune to use when the disk is full. */
#include <fcntl.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "store_internal.h"

static int allocate(struct store *store, int fd, uint64_t bytes)
{
	int err = posix_fallocate(fd, 0, (off_t)bytes);
	if (err != 0)
		return store_fail(store, -err, "reserve space in", "reserve");
	if (fsync(fd) < 0)
		return store_fail(store, -errno, "fsync", "reserve");
	return store_sync_directory(store, store->root, "reserve");
}

int store_reserve_make(struct store *store, uint64_t bytes)
{
	/* Allocated, not written: filesystems that compress would store
	 * zeros in no space at all. */
	CLEANUP_FD int fd = openat(store->root, "reserve",
			O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return store_fail(store, -errno, "make", "reserve");
	int err = allocate(store, fd, bytes);
	if (err < 0) /* half a reserve would only look like one */
		unlinkat(store->root, "reserve", 0);
	return err;
}

int store_reserve_release(struct store *store)
{
	if (unlinkat(store->root, "reserve", 0) < 0)
		return errno == ENOENT ? 0
				       : store_fail(store, -errno, "delete",
						       "reserve");
	return store_sync_directory(store, store->root, "reserve");
}
