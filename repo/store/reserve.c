/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The reserve file: space that prune may spend where the disk is full. */
#include <fcntl.h>

#include "../base/cleanup.h"
#include "../base/error.h"
#include "local_internal.h"

int store_make_reserve(struct store *s, uint64_t bytes)
{
	/* Allocated, not written: filesystems that compress would store
	 * zeros in no space at all. */
	CLEANUP_FD int fd = openat(s->root, "reserve",
			O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return local_fail(s, -errno, "make", "reserve");
	int r = posix_fallocate(fd, 0, (off_t)bytes);
	if (r != 0)
		return local_fail(s, -r, "set aside space in", "reserve");
	if (fsync(fd) < 0)
		return local_fail(s, -errno, "fsync", "reserve");
	return local_sync_folder(s, s->root, "reserve");
}
