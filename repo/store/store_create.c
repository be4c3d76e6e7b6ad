/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Makes the directories of a new repository. It does not write any object: a
 * directory without config is not yet a repository.
 *
 * Durable order, so that whatever exists after a crash is reachable:
 *	1 make the repository's directory, if it isn't there
 *	2 make the kinds' directories and the shards in it
 *	3 fsync every shard, then every kind, then the repository's directory
 *	4 fsync the directory that holds the repository
 * An error before the end takes back what was made.
 */
#include "repo/base/bytes.h"
#include "store_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"

#define SHARDS 256
#define DIRECTORY_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

/* The shards come first in the order of making, and last of removing. */
static const char *const kinds[] = { "packs", "keys", "snapshots", "sessions",
	"condemned", "damaged", "pins", "retention" };
#define KINDS (ARRAY_SIZE(kinds))

static void directory_name(char out[16], size_t n)
{
	if (n < KINDS)
		snprintf(out, 16, "%s", kinds[n]);
	else
		snprintf(out, 16, "packs/%02x", (unsigned)(n - KINDS) & 0xff);
}

static int sync_path(int root, const char *name)
{
	CLEANUP_FD int fd = openat(root, name, DIRECTORY_FLAGS | O_NOFOLLOW);
	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

static int make_directories(int root, size_t *made, char failed[16])
{
	for (size_t n = 0; n < KINDS + SHARDS; n++) {
		directory_name(failed, n);
		if (mkdirat(root, failed, 0700) < 0)
			return -errno;
		*made = n + 1;
	}
	for (size_t n = KINDS + SHARDS; n-- > 0;) {
		directory_name(failed, n);
		int err = sync_path(root, failed);
		if (err < 0)
			return err;
	}
	snprintf(failed, 16, ".");
	return fsync(root) < 0 ? -errno : 0;
}

static void remove_directories(int root, size_t made)
{
	char name[16];
	while (made-- > 0) {
		directory_name(name, made);
		unlinkat(root, name, AT_REMOVEDIR);
	}
}

/* The remains of an interrupted init look like a repository without config. */
static int not_empty(int root, const char *path, const char *what)
{
	struct stat st;
	if (fstatat(root, "packs", &st, AT_SYMLINK_NOFOLLOW) == 0
			&& fstatat(root, "config", &st, AT_SYMLINK_NOFOLLOW) < 0
			&& errno == ENOENT)
		return fail(-ENOTEMPTY,
				"%s contains the remains of an interrupted "
				"init (it has no config): delete that "
				"directory and try again",
				path);
	return fail(-ENOTEMPTY,
			"%s is not empty (it contains \"%.64s\"): a new "
			"repository needs a new or empty directory",
			path, what);
}

/* A fresh filesystem's root holds lost+found: still empty for us. */
static int check_empty(int root, const char *path)
{
	int fd = openat(root, ".", DIRECTORY_FLAGS);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (d == NULL) {
		int err = -errno;
		if (fd >= 0)
			close(fd);
		return fail_errno(err, "can't list %s", path);
	}
	int err = 0;
	struct dirent *entry;
	while ((entry = readdir(d)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0
				|| strcmp(entry->d_name, "..") == 0)
			continue;
		if (strcmp(entry->d_name, "lost+found") == 0)
			continue;
		err = not_empty(root, path, entry->d_name);
		break;
	}
	closedir(d);
	return err;
}

static int sync_parent(int root, const char *path)
{
	CLEANUP_FD int fd = openat(root, "..", DIRECTORY_FLAGS);
	if (fd < 0 && errno == EACCES)
		return 0; /* not ours to open, so not made by us either */
	if (fd < 0 || fsync(fd) < 0)
		return fail_errno(-errno, "can't fsync the directory of %s",
				path);
	return 0;
}

static int fill(int root, const char *path)
{
	size_t made = 0;
	char failed[16];
	int err = check_empty(root, path);
	if (err < 0)
		return err;
	err = make_directories(root, &made, failed);
	if (err < 0)
		fail_errno(err, "can't make the directory %s/%s", path, failed);
	else
		err = sync_parent(root, path);
	if (err < 0)
		remove_directories(root, made);
	return err;
}

/* "s3:bucket", "sftp://host/dir": a word of two letters or more, then a colon. */
static bool names_another_kind(const char *path)
{
	size_t n = strspn(path, "abcdefghijklmnopqrstuvwxyz0123456789+.-");
	return n >= 2 && path[n] == ':' && path[0] >= 'a' && path[0] <= 'z';
}

int store_create_local(struct store **out, const char *path)
{
	if (names_another_kind(path))
		return fail(-EINVAL,
				"%s is not a kind of place that this version "
				"knows; for a directory of that name, write "
				"./%s",
				path, path);
	bool fresh = mkdir(path, 0700) == 0;
	if (!fresh && errno == ENOENT)
		return fail(-ENOENT,
				"can't make %s: its parent directory does "
				"not exist",
				path);
	if (!fresh && errno != EEXIST)
		return fail_errno(-errno, "can't make the directory %s", path);
	CLEANUP_FD int root = open(path, DIRECTORY_FLAGS);
	int err = root < 0 ? fail_errno(-errno, "can't open %s", path)
			   : fill(root, path);
	if (err == 0)
		err = store_open_local(out, path);
	else if (fresh)
		rmdir(path);
	return err;
}
