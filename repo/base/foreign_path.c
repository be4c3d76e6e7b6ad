/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "foreign_path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"

#define LINKS_MAX 40u /* the kernel's own limit */

/* --- one component --- */

/* -1 and errno. A kernel before 5.6 does not know openat2; for one component
 * the old call differs only in what it does with "..". */
static int open_one(int directory, const char *name, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (unsigned)(flags | O_NOFOLLOW | O_CLOEXEC),
		.mode = flags & O_CREAT ? mode : 0,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH,
	};
	long fd = syscall(SYS_openat2, directory, name, &how, sizeof(how));
	if (fd < 0 && errno == ENOSYS && strcmp(name, "..") != 0)
		fd = openat(directory, name, flags | O_NOFOLLOW | O_CLOEXEC,
				mode);
	return (int)fd;
}

static bool is_ours(uid_t uid)
{
	return uid == 0 || uid == geteuid();
}

/* Others than the owner may make entries in it. A group of our user's own,
 * which some distributions give to each, is none of others unless we are root.
 */
static bool is_shared(const struct stat *st)
{
	bool group = (st->st_mode & S_IWGRP) != 0
			&& (geteuid() == 0 || st->st_uid != geteuid());
	return group || (st->st_mode & S_IWOTH) != 0;
}

/* protected_hardlinks does not let users do this, but not every host has it. */
static int check_names(int directory, int fd, const char *name)
{
	struct stat above, st;
	if (fstat(directory, &above) < 0 || fstat(fd, &st) < 0)
		return fail_errno(-errno, "examining %s", name);
	bool ours = is_ours(above.st_uid);
	if (!S_ISREG(st.st_mode) || st.st_nlink < 2
			|| (ours ? !is_shared(&above)
				 : st.st_uid == above.st_uid))
		return 0;
	return fail(-EPERM,
			"%s is one of several names (hard links) of a file, "
			"which another user may have made",
			name);
}

/* After a call that failed: did it because of a link? */
static bool is_link(int directory, const char *name)
{
	struct stat st;
	int err = errno;
	bool link = err == ELOOP
			|| (err == ENOTDIR
					&& fstatat(directory, name, &st,
							   AT_SYMLINK_NOFOLLOW)
							== 0
					&& S_ISLNK(st.st_mode));
	errno = err;
	return link;
}

int foreign_path_openat(int directory, const char *name, int flags, mode_t mode)
{
	CLEANUP_FD int fd = open_one(directory, name, flags, mode);
	if (fd < 0 && is_link(directory, name))
		return fail(-ELOOP,
				"%s is a symbolic link, which is not followed "
				"here",
				name);
	if (fd < 0)
		return fail_errno(-errno, "opening %s", name);
	int err = check_names(directory, fd, name);
	return err < 0 ? err : take_fd(&fd);
}

/* Made as the user whose directory ABOVE is, there is nothing to hand over
 * afterwards. 0 or -errno. */
static int make_in(int directory, const struct stat *above, const char *name)
{
	bool theirs = geteuid() == 0 && above->st_uid != 0;
	if (theirs) {
		setfsgid(above->st_gid);
		setfsuid(above->st_uid);
	}
	int err = mkdirat(directory, name, 0700) < 0 ? -errno : 0;
	if (theirs) {
		setfsuid(geteuid());
		setfsgid(getegid());
	}
	return err;
}

