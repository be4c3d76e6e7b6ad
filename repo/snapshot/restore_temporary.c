/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "restore_temporary.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/foreign_path.h"
#include "repo/base/hex.h"
#include "repo/base/printable.h"
#include "repo/base/report.h"
#include "repo/base/units.h"
#include "repo/crypto/seal.h"

#define PREFIX ".amberfs-restore."
#define TRIES 16

/* Locks FD, named NAME in DIRECTORY. 1: locked, and that is still its name; 0:
 * somebody else has it or had it; -errno: no locks here. */
static int take(int directory, const char *name, int fd)
{
	struct stat ours, named;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? 0 : -errno;
	if (fstat(fd, &ours) < 0)
		return -errno;
	return fstatat(directory, name, &named, AT_SYMLINK_NOFOLLOW) == 0
			&& named.st_dev == ours.st_dev
			&& named.st_ino == ours.st_ino;
}

/* Another restore may take it for an abandoned one before it is locked; then
 * there is a next try. */
int restore_temporary_make(int directory, char name[RESTORE_TEMPORARY_MAX])
{
	for (int i = 0; i < TRIES; i++) {
		uint8_t random[8];
		char digits[17];
		seal_random(random, sizeof(random));
		hex_encode(digits, random, sizeof(random));
		snprintf(name, RESTORE_TEMPORARY_MAX, PREFIX "%s", digits);
		CLEANUP_FD int fd = foreign_path_openat(directory, name,
				O_RDWR | O_CREAT | O_EXCL, 0600);
		if (fd < 0)
			return fd;
		/* Where there are no locks, nobody else could take it. */
		if (take(directory, name, fd) != 0)
			return take_fd(&fd);
	}
	return fail(-EAGAIN, "cannot make a temporary file");
}

static void sweep_one(int directory, const char *name, const char *path)
{
	char shown[RESTORE_TEMPORARY_MAX], size[SIZE_TEXT_MAX];
	struct stat st;
	printable(shown, sizeof(shown), name);
	CLEANUP_FD int fd = foreign_path_openat(directory, name,
			O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	if (fd == -ENOENT)
		return;
	int mine = fd < 0 ? fd : take(directory, name, fd);
	if (mine == 0)
		return;
	if (mine == 1 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)
			&& unlinkat(directory, name, 0) == 0)
		report_warning("removed %s, %s beside %s: a restore that was "
			       "killed left it",
				shown,
				size_format(size, (uint64_t)st.st_blocks * 512),
				path);
	else
		report_warning("beside %s is %s: if no restore is running, "
			       "remove it",
				path, shown);
}

void restore_temporary_sweep(int directory, const char *path)
{
	int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	const struct dirent *entry;
	if (dir == NULL) {
		cleanup_fd(&copy);
		return;
	}
	while ((entry = readdir(dir)) != NULL)
		if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) == 0)
			sweep_one(directory, entry->d_name, path);
	closedir(dir);
}
