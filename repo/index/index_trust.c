/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Opening a directory that no other user can have put there: component by
 * component from the root, each of which must be root's or ours and not
 * writable by others, as ssh wants it of the files it believes. A directory
 * with the sticky bit, such as /tmp, is good enough to pass through: what is
 * ours in it stays. A symbolic link is followed only if root or we made it, in
 * such a directory.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "index_internal.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"

#define LINKS_MAX 16

struct walk {
	int dir;	   /* the directory reached */
	char at[PATH_MAX]; /* its name; "" for the root */
	char *rest;	   /* what is still to go */
	unsigned links;
	bool make_above; /* make more than the last component */
};

static bool trusted(uid_t uid)
{
	return uid == 0 || uid == geteuid();
}

static int check(const char *path, const struct stat *st)
{
	if (!S_ISDIR(st->st_mode))
		return fail(-ENOTDIR, "%s is not a directory", path);
	if (!trusted(st->st_uid))
		return fail(-EPERM, "%s belongs to another user", path);
	if ((st->st_mode & 022) != 0 && (st->st_mode & S_ISVTX) == 0)
		return fail(-EPERM,
				"%s may be written by other users (mode %04o; "
				"'chmod go-w' takes that away)",
				path, st->st_mode & 07777);
	return 0;
}

static int enter(struct walk *walk, int from, const char *name)
{
	struct stat st;
	CLEANUP_FD int fd = openat(from, name,
			O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	const char *shown = walk->at[0] != '\0' ? walk->at : "/";
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail_errno(-errno, "%s", shown);
	int err = check(shown, &st);
	if (err < 0)
		return err;
	if (walk->dir >= 0)
		close(walk->dir);
	walk->dir = take_fd(&fd);
	return 0;
}

static int enter_root(struct walk *walk)
{
	walk->at[0] = '\0';
	return enter(walk, AT_FDCWD, "/");
}

/* Puts the link's target in front of the rest. */
static int follow(struct walk *walk, const char *name, const char *path)
{
	char target[PATH_MAX], *rest;
	ssize_t n = readlinkat(walk->dir, name, target, sizeof(target) - 1);
	if (n < 0)
		return fail_errno(-errno, "%s", path);
	target[n] = '\0';
	if (++walk->links > LINKS_MAX)
		return fail_errno(-ELOOP, "%s", path);
	if (asprintf(&rest, "%s/%s", target, walk->rest) < 0)
		return fail_no_memory("opening the index");
	free(walk->rest);
	walk->rest = rest;
	return target[0] == '/' ? enter_root(walk) : 0;
}

/* Makes NAME if it is missing. */
static int look(struct walk *walk, const char *name, const char *path,
		struct stat *st)
{
	bool last = walk->rest[strspn(walk->rest, "/")] == '\0';
	if (fstatat(walk->dir, name, st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	if (errno != ENOENT || !(last || walk->make_above))
		return fail_errno(-errno, "%s", path);
	if (mkdirat(walk->dir, name, 0700) < 0 && errno != EEXIST)
		return fail_errno(-errno, "can't make %s", path);
	if (fstatat(walk->dir, name, st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail_errno(-errno, "%s", path);
	return 0;
}

static int step(struct walk *walk, const char *name)
{
	char path[PATH_MAX];
	struct stat st;
	if (strcmp(name, ".") == 0)
		return 0;
	if (strcmp(name, "..") == 0) {
		char *slash = strrchr(walk->at, '/');
		if (slash != NULL)
			*slash = '\0';
		return enter(walk, walk->dir, "..");
	}
	if (snprintf(path, sizeof(path), "%s/%s", walk->at, name)
			>= (int)sizeof(path))
		return fail_errno(-ENAMETOOLONG, "%s", name);
	int err = look(walk, name, path, &st);
	if (err < 0)
		return err;
	if (S_ISLNK(st.st_mode) && !trusted(st.st_uid))
		return fail(-EPERM, "%s is a link of another user", path);
	if (S_ISLNK(st.st_mode))
		return follow(walk, name, path);
	memcpy(walk->at, path, sizeof(path));
	return enter(walk, walk->dir, name);
}

static int walk_all(struct walk *walk)
{
	char name[NAME_MAX + 1];
	assert(walk->rest != NULL);
	int err = enter_root(walk);
	while (err == 0) {
		char *from = walk->rest + strspn(walk->rest, "/");
		size_t len = strcspn(from, "/");
		if (len == 0)
			return 0;
		if (len > NAME_MAX)
			return fail_errno(-ENAMETOOLONG, "%s", from);
		memcpy(name, from, len);
		name[len] = '\0';
		memmove(walk->rest, from + len, strlen(from + len) + 1);
		err = step(walk, name);
	}
	return err;
}

/* The directory itself must be ours alone. */
static int open_last(struct walk *walk, int *dir)
{
	struct stat st;
	if (fstat(walk->dir, &st) < 0)
		return fail_errno(-errno, "%s", walk->at);
	if (st.st_uid != geteuid())
		return fail(-EPERM, "%s belongs to another user", walk->at);
	if ((st.st_mode & 022) != 0)
		return fail(-EPERM,
				"%s may be written by other users (mode %04o; "
				"'chmod go-w' takes that away)",
				walk->at, st.st_mode & 07777);
	if (faccessat(walk->dir, ".", R_OK | W_OK | X_OK, AT_EACCESS) < 0)
		return fail_errno(-errno, "%s", walk->at);
	*dir = openat(walk->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *dir < 0 ? fail_errno(-errno, "%s", walk->at) : 0;
}

/* PATH from the root on, malloc'ed. */
static int absolute(char **out, const char *path)
{
	CLEANUP_FREE char *here = NULL;
	if (*path != '/')
		here = getcwd(NULL, 0);
	if (*path != '/' && here == NULL)
		return fail_errno(-errno, "%s", path);
	if (asprintf(out, "%s/%s", here != NULL ? here : "", path) < 0) {
		*out = NULL;
		return fail_no_memory("opening the index");
	}
	return 0;
}

int index_trust_open(int *dir, char **real, const char *path, bool make_above)
{
	struct walk *walk = calloc(1, sizeof(*walk));
	if (walk == NULL)
		return fail_no_memory("opening the index");
	walk->dir = -1;
	walk->make_above = make_above;
	int err = absolute(&walk->rest, path);
	if (err == 0)
		err = walk_all(walk);
	if (err == 0)
		err = open_last(walk, dir);
	if (err == 0) {
		*real = strdup(walk->at);
		if (*real == NULL) {
			close(take_fd(dir));
			err = fail_no_memory("opening the index");
		}
	}
	if (walk->dir >= 0)
		close(walk->dir);
	free(walk->rest);
	free(walk);
	return err;
}
