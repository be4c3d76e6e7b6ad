/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Preloaded into a program: counts its durable system calls below a folder,
 * and at a given one ends the program, or makes the call fail. So a test can
 * try every instant at which a machine may die.
 *
 *	SHIM_DIR	count calls on files below this folder (absolute)
 *	SHIM_STATE	a file that keeps the count, shared by all processes
 *	SHIM_LOG	append one line per call: number, call, path, path
 *	SHIM_AT		the number of the call to act at, from 1
 *	SHIM_ACT	before: SIGKILL before it	after: SIGKILL after it
 *			loss: SIGKILL after it, and first what was not fsynced
 *			is taken back, as a power failure may do
 *			error: the call fails with SHIM_ERRNO
 *			full: it and every later call that needs room fail
 *			short: a write writes half
 *	SHIM_ERRNO	a number (default ENOSPC)
 *
 * SIGKILL goes to the whole process group: start the program with setsid.
 *
 * Loss is the worst case that POSIX allows: bytes not fsynced are cut off,
 * names made or changed without an fsync of their folder are taken back.
 * Deletions stay; a file that a rename replaced does not come back.
 *
 * It does not see writes through mmap, nor calls made inside libc.
 */
/* Both names of each call are wanted (pwrite and pwrite64), without the
 * headers making one of the other. */
#undef _FILE_OFFSET_BITS
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

_Static_assert(sizeof(off_t) == 8, "a 64-bit system");

#define PATH_ROOM 400
#define DIRTY_MAX 512
#define NAMES_MAX 4096

struct dirty {		/* bytes at and beyond FROM are not fsynced */
	char path[PATH_ROOM];
	off_t from;
};

struct name {		/* a change of a folder that is not fsynced */
	char from[PATH_ROOM];	/* empty: PATH was made */
	char path[PATH_ROOM];
};

/* In SHIM_STATE, so that forked and executed programs share it. */
struct state {
	pthread_mutex_t lock;
	bool ready;
	unsigned long count;
	unsigned dirty_count, name_count;
	struct dirty dirty[DIRTY_MAX];
	struct name names[NAMES_MAX];
};

enum act { ACT_NONE, ACT_BEFORE, ACT_AFTER, ACT_LOSS, ACT_ERROR, ACT_FULL,
	ACT_SHORT };

static struct state *state;
static char dir[PATH_ROOM];
static size_t dir_len;
static unsigned long act_at;
static enum act act;
static int act_errno = ENOSPC;
static const char *log_path;
/* Set while the shim itself calls, so that it isn't counted. */
static __thread bool inside;

static void fatal(const char *what)
{
	dprintf(2, "killshim: %s: %s\n", what, strerror(errno));
	_exit(99);
}

static void *real_(const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);

	if (!f)
		fatal(name);
	return f;
}
/* The next definition of the function that the line stands in. */
#define REAL(type, name) \
	static __typeof__(type) real; \
	if (!real) \
		real = (__typeof__(type))real_(name)

/* --- set-up --- */

static enum act act_from(const char *s)
{
	static const char *const words[] = { "none", "before", "after",
		"loss", "error", "full", "short" };

	for (unsigned i = 0; s && i < sizeof(words) / sizeof(*words); i++)
		if (strcmp(s, words[i]) == 0)
			return i;
	return ACT_NONE;
}

static void map_state(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	pthread_mutexattr_t attr;

	if (fd < 0 || ftruncate(fd, sizeof(*state)) < 0)
		fatal(path);
	state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED,
		fd, 0);
	if (state == MAP_FAILED)
		fatal(path);
	close(fd);
	if (state->ready)
		return;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&state->lock, &attr);
	state->ready = true;
}

