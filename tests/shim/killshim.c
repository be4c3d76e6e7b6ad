/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Preloaded into a program: counts its durable system calls below a directory,
 * and at a given one ends the program, or makes the call fail. So a test can
 * try every instant at which a machine may die.
 *
 *	SHIM_DIR	count calls on files below this directory (absolute)
 *	SHIM_STATE	a file that keeps the count, shared by all processes;
 *			SHIM_STATE.kept and .undo belong to it. Outside of
 *			SHIM_DIR, fresh each time; on the same filesystem, or
 *			deletions and overwritten bytes are not taken back
 *	SHIM_LOG	append one line per call: number, call, path, path
 *	SHIM_AT		the number of the call to act at, from 1
 *	SHIM_ACT	before: SIGKILL before it	after: SIGKILL after it
 *			loss: SIGKILL after it, and first what was not fsynced
 *			is taken back, as a power failure may do
 *			torn: the same with some of it
 *			(these two at call 0: when the program begins, which
 *			then ends; for what those before it left)
 *			error: the call fails with SHIM_ERRNO
 *			full: it and every later call that needs room fail
 *			dead: it and every later call fail, reads too
 *			short: a write writes half
 *	SHIM_ERRNO	a number (default ENOSPC; for dead EIO)
 *	SHIM_STOP	SIGSTOP, once, before a file gets a name below
 *			SHIM_DIR that matches this shell pattern
 *	SHIM_READ	reads of files whose path below SHIM_DIR matches this
 *			shell pattern fail
 *	SHIM_READ_ERRNO	with this (default EIO)
 *	SHIM_READ_BYTE	only those that contain this byte
 *
 * SIGKILL goes to the whole process group: start the program with setsid.
 *
 * Loss is the worst case that POSIX allows (shim_undo.c). A file that is
 * mapped for writing counts as unsynced from then on. It does not see calls
 * made inside libc (stdio); shim-calls.sh tests that amberfs makes none.
 */
/* Both names of each call are wanted (pwrite and pwrite64), without the
 * headers making one of the other. */
#undef _FILE_OFFSET_BITS
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "shim.h"

_Static_assert(sizeof(off_t) == 8, "a 64-bit system");
_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "one stat");

/* The C library's own functions, all found before any fork: a child of a
 * program with threads must not ask the linker. */
#define CALLS(X)                                                               \
	X(ssize_t, write, (int, const void *, size_t))                         \
	X(ssize_t, pwrite, (int, const void *, size_t, off_t))                 \
	X(ssize_t, writev, (int, const struct iovec *, int))                   \
	X(ssize_t, pwritev, (int, const struct iovec *, int, off_t))           \
	X(ssize_t, read, (int, void *, size_t))                                \
	X(ssize_t, pread, (int, void *, size_t, off_t))                        \
	X(ssize_t, preadv, (int, const struct iovec *, int, off_t))            \
	X(ssize_t, copy_file_range,                                            \
			(int, off_t *, int, off_t *, size_t, unsigned))        \
	X(ssize_t, sendfile, (int, int, off_t *, size_t))                      \
	X(int, fsync, (int))                                                   \
	X(int, fdatasync, (int))                                               \
	X(int, sync_file_range, (int, off_t, off_t, unsigned))                 \
	X(int, ftruncate, (int, off_t))                                        \
	X(int, fallocate, (int, int, off_t, off_t))                            \
	X(int, posix_fallocate, (int, off_t, off_t))                           \
	X(int, renameat2, (int, const char *, int, const char *, unsigned))    \
	X(int, linkat, (int, const char *, int, const char *, int))            \
	X(int, unlinkat, (int, const char *, int))                             \
	X(int, mkdirat, (int, const char *, mode_t))                           \
	X(int, fstat, (int, struct stat *))                                    \
	X(int, fstatat, (int, const char *, struct stat *, int))               \
	X(int, open, (const char *, int, ...))                                 \
	X(int, openat, (int, const char *, int, ...))                          \
	X(void *, mmap, (void *, size_t, int, int, int, off_t))                \
	X(struct dirent *, readdir, (DIR *))

/* Types and names can't stand in parentheses. */
/* NOLINTBEGIN(bugprone-macro-parentheses) */
#define FIELD(type, name, arguments) type(*name) arguments;
static struct {
	CALLS(FIELD)
} libc;

