/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Creation, in the order of what is durable:
 *	1. the directory		without `state` (if we die here) it is
 *					removed once it is a minute old
 *	2. `state`, locked, fsynced	from here on it tells what to undo
 *	3. the directory and DIR fsynced
 *	4. q/
 * Removal is in reverse order, `state` last; a socket elsewhere goes first.
 * Everything is done relative to
 * open directories and follows no link: q/ belongs to the user of a process
 * that a guest may have taken over.
 */
#include "scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/foreign_path.h"
#include "repo/base/hex.h"
#include "repo/base/printable.h"
#include "repo/base/report.h"
#include "repo/base/units.h"
#include "repo/crypto/seal.h"

#define NAME_PREFIX "amberfs-"
#define NAME_DIGITS 16
#define NAME_LEN (sizeof(NAME_PREFIX) - 1 + NAME_DIGITS)
#define QEMU_DIR "q"
#define SOCKET_IN "/" QEMU_DIR "/nbd"
#define SOCKET_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)
#define YOUNG_SECONDS 60   /* the directory may still be in the making */
#define GUARD_SECONDS 10.0 /* that a watchdog may need to clean up */

struct scratch {
	char *directory, *socket;
	bool moved; /* the socket is not in q/ */
	char name[NAME_LEN + 1];
	int base, dir;	  /* directories */
	int state, guard; /* locked files, or -1 */
};

/* --- making --- */

static struct scratch *scratch_new(const char *base, const char *name)
{
	struct scratch *scratch = calloc(1, sizeof(*scratch));
	if (scratch == NULL)
		return NULL;
	scratch->base = scratch->dir = scratch->state = scratch->guard = -1;
	snprintf(scratch->name, sizeof(scratch->name), "%s", name);
	if (asprintf(&scratch->directory, "%s/%s",
			    strcmp(base, "/") == 0 ? "" : base, name)
			< 0)
		scratch->directory = NULL;
	if (scratch->directory == NULL
			|| asprintf(&scratch->socket, "%s" SOCKET_IN,
					   scratch->directory)
					< 0)
		scratch->socket = NULL;
	if (scratch->socket == NULL) {
		scratch_close(scratch);
		return NULL;
	}
	return scratch;
}

void scratch_close(struct scratch *scratch)
{
	if (scratch == NULL)
		return;
	cleanup_fd(&scratch->base);
	cleanup_fd(&scratch->dir);
	cleanup_fd(&scratch->state);
	cleanup_fd(&scratch->guard);
	free(scratch->directory);
	free(scratch->socket);
	free(scratch);
}

static void set_socket(struct scratch *scratch, char *path, bool moved)
{
	free(scratch->socket);
	scratch->socket = path;
	scratch->moved = moved;
}

bool scratch_move_socket(struct scratch *scratch, const char *directory)
{
	char *path = NULL;
	int len = directory != NULL
			? asprintf(&path, "%s/%s", directory, scratch->name)
			: asprintf(&path, "%s" SOCKET_IN, scratch->directory);
	if (len >= 0 && (size_t)len <= SOCKET_MAX)
		set_socket(scratch, path, directory != NULL);
	else if (len >= 0)
		free(path);
	return scratch->moved;
}

bool scratch_socket_is_moved(const struct scratch *scratch)
{
	return scratch->moved;
}

/* As the state says, if that can be. */
static void adopt_socket(struct scratch *scratch,
		const struct scratch_state *state)
{
	const char *leaf = state->socket != NULL ? strrchr(state->socket, '/')
						 : NULL;
	CLEANUP_FREE char *directory = NULL;
	if (leaf != NULL && state->socket[0] == '/'
			&& strcmp(leaf + 1, scratch->name) == 0)
		directory = strndup(state->socket,
				(size_t)(leaf - state->socket));
	scratch_move_socket(scratch, directory);
}