__attribute__((constructor)) static void setup(void)
{
	const char *d = getenv("SHIM_DIR"), *s = getenv("SHIM_STATE");
	const char *at = getenv("SHIM_AT"), *e = getenv("SHIM_ERRNO");

	if (!d || !s || strlen(d) >= sizeof(dir))
		return;
	inside = true;
	map_state(s);
	inside = false;
	log_path = getenv("SHIM_LOG");
	act = act_from(getenv("SHIM_ACT"));
	act_at = at ? strtoul(at, NULL, 10) : 0;
	if (e)
		act_errno = (int)strtol(e, NULL, 10);
	strcpy(dir, d);
	dir_len = strlen(dir); /* last: from here on calls count */
}

static void state_lock(void)
{
	if (pthread_mutex_lock(&state->lock) == EOWNERDEAD)
		pthread_mutex_consistent(&state->lock);
}

static void state_unlock(void)
{
	pthread_mutex_unlock(&state->lock);
}

/* --- which file --- */

static bool below(const char *path)
{
	return dir_len && strncmp(path, dir, dir_len) == 0 &&
		(path[dir_len] == '/' || !path[dir_len]);
}

/* The path of an open file, if it is below the folder. */
static bool path_of_fd(char out[PATH_ROOM], int fd)
{
	char link[40];
	ssize_t n;

	if (!dir_len || inside)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, out, PATH_ROOM - 1);
	if (n <= 0)
		return false;
	out[n] = 0;
	return below(out);
}

static bool path_at(char out[PATH_ROOM], int at, const char *name)
{
	char base[PATH_ROOM];
	ssize_t n;
	char link[40];

	if (!dir_len || inside || !name)
		return false;
	if (name[0] == '/')
		return snprintf(out, PATH_ROOM, "%s", name) < PATH_ROOM &&
			below(out);
	if (at == AT_FDCWD)
		strcpy(link, "/proc/self/cwd");
	else
		snprintf(link, sizeof(link), "/proc/self/fd/%d", at);
	n = readlink(link, base, sizeof(base) - 1);
	if (n <= 0)
		return false;
	base[n] = 0;
	if (strcmp(name, ".") == 0)
		name = "";
	return snprintf(out, PATH_ROOM, "%s%s%s", base, *name ? "/" : "", name)
		< PATH_ROOM && below(out);
}

/* --- what is not durable yet --- */

static void note_written(const char *path, off_t from)
{
	struct dirty *d = NULL;

	state_lock();
	for (unsigned i = 0; i < state->dirty_count && !d; i++)
		if (strcmp(state->dirty[i].path, path) == 0)
			d = &state->dirty[i];
	if (d) {
		if (from < d->from)
			d->from = from;
	} else if (state->dirty_count < DIRTY_MAX) {
		d = &state->dirty[state->dirty_count++];
		strcpy(d->path, path);
		d->from = from;
	}
	state_unlock();
}

static void parent_of(char out[PATH_ROOM], const char *path)
{
	char *slash;

	strcpy(out, path);
	slash = strrchr(out, '/');
	if (slash)
		*slash = 0;
}

static void note_synced(const char *path)
{
	char parent[PATH_ROOM];
	unsigned kept = 0;

	state_lock();
	for (unsigned i = 0; i < state->dirty_count; i++)
		if (strcmp(state->dirty[i].path, path) != 0)
			state->dirty[kept++] = state->dirty[i];
	state->dirty_count = kept;
	kept = 0;
	for (unsigned i = 0; i < state->name_count; i++) {
		parent_of(parent, state->names[i].path);
		if (strcmp(parent, path) != 0)
			state->names[kept++] = state->names[i];
	}
	state->name_count = kept;
	state_unlock();
}

/* FROM NULL: PATH was made; PATH NULL: FROM was deleted. */
static void note_name(const char *from, const char *path)
{
	unsigned kept = 0;

	state_lock();
	if (from)
		for (unsigned i = 0; i < state->dirty_count; i++) {
			struct dirty *d = &state->dirty[i];

			if (strcmp(d->path, from) == 0) {
				if (!path)
					continue;
				strcpy(d->path, path);
			}
			state->dirty[kept++] = *d;
		}
	if (from)
		state->dirty_count = kept;
	kept = 0;
	/* A temporary name that is gone needs no taking back. */
	for (unsigned i = 0; i < state->name_count; i++)
		if (!from || path || strcmp(state->names[i].path, from) != 0)
			state->names[kept++] = state->names[i];
	state->name_count = kept;
	if (path && state->name_count < NAMES_MAX) {
		struct name *n = &state->names[state->name_count++];

		strcpy(n->from, from ? from : "");
		strcpy(n->path, path);
	}
	state_unlock();
}