int foreign_path_make_directory(int directory, const char *name)
{
	struct stat above;
	if (fstat(directory, &above) < 0)
		return fail_errno(-errno, "examining the directory of %s",
				name);
	int err = make_in(directory, &above, name);
	if (err < 0 && err != -EEXIST)
		return fail_errno(err, "making the directory %s", name);
	CLEANUP_FD int fd = foreign_path_openat(directory, name,
			O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	if (err == 0 && geteuid() == 0 && above.st_uid == 0
			&& fchmod(fd, 0711) < 0)
		return fail_errno(-errno, "making the directory %s", name);
	return take_fd(&fd);
}

/* --- the way --- */

struct walk {
	const char *path;      /* as given */
	int fd;		       /* the directory reached, by O_PATH */
	bool ours;	       /* nobody else can have changed the way to it */
	bool shared;	       /* others can make entries in it */
	char theirs[PATH_MAX]; /* the first directory that is not ours */
	char *rest, *at;       /* what is left of the path, from AT on */
	unsigned links;
};

static void walk_clear(struct walk *walk)
{
	cleanup_fd(&walk->fd);
	free(walk->rest);
}

#define CLEANUP_WALK CLEANUP(walk_clear)

static void note_theirs(struct walk *walk)
{
	char link[32];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", walk->fd);
	ssize_t n = readlink(link, walk->theirs, sizeof(walk->theirs) - 1);
	walk->theirs[n > 0 ? n : 0] = '\0';
}

/* Takes over FD. */
static int enter(struct walk *walk, int fd)
{
	struct stat st;
	cleanup_fd(&walk->fd);
	walk->fd = fd;
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail_errno(-errno, "opening the directory of %s",
				walk->path);
	walk->shared = is_shared(&st);
	bool ours = is_ours(st.st_uid)
			&& (!walk->shared || (st.st_mode & S_ISVTX) != 0);
	if (walk->ours && !ours)
		note_theirs(walk);
	walk->ours = walk->ours && ours;
	return 0;
}

static int start(struct walk *walk, const char *from)
{
	return enter(walk, open(from, O_PATH | O_DIRECTORY | O_CLOEXEC));
}

/* Goes on at the TARGET of the link NAME, then with AFTER. */
static int follow(struct walk *walk, const char *name, const char *target,
		const char *after)
{
	struct stat st;
	bool may = walk->ours
			&& fstatat(walk->fd, name, &st, AT_SYMLINK_NOFOLLOW)
					== 0
			&& (!walk->shared || is_ours(st.st_uid));
	if (!may)
		return fail(-ELOOP,
				"%s is not used, as %s is a symbolic link in a "
				"directory that other users can change; name "
				"the file without links",
				walk->path, name);
	if (++walk->links > LINKS_MAX)
		return fail_errno(-ELOOP, "following %s", walk->path);
	char *rest = NULL;
	if (asprintf(&rest, "%s%s%s", target, *after != '\0' ? "/" : "", after)
			< 0)
		return fail_no_memory("following a link");
	free(walk->rest);
	walk->rest = walk->at = rest;
	return *rest == '/' ? start(walk, "/") : 0;
}

/* One step. 1: NAME is the last component, and no link. */
static int step(struct walk *walk, char name[NAME_MAX + 1])
{
	char target[PATH_MAX];
	walk->at += strspn(walk->at, "/");
	size_t len = strcspn(walk->at, "/");
	const char *after = walk->at + len + strspn(walk->at + len, "/");
	if (len > NAME_MAX)
		return fail_errno(-ENAMETOOLONG, "opening %s", walk->path);
	snprintf(name, NAME_MAX + 1, "%.*s", (int)len, walk->at);
	if (strcmp(name, "..") == 0) {
		walk->at += len;
		return enter(walk,
				openat(walk->fd, "..",
						O_PATH | O_DIRECTORY
								| O_CLOEXEC));
	}
	if (len == 0 || strcmp(name, ".") == 0) {
		walk->at += len;
		strcpy(name, ".");
		return *after == '\0';
	}
	ssize_t n = readlinkat(walk->fd, name, target, sizeof(target) - 1);
	if (n >= 0) {
		target[n] = '\0';
		return follow(walk, name, target, after);
	}
	if (walk->at[len] == '\0')
		return 1;
	walk->at += len;
	return enter(walk, open_one(walk->fd, name, O_PATH | O_DIRECTORY, 0));
}

/* To the directory of the last component, which becomes NAME. */
static int walk_to(struct walk *walk, const char *path, char name[NAME_MAX + 1])
{
	*walk = (struct walk){ .path = path, .fd = -1, .ours = true };
	walk->rest = walk->at = strdup(path);
	if (walk->rest == NULL)
		return fail_no_memory("opening a file");
	int err = start(walk, *path == '/' ? "/" : ".");
	while (err == 0)
		err = step(walk, name);
	return err < 0 ? err : 0;
}

int foreign_path_parent(const char *path, char **leaf)
{
	CLEANUP_WALK struct walk walk;
	char name[NAME_MAX + 1];
	int err = walk_to(&walk, path, name);
	if (err < 0)
		return err;
	CLEANUP_FD int fd = openat(walk.fd, ".",
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail_errno(-errno, "opening the directory of %s", path);
	*leaf = strdup(name);
	return *leaf != NULL ? take_fd(&fd)
			     : fail_no_memory("opening a directory");
}

int foreign_path_open(const char *path, int flags)
{
	CLEANUP_WALK struct walk walk;
	char name[NAME_MAX + 1];
	int err = walk_to(&walk, path, name);
	if (err < 0)
		return err;
	int fd = foreign_path_openat(walk.fd, name, flags, 0);
	return fd < 0 ? fail_within(fd, "%s", path) : fd;
}

int foreign_path_socket(const char *path, char alias[FOREIGN_PATH_ALIAS_MAX])
{
	int fd = foreign_path_open(path, O_PATH);
	if (fd >= 0)
		snprintf(alias, FOREIGN_PATH_ALIAS_MAX, "/proc/self/fd/%d", fd);
	return fd;
}

static int check_ours(const char *path, int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return fail_errno(-errno, "examining %s", path);
	if (!S_ISREG(st.st_mode))
		return fail(-EINVAL, "%s is no file", path);
	if (!is_ours(st.st_uid))
		return fail(-EPERM,
				"%s belongs to another user, so it is not "
				"used",
				path);
	if (is_shared(&st))
		return fail(-EPERM,
				"%s is writable by others (mode %04o), so it "
				"is not used; 'chmod go-w %s' takes that away",
				path, st.st_mode & 07777, path);
	return 0;
}

int foreign_path_open_ours(const char *path)
{
	CLEANUP_WALK struct walk walk;
	char name[NAME_MAX + 1];
	int err = walk_to(&walk, path, name);
	if (err < 0)
		return err;
	CLEANUP_FD int fd = foreign_path_openat(walk.fd, name,
			O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	if (fd < 0)
		return fail_within(fd, "%s", path);
	if (!walk.ours)
		return fail(-EPERM,
				"%s is not used, as other users can change the "
				"directory %s; it should belong to root or to "
				"you, and 'chmod go-w' keeps others out",
				path, walk.theirs);
	err = check_ours(path, fd);
	return err < 0 ? err : take_fd(&fd);
}

int foreign_path_stat(const char *path, struct stat *st)
{
	CLEANUP_WALK struct walk walk;
	char name[NAME_MAX + 1];
	int err = walk_to(&walk, path, name);
	if (err < 0)
		return err;
	if (fstatat(walk.fd, name, st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail_errno(-errno, "examining %s", path);
	return S_ISLNK(st->st_mode)
			? fail(-ELOOP, "%s became a symbolic link", path)
			: 0;
}

bool foreign_path_is_ours(const char *path)
{
	CLEANUP_WALK struct walk walk;
	char name[NAME_MAX + 1];
	int err = walk_to(&walk, path, name);
	if (err == 0)
		err = enter(&walk,
				open_one(walk.fd, name, O_PATH | O_DIRECTORY,
						0));
	return (err == 0 || err == -ENOENT) && walk.ours;
}
