/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "restore_place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/foreign_path.h"

void restore_place_clear(struct restore_place *place)
{
	cleanup_fd(&place->directory);
	place->directory = -1;
	free(take_ptr(place->leaf));
}

/* Whoever forces it: a pipe or /dev/null that became a file would surprise
 * everybody who opens it. */
static int look(struct restore_place *place)
{
	place->exists = fstatat(place->directory, place->leaf, &place->st,
					AT_SYMLINK_NOFOLLOW)
			== 0;
	if (!place->exists)
		return errno == ENOENT ? 0
				       : fail_errno(-errno, "examining %s",
						       place->path);
	if (S_ISREG(place->st.st_mode) || S_ISBLK(place->st.st_mode))
		return 0;
	return fail(-EINVAL,
			"%s is not a file or block device, so it is not "
			"replaced; to write into it, restore to - and redirect "
			"the output",
			place->path);
}

int restore_place_open(struct restore_place *place, const char *path)
{
	*place = (struct restore_place){ .path = path, .directory = -1 };
	place->directory = foreign_path_parent(path, &place->leaf);
	int err = place->directory < 0 ? place->directory : look(place);
	if (err < 0)
		restore_place_clear(place);
	return err;
}

int restore_place_fail_exists(const char *path)
{
	return fail(-EEXIST, "%s exists; --force replaces it", path);
}

int restore_place_open_existing(const struct restore_place *place, int flags)
{
	int fd = foreign_path_openat(place->directory, place->leaf, flags, 0);
	return fd < 0 ? fail_within(fd, "%s", place->path) : fd;
}

/* qemu locks the images that it has open, whoever started it. */
int restore_place_check_unlocked(int fd, const char *path)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	if (fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
		return fail(-EBUSY,
				"%s is in use (locked by a process such as "
				"qemu); stop that first",
				path);
	return 0;
}

int restore_place_check_unused(const struct restore_place *place)
{
	const int flags = O_NONBLOCK | O_NOCTTY;
	if (!place->exists)
		return 0;
	CLEANUP_FD int fd =
			restore_place_open_existing(place, O_RDONLY | flags);
	CLEANUP_FD int other = fd >= 0
			? -1
			: restore_place_open_existing(place, O_WRONLY | flags);
	if (fd < 0 && other < 0)
		return fail_within(other, "finding out whether it is in use");
	return restore_place_check_unlocked(fd >= 0 ? fd : other, place->path);
}

/* By the directory's true path: /dev may be reached in other ways. */
int restore_place_check_file(const struct restore_place *place)
{
	static const char memory[] = "/dev/shm";
	char by[32], real[PATH_MAX];
	snprintf(by, sizeof(by), "/proc/self/fd/%d", place->directory);
	ssize_t n = readlink(by, real, sizeof(real) - 1);
	if (n < 0)
		return 0;
	real[n] = '\0';
	if ((strcmp(real, "/dev") != 0 && strncmp(real, "/dev/", 5) != 0)
			|| strncmp(real, memory, sizeof(memory) - 1) == 0)
		return 0;
	return fail(-ENOENT,
			"%s is below /dev, where a file would be lost, and is "
			"no block device: make the device first, or choose "
			"another place",
			place->path);
}