static void lose(void)
{
	for (unsigned i = 0; i < state->dirty_count; i++) {
		struct dirty *d = &state->dirty[i];
		struct stat st;

		if (stat(d->path, &st) == 0 && st.st_size > d->from &&
				truncate(d->path, d->from) < 0)
			dprintf(2, "killshim: %s: %m\n", d->path);
	}
	for (unsigned i = state->name_count; i-- > 0;) {
		struct name *n = &state->names[i];

		if (n->from[0])
			rename(n->path, n->from);
		else if (unlink(n->path) < 0 && errno == EISDIR)
			rmdir(n->path);
	}
}

/* --- counting and acting --- */

static void die_now(void)
{
	kill(0, SIGKILL);
	for (;;)
		pause();
}

/* Opened for each line: programs close descriptors that they don't know, and
 * the number may then be another file's. */
static void log_call(unsigned long number, const char *name, const char *path,
		const char *to)
{
	int fd;

	if (!log_path)
		return;
	fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		fatal(log_path);
	dprintf(fd, "%lu %s %s %s\n", number, name, path, to ? to : "");
	close(fd);
}

struct call {
	unsigned long number;	/* 0: not counted */
	bool fail, halve;
};

/* ROOM: the call may need room on the disk. */
static struct call enter(const char *name, const char *path, const char *to,
		bool room)
{
	struct call c = { 0 };

	state_lock();
	c.number = ++state->count;
	state_unlock();
	inside = true;
	log_call(c.number, name, path, to);
	if (c.number == act_at && act == ACT_BEFORE)
		die_now();
	inside = false;
	c.fail = (c.number == act_at && act == ACT_ERROR) ||
		(c.number >= act_at && act == ACT_FULL && room);
	c.halve = c.number == act_at && act == ACT_SHORT;
	if (c.fail)
		errno = act_errno;
	return c;
}

static void leave(const struct call *c)
{
	int e = errno;

	if (c->number != act_at || (act != ACT_AFTER && act != ACT_LOSS))
		return;
	inside = true;
	if (act == ACT_LOSS) {
		state_lock();
		lose();
	}
	die_now();
	errno = e;
}

static off_t where(int fd)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0 && (flags & O_APPEND) && fstat(fd, &st) == 0)
		return st.st_size;
	return lseek(fd, 0, SEEK_CUR);
}

/* --- the calls --- */

ssize_t write(int fd, const void *buf, size_t n)
{
	REAL(ssize_t (*)(int, const void *, size_t), "write");
	char path[PATH_ROOM];
	struct call c;
	ssize_t r;

	if (!path_of_fd(path, fd))
		return real(fd, buf, n);
	c = enter("write", path, NULL, true);
	if (c.fail)
		return -1;
	note_written(path, where(fd));
	r = real(fd, buf, c.halve && n > 1 ? n / 2 : n);
	leave(&c);
	return r;
}

static ssize_t pwrite_as(ssize_t (*real)(int, const void *, size_t, off_t),
		int fd, const void *buf, size_t n, off_t at)
{
	char path[PATH_ROOM];
	struct call c;
	ssize_t r;

	if (!path_of_fd(path, fd))
		return real(fd, buf, n, at);
	c = enter("pwrite", path, NULL, true);
	if (c.fail)
		return -1;
	note_written(path, at);
	r = real(fd, buf, c.halve && n > 1 ? n / 2 : n, at);
	leave(&c);
	return r;
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t at)
{
	REAL(ssize_t (*)(int, const void *, size_t, off_t), "pwrite");
	return pwrite_as(real, fd, buf, n, at);
}