void scratch_find_socket(struct scratch *scratch)
{
	struct scratch_state state;
	CLEANUP_FD int fd = openat(scratch->dir, "state",
			O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	scratch_state_read(fd, &state);
	adopt_socket(scratch, &state);
	scratch_state_clear(&state);
}

static const char *shown(const struct scratch *scratch, char buf[512])
{
	return printable(buf, 512, scratch->directory);
}

static const char *user_name(uid_t uid, char buf[64])
{
	struct passwd entry, *found = NULL;
	char room[4096];
	if (getpwuid_r(uid, &entry, room, sizeof(room), &found) == 0
			&& found != NULL)
		snprintf(buf, 64, "%.40s", entry.pw_name);
	else
		snprintf(buf, 64, "%u", (unsigned)uid);
	return buf;
}

/* Steps 1 to 3 of the order above. */
static int make_outer(struct scratch *scratch, bool shared)
{
	char buf[512];
	if (mkdirat(scratch->base, scratch->name, 0700) < 0)
		return fail_errno(-errno, "making the scratch directory %s",
				shown(scratch, buf));
	scratch->dir = openat(scratch->base, scratch->name,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (scratch->dir >= 0)
		scratch->state = openat(scratch->dir, "state",
				O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (scratch->state < 0 || flock(scratch->state, LOCK_EX | LOCK_NB) < 0
			|| (shared && fchmod(scratch->dir, 0711) < 0))
		return fail_errno(-errno, "%s", shown(scratch, buf));
	return 0;
}

static int make_inner(struct scratch *scratch, uid_t uid, gid_t gid)
{
	CLEANUP_FD int q = -1;
	char buf[512];
	if (fsync(scratch->dir) < 0 || fsync(scratch->base) < 0
			|| mkdirat(scratch->dir, QEMU_DIR, 0700) < 0)
		return fail_errno(-errno, "%s", shown(scratch, buf));
	q = openat(scratch->dir, QEMU_DIR,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (q < 0 || (uid != geteuid() && fchown(q, uid, gid) < 0))
		return fail_errno(-errno, "%s", shown(scratch, buf));
	return 0;
}

/* Only root and qemu's own user can make a directory that both qemu and we can
 * work in. */
static int check_user(uid_t qemu)
{
	char buf[64];
	if (geteuid() == 0 || geteuid() == qemu)
		return 0;
	return fail(-EPERM,
			"its qemu runs as user %s, so only root or that user "
			"can back it up while it runs",
			user_name(qemu, buf));
}

static int open_base(char **path, int *fd, const char *dir)
{
	char buf[512];
	if (dir == NULL)
		dir = SCRATCH_DIR_DEFAULT;
	printable(buf, sizeof(buf), dir);
	*path = realpath(dir, NULL);
	if (*path != NULL)
		*fd = open(*path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*path != NULL && *fd >= 0)
		return 0;
	return fail_errno(-errno,
			"opening the scratch directory %s (give an existing "
			"one with --scratch-dir)",
			buf);
}

static int make_in(struct scratch **out, const char *base)
{
	char name[NAME_LEN + 1] = NAME_PREFIX;
	unsigned char token[NAME_DIGITS / 2];
	struct scratch *scratch;
	seal_random(token, sizeof(token));
	hex_encode(name + sizeof(NAME_PREFIX) - 1, token, sizeof(token));
	scratch = scratch_new(base, name);
	if (scratch == NULL)
		return -ENOMEM;
	if (strlen(scratch->socket) > SOCKET_MAX) {
		int over = (int)(strlen(scratch->socket) - SOCKET_MAX);
		scratch_close(scratch);
		return fail(-ENAMETOOLONG,
				"the path of the scratch directory has %zu "
				"bytes, %d too many for a socket in it; give a "
				"shorter one with --scratch-dir",
				strlen(base), over);
	}
	*out = scratch;
	return 0;
}

int scratch_make(struct scratch **out, const char *dir, uid_t qemu,
		gid_t qemu_group)
{
	CLEANUP_FREE char *base = NULL;
	CLEANUP_FD int fd = -1;
	struct scratch *scratch = NULL;
	int err = check_user(qemu);
	if (err != 0)
		return err;
	err = open_base(&base, &fd, dir);
	if (err != 0)
		return err;
	err = make_in(&scratch, base);
	if (err != 0)
		return err;
	scratch->base = take_fd(&fd);
	err = make_outer(scratch, qemu != geteuid());
	if (err == 0)
		err = make_inner(scratch, qemu, qemu_group);
	if (err != 0) {
		struct error_copy why;
		error_save(&why, err);
		if (scratch->dir >= 0)
			scratch_remove(scratch);
		scratch_close(scratch);
		return error_load(&why);
	}
	*out = scratch;
	return 0;
}

/* Opens the directory NAME in BASE, if it is a directory and ours. */
static int open_directory(struct scratch *scratch)
{
	struct stat st;
	scratch->dir = openat(scratch->base, scratch->name,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (scratch->dir < 0 || fstat(scratch->dir, &st) < 0)
		return -errno;
	return st.st_uid == geteuid() ? 0 : -EPERM;
}

int scratch_open(struct scratch **out, const char *directory)
{
	CLEANUP_FREE char *base = strdup(directory);
	char *slash = base != NULL ? strrchr(base, '/') : NULL;
	struct scratch *scratch;
	int err;
	if (slash == NULL)
		return base != NULL ? -EINVAL : -ENOMEM;
	*slash = '\0';
	scratch = scratch_new(*base ? base : "/", slash + 1);
	if (scratch == NULL)
		return -ENOMEM;
	scratch->base = open(*base ? base : "/",
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	err = scratch->base < 0 ? -errno : open_directory(scratch);
	if (err != 0) {
		scratch_close(scratch);
		return fail_errno(err, "%s", directory);
	}
	scratch_find_socket(scratch);
	*out = scratch;
	return 0;
}

int scratch_write_state(struct scratch *scratch,
		const struct scratch_state *state)
{
	struct scratch_state whole = *state;
	whole.socket = scratch->moved ? scratch->socket : NULL;
	int err = scratch_state_write(scratch->state, &whole);
	return err != 0 ? fail_errno(err, "%s/state", scratch->directory) : 0;
}

int scratch_lock_guard(struct scratch *scratch)
{
	if (scratch->guard < 0)
		scratch->guard = openat(scratch->dir, "guard",
				O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
				0600);
	if (scratch->guard < 0 || flock(scratch->guard, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	return 0;
}

/* --- removing --- */

static int remove_inner(int dir)
{
	int fd = openat(dir, QEMU_DIR,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	if (d == NULL) {
		int err = -errno;
		cleanup_fd(&fd);
		return err == -ENOENT ? 0 : err;
	}
	while ((entry = readdir(d)) != NULL)
		if (strcmp(entry->d_name, ".") != 0
				&& strcmp(entry->d_name, "..") != 0)
			unlinkat(fd, entry->d_name, 0);
	closedir(d);
	return unlinkat(dir, QEMU_DIR, AT_REMOVEDIR) < 0 ? -errno : 0;
}

/* qemu and libvirt remove it, too. A directory that can't be reached is gone, or
 * not as libvirt has made it: then that is libvirt's to clear. */
static void remove_moved(const struct scratch *scratch)
{
	CLEANUP_FREE char *leaf = NULL;
	CLEANUP_FD int fd = scratch->moved
			? foreign_path_parent(scratch->socket, &leaf)
			: -1;
	if (fd >= 0)
		unlinkat(fd, leaf, 0);
}

int scratch_remove(struct scratch *scratch)
{
	char buf[512];
	remove_moved(scratch);
	int err = remove_inner(scratch->dir);
	if (err == 0 && unlinkat(scratch->dir, "guard", 0) < 0
			&& errno != ENOENT)
		err = -errno;
	if (err == 0 && unlinkat(scratch->dir, "state", 0) < 0
			&& errno != ENOENT)
		err = -errno;
	if (err == 0 && unlinkat(scratch->base, scratch->name, AT_REMOVEDIR) < 0
			&& errno != ENOENT)
		err = -errno;
	return err != 0 ? fail_errno(err, "removing %s", shown(scratch, buf))
			: 0;
}

const char *scratch_directory(const struct scratch *scratch)
{
	return scratch->directory;
}

const char *scratch_socket(const struct scratch *scratch)
{
	return scratch->socket;
}

char *scratch_file(const struct scratch *scratch, unsigned attempt,
		unsigned disk)
{
	char *path;
	if (asprintf(&path, "%s/" QEMU_DIR "/%u-%u", scratch->directory,
			    attempt, disk)
			< 0)
		return NULL;
	return path;
}

/* --- space --- */

uint64_t scratch_free(const struct scratch *scratch)
{
	struct statvfs v;
	if (fstatvfs(scratch->dir, &v) < 0)
		return 0;
	return (uint64_t)v.f_bavail * v.f_frsize;
}

void scratch_needs(uint64_t allocated, uint64_t *least, uint64_t *well)
{
	*least = max_u64(16 * MIB, min_u64(GIB, allocated / 256));
	*well = max_u64(*least, allocated / 32);
}

int scratch_check_space(const struct scratch *scratch, uint64_t allocated)
{
	uint64_t least, well;
	scratch_needs(allocated, &least, &well);
	uint64_t have = scratch_free(scratch);
	char buf[512], has[SIZE_TEXT_MAX], needs[SIZE_TEXT_MAX];
	size_format(has, have);
	if (have < least)
		return fail(-ENOSPC,
				"%s has %s free, but at least %s is needed for "
				"data that the guest overwrites during the "
				"backup; give another directory with "
				"--scratch-dir",
				shown(scratch, buf), has,
				size_format(needs, least));
	if (have < well)
		report_warning("%s has only %s free for data that the guest "
			       "overwrites during the backup; %s is "
			       "recommended (see --scratch-dir)",
				shown(scratch, buf), has,
				size_format(needs, well));
	return 0;
}

/* --- what the dead have left --- */

static bool is_name(const char *name)
{
	size_t prefix = sizeof(NAME_PREFIX) - 1;
	return strlen(name) == NAME_LEN
			&& strncmp(name, NAME_PREFIX, prefix) == 0
			&& strspn(name + prefix, "0123456789abcdef")
			== NAME_DIGITS;
}

static bool is_old(int dir)
{
	struct stat st;
	return fstat(dir, &st) == 0 && time(NULL) - st.st_mtime > YOUNG_SECONDS;
}

/* Takes the dead owner's lock. 0; -EWOULDBLOCK: the owner lives, or the
 * directory is just being removed. */
static int lock_dead(struct scratch *scratch, struct scratch_state *state)
{
	struct stat st;
	scratch->state = openat(scratch->dir, "state",
			O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (scratch->state < 0 && errno != ENOENT)
		return -errno;
	if (scratch->state < 0) {
		scratch_state_read(-1, state);
		return is_old(scratch->dir) ? 0 : -EWOULDBLOCK;
	}
	if (flock(scratch->state, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	if (fstat(scratch->state, &st) < 0 || !S_ISREG(st.st_mode)
			|| st.st_nlink == 0)
		return -EWOULDBLOCK;
	scratch_state_read(scratch->state, state);
	adopt_socket(scratch, state);
	return 0;
}

/* The watchdog of a run that has just died is about to do all of this. */
static void wait_for_guard(struct scratch *scratch)
{
	double end = monotonic_now() + GUARD_SECONDS;
	struct timespec nap = { .tv_nsec = 50000000 };
	while (scratch_lock_guard(scratch) == -EWOULDBLOCK
			&& monotonic_now() < end)
		nanosleep(&nap, NULL);
}

static bool still_there(const struct scratch *scratch)
{
	struct stat st, now;
	return fstat(scratch->dir, &st) == 0
			&& fstatat(scratch->base, scratch->name, &now,
					   AT_SYMLINK_NOFOLLOW)
			== 0
			&& st.st_ino == now.st_ino && st.st_dev == now.st_dev;
}

static void look_at(struct scratch *scratch,
		void (*found)(void *ctx, struct scratch *scratch,
				const struct scratch_state *st),
		void *ctx)
{
	struct scratch_state state;
	if (open_directory(scratch) < 0 || lock_dead(scratch, &state) < 0)
		return;
	wait_for_guard(scratch);
	if (still_there(scratch))
		found(ctx, scratch, &state);
	scratch_state_clear(&state);
}

int scratch_dead(const char *dir,
		void (*found)(void *ctx, struct scratch *s,
				const struct scratch_state *st),
		void *ctx)
{
	CLEANUP_FREE char *base = NULL;
	CLEANUP_FD int fd = -1;
	const struct dirent *entry;
	int err = open_base(&base, &fd, dir);
	int copy;
	DIR *d;
	if (err != 0)
		return err;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	d = copy < 0 ? NULL : fdopendir(copy);
	if (d == NULL)
		return fail_errno(-errno, "%s", base);
	while ((entry = readdir(d)) != NULL) {
		struct scratch *scratch = is_name(entry->d_name)
				? scratch_new(base, entry->d_name)
				: NULL;
		if (scratch == NULL)
			continue;
		scratch->base = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		look_at(scratch, found, ctx);
		scratch_close(scratch);
	}
	closedir(d);
	return 0;
}

/* The name's position in PATH, or NULL. */
static const char *name_in(const char *path)
{
	static const char inner[] = "/" QEMU_DIR;
	const char *leaf = strrchr(path, '/');
	size_t len = leaf != NULL ? (size_t)(leaf - path) : 0;
	size_t tail = sizeof(inner) - 1;
	char name[NAME_LEN + 1];
	if (len < NAME_LEN + tail + 1 || path[0] != '/'
			|| strncmp(leaf - tail, inner, tail) != 0)
		return NULL;
	path += len - tail - NAME_LEN;
	memcpy(name, path, NAME_LEN);
	name[NAME_LEN] = '\0';
	return is_name(name) && path[-1] == '/' ? path : NULL;
}

bool scratch_is_inner(const char *path)
{
	return name_in(path) != NULL;
}

/* False only if both can be examined and differ: a service with its own
 * /var/tmp does not see the host's directories, nor does qemu see its. */
static bool same_for_host(const char *path)
{
	char host[4096];
	struct stat ours, theirs;
	if (snprintf(host, sizeof(host), "/proc/1/root%s", path)
					>= (int)sizeof(host)
			|| stat(path, &ours) < 0 || stat(host, &theirs) < 0)
		return true;
	return ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

bool scratch_is_orphan(const char *path, const char *dir)
{
	CLEANUP_FREE char *base =
			realpath(dir != NULL ? dir : SCRATCH_DIR_DEFAULT, NULL);
	CLEANUP_FREE char *copy = strdup(path);
	const char *name = name_in(path);
	struct stat st;
	size_t at;
	if (name == NULL || base == NULL || copy == NULL)
		return false;
	at = (size_t)(name - path);
	copy[at - 1] = '\0';
	if (strcmp(at > 1 ? copy : "/", base) != 0 || !same_for_host(base))
		return false;
	copy[at - 1] = '/';
	copy[at + NAME_LEN] = '\0';
	return lstat(copy, &st) < 0 && errno == ENOENT;
}
