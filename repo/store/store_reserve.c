/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The reserve file: space that prune may spend where the disk is full. */
#include <fcntl.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "store_internal.h"

static int allocate(struct store *s, int fd, uint64_t bytes)
{
	int err = posix_fallocate(fd, 0, (off_t)bytes);
	if (err != 0)
		return store_fail(s, -err, "set aside space in", "reserve");
	if (fsync(fd) < 0)
		return store_fail(s, -errno, "fsync", "reserve");
	return store_sync_directory(s, s->root, "reserve");
}

int store_reserve_make(struct store *s, uint64_t bytes)
{
	/* Allocated, not written: filesystems that compress would store
	 * zeros in no space at all. */
	CLEANUP_FD int fd = openat(s->root, "reserve",
			O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return store_fail(s, -errno, "make", "reserve");
	int err = allocate(s, fd, bytes);
	if (err < 0) /* half a reserve would only look like one */
		unlinkat(s->root, "reserve", 0);
	return err;
}

int store_reserve_release(struct store *s)
{
	if (unlinkat(s->root, "reserve", 0) < 0)
		return errno == ENOENT ? 0
				       : store_fail(s, -errno, "delete",
							"reserve");
	return store_sync_directory(s, s->root, "reserve");
}