ssize_t pwrite64(int fd, const void *buf, size_t n, off_t at)
{
	REAL(ssize_t (*)(int, const void *, size_t, off_t), "pwrite64");
	return pwrite_as(real, fd, buf, n, at);
}

ssize_t writev(int fd, const struct iovec *iov, int n)
{
	REAL(ssize_t (*)(int, const struct iovec *, int), "writev");
	char path[PATH_ROOM];
	struct call c;
	ssize_t r;

	if (!path_of_fd(path, fd))
		return real(fd, iov, n);
	c = enter("writev", path, NULL, true);
	if (c.fail)
		return -1;
	note_written(path, where(fd));
	r = real(fd, iov, c.halve && n > 1 ? n / 2 : n);
	leave(&c);
	return r;
}

static ssize_t pwritev_as(
		ssize_t (*real)(int, const struct iovec *, int, off_t),
		int fd, const struct iovec *iov, int n, off_t at)
{
	char path[PATH_ROOM];
	struct call c;
	ssize_t r;

	if (!path_of_fd(path, fd))
		return real(fd, iov, n, at);
	c = enter("pwritev", path, NULL, true);
	if (c.fail)
		return -1;
	note_written(path, at);
	r = real(fd, iov, c.halve && n > 1 ? n / 2 : n, at);
	leave(&c);
	return r;
}

ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
	REAL(ssize_t (*)(int, const struct iovec *, int, off_t), "pwritev");
	return pwritev_as(real, fd, iov, n, at);
}

ssize_t pwritev64(int fd, const struct iovec *iov, int n, off_t at)
{
	REAL(ssize_t (*)(int, const struct iovec *, int, off_t), "pwritev64");
	return pwritev_as(real, fd, iov, n, at);
}

static int sync_as(int (*real)(int), const char *name, int fd)
{
	char path[PATH_ROOM];
	struct call c;
	int r;

	if (!path_of_fd(path, fd))
		return real(fd);
	c = enter(name, path, NULL, true);
	if (c.fail)
		return -1;
	r = real(fd);
	if (r == 0)
		note_synced(path);
	leave(&c);
	return r;
}

int fsync(int fd)
{
	REAL(int (*)(int), "fsync");
	return sync_as(real, "fsync", fd);
}

int fdatasync(int fd)
{
	REAL(int (*)(int), "fdatasync");
	return sync_as(real, "fdatasync", fd);
}

static int truncate_as(int (*real)(int, off_t), int fd, off_t size)
{
	char path[PATH_ROOM];
	struct call c;
	int r;

	if (!path_of_fd(path, fd))
		return real(fd, size);
	c = enter("ftruncate", path, NULL, true);
	if (c.fail)
		return -1;
	r = real(fd, size);
	leave(&c);
	return r;
}

int ftruncate(int fd, off_t size)
{
	REAL(int (*)(int, off_t), "ftruncate");
	return truncate_as(real, fd, size);
}

int ftruncate64(int fd, off_t size)
{
	REAL(int (*)(int, off_t), "ftruncate64");
	return truncate_as(real, fd, size);
}

static int fallocate_as(int (*real)(int, int, off_t, off_t), int fd, int mode,
		off_t at, off_t len)
{
	char path[PATH_ROOM];
	struct call c;
	int r;

	if (!path_of_fd(path, fd))
		return real(fd, mode, at, len);
	c = enter("fallocate", path, NULL, true);
	if (c.fail)
		return -1;
	r = real(fd, mode, at, len);
	leave(&c);
	return r;
}

int fallocate(int fd, int mode, off_t at, off_t len)
{
	REAL(int (*)(int, int, off_t, off_t), "fallocate");
	return fallocate_as(real, fd, mode, at, len);
}

int fallocate64(int fd, int mode, off_t at, off_t len)
{
	REAL(int (*)(int, int, off_t, off_t), "fallocate64");
	return fallocate_as(real, fd, mode, at, len);
}

