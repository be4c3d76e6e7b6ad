/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lock_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

static bool is_ours_alone(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && st.st_uid == geteuid()
			&& (st.st_mode & 022) == 0;
}

static int open_directory(const char *path)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	CLEANUP_FD int fd = open(path,
			O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return is_ours_alone(fd) ? take_fd(&fd) : -EPERM;
}

int lock_directory_open(char path[LOCK_DIRECTORY_MAX])
{
	unsigned user = geteuid();
	if (user == 0) {
		snprintf(path, LOCK_DIRECTORY_MAX, "/run/amberfs");
		return open_directory(path);
	}
	snprintf(path, LOCK_DIRECTORY_MAX, "/run/user/%u/amberfs", user);
	int fd = open_directory(path);
	if (fd >= 0)
		return fd;
	snprintf(path, LOCK_DIRECTORY_MAX, "/tmp/amberfs-%u", user);
	return open_directory(path);
}

int lock_directory_open_file(int directory, const char *name, int flags)
{
	CLEANUP_FD int fd = openat(directory, name,
			O_RDWR | O_CREAT | O_NOFOLLOW | flags, 0600);
	if (fd < 0)
		return -errno;
	return is_ours_alone(fd) ? take_fd(&fd) : -EPERM;
}