#define FIND(type, name, arguments)                                            \
	if (!(libc.name = (type(*) arguments)dlsym(RTLD_NEXT, #name)))         \
		fatal(#name);
static void find_all(void)
{
	CALLS(FIND)
}

/* Other libraries' constructors may run before this one, and call. */
#define REAL(name) (libc.name ? libc.name : (find_all(), libc.name))

__attribute__((constructor)) static void find_early(void)
{
	find_all();
}

/* The same under the name that programs with large files use. */
#define ALSO(new, old) extern __typeof__(old) new __attribute__((alias(#old)))
/* NOLINTEND(bugprone-macro-parentheses) */

/* --- writing --- */

/* Where write() writes. */
static off_t where(int fd)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0 && (flags & O_APPEND) && fstat(fd, &st) == 0)
		return st.st_size;
	return lseek(fd, 0, SEEK_CUR);
}

static struct call enter_write(const char *name, int fd, const char *path,
		off_t at, size_t len)
{
	struct call c = enter(name, path, NULL, true);

	if (!c.fail && !(fcntl(fd, F_GETFL) & O_DSYNC))
		will_change(fd, at, len);
	return c;
}

static void leave_write(const struct call *c, int fd, off_t at, ssize_t wrote)
{
	int e = errno;

	if (wrote > 0 && (fcntl(fd, F_GETFL) & O_DSYNC))
		did_write_through(fd, at + wrote);
	errno = e;
	leave(c);
}

static size_t part(const struct call *c, size_t n)
{
	return c->halve && n > 1 ? n / 2 : n;
}

static size_t sum(const struct iovec *iov, int n)
{
	size_t all = 0;

	for (int i = 0; i < n; i++)
		all += iov[i].iov_len;
	return all;
}

ssize_t write(int fd, const void *buf, size_t n)
{
	char path[PATH_ROOM];

	if (!path_of_fd(path, fd))
		return REAL(write)(fd, buf, n);
	off_t at = where(fd);
	struct call c = enter_write("write", fd, path, at, n);
	if (c.fail)
		return -1;
	ssize_t r = REAL(write)(fd, buf, part(&c, n));
	leave_write(&c, fd, at, r);
	return r;
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t at)
{
	char path[PATH_ROOM];

	if (!path_of_fd(path, fd))
		return REAL(pwrite)(fd, buf, n, at);
	struct call c = enter_write("pwrite", fd, path, at, n);
	if (c.fail)
		return -1;
	ssize_t r = REAL(pwrite)(fd, buf, part(&c, n), at);
	leave_write(&c, fd, at, r);
	return r;
}
ALSO(pwrite64, pwrite);

/* A short one ends in the first part. */
ssize_t writev(int fd, const struct iovec *iov, int n)
{
	char path[PATH_ROOM];

	if (!path_of_fd(path, fd))
		return REAL(writev)(fd, iov, n);
	off_t at = where(fd);
	struct call c = enter_write("writev", fd, path, at, sum(iov, n));
	if (c.fail)
		return -1;
	ssize_t r = c.halve && n > 0
			? REAL(write)(fd, iov->iov_base, part(&c, iov->iov_len))
			: REAL(writev)(fd, iov, n);
	leave_write(&c, fd, at, r);
	return r;
}

ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
	char path[PATH_ROOM];

	if (!path_of_fd(path, fd))
		return REAL(pwritev)(fd, iov, n, at);
	struct call c = enter_write("pwritev", fd, path, at, sum(iov, n));
	if (c.fail)
		return -1;
	ssize_t r = c.halve && n > 0 ? REAL(pwrite)(fd, iov->iov_base,
				    part(&c, iov->iov_len), at)
				     : REAL(pwritev)(fd, iov, n, at);
	leave_write(&c, fd, at, r);
	return r;
}
ALSO(pwritev64, pwritev);

ssize_t copy_file_range(int from, off_t *from_at, int to, off_t *to_at,
		size_t n, unsigned flags)
{
	char path[PATH_ROOM];

	if (read_fails(from, from_at ? *from_at : -1, n))
		return -1;
	if (!path_of_fd(path, to))
		return REAL(copy_file_range)(from, from_at, to, to_at, n,
				flags);
	off_t at = to_at ? *to_at : where(to);
	struct call c = enter_write("copy", to, path, at, n);
	if (c.fail)
		return -1;
	ssize_t r = REAL(copy_file_range)(from, from_at, to, to_at, part(&c, n),
			flags);
	leave_write(&c, to, at, r);
	return r;
}

ssize_t sendfile(int to, int from, off_t *from_at, size_t n)
{
	char path[PATH_ROOM];

	if (read_fails(from, from_at ? *from_at : -1, n))
		return -1;
	if (!path_of_fd(path, to))
		return REAL(sendfile)(to, from, from_at, n);
	off_t at = where(to);
	struct call c = enter_write("copy", to, path, at, n);
	if (c.fail)
		return -1;
	ssize_t r = REAL(sendfile)(to, from, from_at, part(&c, n));
	leave_write(&c, to, at, r);
	return r;
}
ALSO(sendfile64, sendfile);

/* --- fsync --- */

static int sync_as(int (*real)(int), const char *name, int fd)
{
	char path[PATH_ROOM];

	if (!path_of_fd(path, fd))
		return real(fd);
	struct call c = enter(name, path, NULL, true);
	if (c.fail)
		return -1;
	int err = real(fd);
	if (err == 0)
		did_sync(fd, path);
	leave(&c);
	return err;
}

int fsync(int fd)
{
	return sync_as(REAL(fsync), "fsync", fd);
}

int fdatasync(int fd)
{
	return sync_as(REAL(fdatasync), "fdatasync", fd);
}

/* Makes nothing durable, but may be told of what went wrong. */
int sync_file_range(int fd, off_t at, off_t n, unsigned flags)
{
	char path[PATH_ROOM];

	if (!path_of_fd(path, fd))
		return REAL(sync_file_range)(fd, at, n, flags);
	struct call c = enter("writeback", path, NULL, true);
	if (c.fail)
		return -1;
	int err = REAL(sync_file_range)(fd, at, n, flags);
	leave(&c);
	return err;
}

/* --- sizes --- */

int ftruncate(int fd, off_t size)
{
	char path[PATH_ROOM];

	if (!path_of_fd(path, fd))
		return REAL(ftruncate)(fd, size);
	struct call c = enter("truncate", path, NULL, true);
	if (c.fail)
		return -1;
	will_change(fd, size, (size_t)1 << 62);
	int err = REAL(ftruncate)(fd, size);
	leave(&c);
	return err;
}
ALSO(ftruncate64, ftruncate);

int fallocate(int fd, int mode, off_t at, off_t len)
{
	char path[PATH_ROOM];

	if (!path_of_fd(path, fd))
		return REAL(fallocate)(fd, mode, at, len);
	struct call c = enter("fallocate", path, NULL, true);
	if (c.fail)
		return -1;
	/* Modes that punch and collapse change bytes. */
	will_change(fd, mode ? 0 : at + len, (size_t)1 << 62);
	int err = REAL(fallocate)(fd, mode, at, len);
	leave(&c);
	return err;
}
ALSO(fallocate64, fallocate);

int posix_fallocate(int fd, off_t at, off_t len)
{
	char path[PATH_ROOM];

	if (!path_of_fd(path, fd))
		return REAL(posix_fallocate)(fd, at, len);
	struct call c = enter("fallocate", path, NULL, true);
	if (c.fail)
		return errno;
	will_change(fd, at + len, 0);
	int err = REAL(posix_fallocate)(fd, at, len);
	leave(&c);
	return err;
}
ALSO(posix_fallocate64, posix_fallocate);

/* --- names --- */

int renameat2(int od, const char *old, int nd, const char *new, unsigned flags)
{
	char from[PATH_ROOM], to[PATH_ROOM];

	if (!path_at(from, od, old) || !path_at(to, nd, new))
		return REAL(renameat2)(od, old, nd, new, flags);
	struct call c = enter("rename", from, to, true);
	if (c.fail)
		return -1;
	struct name *n = will_name(RENAMED, from, to);
	int err = REAL(renameat2)(od, old, nd, new, flags);
	did_name(n, err == 0);
	leave(&c);
	return err;
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
	char from[PATH_ROOM], to[PATH_ROOM];

	if (!path_at(to, nd, new))
		return REAL(linkat)(od, old, nd, new, flags);
	if (!path_at(from, od, old))
		from[0] = 0;
	struct call c = enter("link", from, to, true);
	if (c.fail)
		return -1;
	struct name *n = will_name(MADE, NULL, to);
	int err = REAL(linkat)(od, old, nd, new, flags);
	did_name(n, err == 0);
	leave(&c);
	return err;
}

int link(const char *old, const char *new)
{
	return linkat(AT_FDCWD, old, AT_FDCWD, new, 0);
}

int unlinkat(int at, const char *name, int flags)
{
	char path[PATH_ROOM];

	if (!path_at(path, at, name))
		return REAL(unlinkat)(at, name, flags);
	struct call c = enter("unlink", path, NULL, false);
	if (c.fail)
		return -1;
	struct name *n = will_name(flags & AT_REMOVEDIR ? DELETED_DIRECTORY
							: DELETED,
			NULL, path);
	int err = REAL(unlinkat)(at, name, flags);
	did_name(n, err == 0);
	leave(&c);
	return err;
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
	char path[PATH_ROOM];

	if (!path_at(path, at, name))
		return REAL(mkdirat)(at, name, mode);
	struct call c = enter("mkdir", path, NULL, true);
	if (c.fail)
		return -1;
	struct name *n = will_name(MADE_DIRECTORY, NULL, path);
	int err = REAL(mkdirat)(at, name, mode);
	did_name(n, err == 0);
	leave(&c);
	return err;
}

int mkdir(const char *name, mode_t mode)
{
	return mkdirat(AT_FDCWD, name, mode);
}

/* --- numbers of links --- */

int fstat(int fd, struct stat *st)
{
	int err = REAL(fstat)(fd, st);
	int e = errno;

	if (err == 0)
		hide_link(st);
	errno = e;
	return err;
}
int fstat64(int fd, struct stat64 *st)
{
	return fstat(fd, (struct stat *)st);
}

int fstatat(int at, const char *name, struct stat *st, int flags)
{
	int err = REAL(fstatat)(at, name, st, flags);
	int e = errno;

	if (err == 0)
		hide_link(st);
	errno = e;
	return err;
}
int fstatat64(int at, const char *name, struct stat64 *st, int flags)
{
	return fstatat(at, name, (struct stat *)st, flags);
}

/* --- opening --- */

/* O_TRUNC on a file that is there. */
static int open_cutting(int at, const char *name, int flags, const char *path)
{
	struct call c = enter("truncate", path, NULL, true);

	if (c.fail)
		return -1;
	int err = REAL(openat)(at, name, flags & ~O_TRUNC);
	if (err >= 0) {
		will_change(err, 0, (size_t)1 << 62);
		if (REAL(ftruncate)(err, 0) < 0)
			fatal(path);
	}
	leave(&c);
	return err;
}

int openat(int at, const char *name, int flags, ...)
{
	char path[PATH_ROOM];
	mode_t mode = 0;
	va_list ap;

	va_start(ap, flags);
	if (flags & (O_CREAT | __O_TMPFILE))
		mode = va_arg(ap, mode_t);
	va_end(ap);
	if (!(flags & (O_CREAT | O_TRUNC)) || !path_at(path, at, name))
		return REAL(openat)(at, name, flags, mode);
	if (faccessat(at, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return flags & O_TRUNC && !(flags & O_EXCL)
				? open_cutting(at, name, flags, path)
				: REAL(openat)(at, name, flags, mode);
	struct call c = enter("create", path, NULL, true);
	if (c.fail)
		return -1;
	struct name *n = will_name(MADE, NULL, path);
	int err = REAL(openat)(at, name, flags, mode);
	did_name(n, err >= 0);
	leave(&c);
	return err;
}
ALSO(openat64, openat);

int open(const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	va_start(ap, flags);
	if (flags & (O_CREAT | __O_TMPFILE))
		mode = va_arg(ap, mode_t);
	va_end(ap);
	return openat(AT_FDCWD, name, flags, mode);
}
ALSO(open64, open);

void *mmap(void *at, size_t len, int prot, int flags, int fd, off_t from)
{
	char path[PATH_ROOM];

	if (fd >= 0 && (prot & PROT_WRITE) && (flags & MAP_SHARED)
			&& path_of_fd(path, fd)) {
		struct call c = enter("map", path, NULL, true);
		if (c.fail)
			return MAP_FAILED;
		will_change(fd, from, len);
		void *r = REAL(mmap)(at, len, prot, flags, fd, from);
		leave(&c);
		return r;
	}
	return REAL(mmap)(at, len, prot, flags, fd, from);
}
ALSO(mmap64, mmap);

/* --- reading --- */

ssize_t read(int fd, void *buf, size_t n)
{
	return read_fails(fd, -1, n) ? -1 : REAL(read)(fd, buf, n);
}

ssize_t pread(int fd, void *buf, size_t n, off_t at)
{
	return read_fails(fd, at, n) ? -1 : REAL(pread)(fd, buf, n, at);
}
ALSO(pread64, pread);

ssize_t preadv(int fd, const struct iovec *iov, int n, off_t at)
{
	return read_fails(fd, at, sum(iov, n)) ? -1
					       : REAL(preadv)(fd, iov, n, at);
}
ALSO(preadv64, preadv);

struct dirent *readdir(DIR *d)
{
	return read_fails(dirfd(d), 0, 0) ? NULL : REAL(readdir)(d);
}
extern struct dirent64 *readdir64(DIR *d) __attribute__((alias("readdir")));

/* --- what _FORTIFY_SOURCE makes of some of these calls --- */

int __open64_2(const char *name, int flags);
int __openat64_2(int at, const char *name, int flags);
ssize_t __read_chk(int fd, void *buf, size_t n, size_t room);
ssize_t __pread64_chk(int fd, void *buf, size_t n, off_t at, size_t room);

int __open64_2(const char *name, int flags)
{
	return open(name, flags);
}

int __openat64_2(int at, const char *name, int flags)
{
	return openat(at, name, flags);
}

ssize_t __read_chk(int fd, void *buf, size_t n, size_t room)
{
	if (n > room)
		fatal("read");
	return read(fd, buf, n);
}

ssize_t __pread64_chk(int fd, void *buf, size_t n, off_t at, size_t room)
{
	if (n > room)
		fatal("pread");
	return pread(fd, buf, n, at);
}