int renameat2(int od, const char *old, int nd, const char *new, unsigned flags)
{
	REAL(int (*)(int, const char *, int, const char *, unsigned),
		"renameat2");
	char from[PATH_ROOM], to[PATH_ROOM];
	struct call c;
	int r;

	if (!path_at(from, od, old) || !path_at(to, nd, new))
		return real(od, old, nd, new, flags);
	c = enter("rename", from, to, true);
	if (c.fail)
		return -1;
	r = real(od, old, nd, new, flags);
	if (r == 0)
		note_name(from, to);
	leave(&c);
	return r;
}

int renameat(int od, const char *old, int nd, const char *new)
{
	return renameat2(od, old, nd, new, 0);
}

int rename(const char *old, const char *new)
{
	return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0);
}

int linkat(int od, const char *old, int nd, const char *new, int flags)
{
	REAL(int (*)(int, const char *, int, const char *, int), "linkat");
	char from[PATH_ROOM], to[PATH_ROOM];
	struct call c;
	int r;

	if (!path_at(to, nd, new))
		return real(od, old, nd, new, flags);
	if (!path_at(from, od, old))
		from[0] = 0;
	c = enter("link", from, to, true);
	if (c.fail)
		return -1;
	r = real(od, old, nd, new, flags);
	if (r == 0)
		note_name(NULL, to);
	leave(&c);
	return r;
}

int link(const char *old, const char *new)
{
	return linkat(AT_FDCWD, old, AT_FDCWD, new, 0);
}

int unlinkat(int at, const char *name, int flags)
{
	REAL(int (*)(int, const char *, int), "unlinkat");
	char path[PATH_ROOM];
	struct call c;
	int r;

	if (!path_at(path, at, name))
		return real(at, name, flags);
	c = enter("unlink", path, NULL, false);
	if (c.fail)
		return -1;
	r = real(at, name, flags);
	if (r == 0)
		note_name(path, NULL);
	leave(&c);
	return r;
}

int unlink(const char *name)
{
	return unlinkat(AT_FDCWD, name, 0);
}

int rmdir(const char *name)
{
	return unlinkat(AT_FDCWD, name, AT_REMOVEDIR);
}

int mkdirat(int at, const char *name, mode_t mode)
{
	REAL(int (*)(int, const char *, mode_t), "mkdirat");
	char path[PATH_ROOM];
	struct call c;
	int r;

	if (!path_at(path, at, name))
		return real(at, name, mode);
	c = enter("mkdir", path, NULL, true);
	if (c.fail)
		return -1;
	r = real(at, name, mode);
	if (r == 0)
		note_name(NULL, path);
	leave(&c);
	return r;
}

int mkdir(const char *name, mode_t mode)
{
	return mkdirat(AT_FDCWD, name, mode);
}

static int open_as(int (*real)(int, const char *, int, ...), int at,
		const char *name, int flags, mode_t mode)
{
	char path[PATH_ROOM];
	struct call c;
	int r;

	if (!(flags & O_CREAT) || !path_at(path, at, name) ||
			faccessat(at, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return real(at, name, flags, mode);
	c = enter("create", path, NULL, true);
	if (c.fail)
		return -1;
	r = real(at, name, flags, mode);
	if (r >= 0)
		note_name(NULL, path);
	leave(&c);
	return r;
}

static mode_t mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

#define OPENAT(function) \
	int function(int at, const char *name, int flags, ...) \
	{ \
		REAL(int (*)(int, const char *, int, ...), "openat"); \
		va_list ap; \
		mode_t mode; \
		va_start(ap, flags); \
		mode = mode_of(flags, ap); \
		va_end(ap); \
		return open_as(real, at, name, flags, mode); \
	}
#define OPEN(function) \
	int function(const char *name, int flags, ...) \
	{ \
		REAL(int (*)(int, const char *, int, ...), "openat"); \
		va_list ap; \
		mode_t mode; \
		va_start(ap, flags); \
		mode = mode_of(flags, ap); \
		va_end(ap); \
		return open_as(real, AT_FDCWD, name, flags, mode); \
	}
OPENAT(openat)
OPENAT(openat64)
OPEN(open)
OPEN(open64)
