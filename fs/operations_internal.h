/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The operations by file: see each. */
#ifndef AMBERFS_FS_OPERATIONS_INTERNAL_H
#define AMBERFS_FS_OPERATIONS_INTERNAL_H

#include "operations.h"

/* How long the kernel may cache our answers, in seconds: the contents of
 * snapshots never change, the set of snapshots does. */
#define TIMEOUT_IMMUTABLE 86400.0
#define TIMEOUT_LISTING 1.0

static inline struct filesystem *filesystem_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* The kernel keeps a number for each open file or directory; ours is a pointer. */
union open_number {
	uint64_t number;
	void *pointer;
};

/* One thread opens, another one uses: the kernel guarantees the order, and
 * ThreadSanitizer, which can't see it, is told. */
#ifdef __SANITIZE_THREAD__
void __tsan_acquire(void *what);
void __tsan_release(void *what);
#define HANDED_OVER(what) __tsan_release(what)
#define TAKEN_OVER(what) __tsan_acquire(what)
#else
#define HANDED_OVER(what) ((void)(what))
#define TAKEN_OVER(what) ((void)(what))
#endif

static inline void set_opened(struct fuse_file_info *fi, void *what)
{
	union open_number n = { .number = 0 };
	n.pointer = what;
	HANDED_OVER(what);
	fi->fh = n.number;
}

static inline void *opened(const struct fuse_file_info *fi)
{
	union open_number n = { .number = fi->fh };
	TAKEN_OVER(n.pointer);
	return n.pointer;
}

/* --- operations.c --- */

/* The answer to a failure, which is logged if it means damage. DOING may be
 * NULL: never logged. */
void operations_reply_failure(fuse_req_t req, int err, const char *doing);
void operations_fill_stat(const struct filesystem *fs,
		const struct tree_attr *attr, struct stat *st);
double operations_attr_timeout(enum tree_kind kind);
void operations_fill_entry(const struct filesystem *fs,
		const struct tree_attr *attr, struct fuse_entry_param *param);

/* --- file.c: open, read, lseek, release --- */

void file_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void file_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		struct fuse_file_info *fi);
void file_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
		struct fuse_file_info *fi);
void file_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* --- directory.c: opendir, readdir, releasedir --- */

void directory_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void directory_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		struct fuse_file_info *fi);
void directory_read_plus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		struct fuse_file_info *fi);
void directory_release(fuse_req_t req, fuse_ino_t ino,
		struct fuse_file_info *fi);

/* --- readonly.c: everything that writes --- */

void readonly_fill(struct fuse_lowlevel_ops *ops);

#endif
