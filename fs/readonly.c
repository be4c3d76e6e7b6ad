/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Everything that writes fails with EROFS. The mount is read-only, so the
 * kernel refuses before it asks us; these answers are for the case that it is
 * remounted read-write.
 */
#include "operations_internal.h"

#define UNUSED __attribute__((unused))

static void refuse_setattr(fuse_req_t req, fuse_ino_t ino UNUSED,
		struct stat *attr UNUSED, int to_set UNUSED,
		struct fuse_file_info *fi UNUSED)
{
	fuse_reply_err(req, EROFS);
}

static void refuse_mknod(fuse_req_t req, fuse_ino_t parent UNUSED,
		const char *name UNUSED, mode_t mode UNUSED, dev_t dev UNUSED)
{
	fuse_reply_err(req, EROFS);
}

static void refuse_mkdir(fuse_req_t req, fuse_ino_t parent UNUSED,
		const char *name UNUSED, mode_t mode UNUSED)
{
	fuse_reply_err(req, EROFS);
}

/* unlink, rmdir, removexattr */
static void refuse_name(fuse_req_t req, fuse_ino_t parent UNUSED,
		const char *name UNUSED)
{
	fuse_reply_err(req, EROFS);
}

static void refuse_symlink(fuse_req_t req, const char *target UNUSED,
		fuse_ino_t parent UNUSED, const char *name UNUSED)
{
	fuse_reply_err(req, EROFS);
}

static void refuse_rename(fuse_req_t req, fuse_ino_t parent UNUSED,
		const char *name UNUSED, fuse_ino_t new_parent UNUSED,
		const char *new_name UNUSED, unsigned flags UNUSED)
{
	fuse_reply_err(req, EROFS);
}

static void refuse_link(fuse_req_t req, fuse_ino_t ino UNUSED,
		fuse_ino_t new_parent UNUSED, const char *new_name UNUSED)
{
	fuse_reply_err(req, EROFS);
}

static void refuse_create(fuse_req_t req, fuse_ino_t parent UNUSED,
		const char *name UNUSED, mode_t mode UNUSED,
		struct fuse_file_info *fi UNUSED)
{
	fuse_reply_err(req, EROFS);
}

static void refuse_write(fuse_req_t req, fuse_ino_t ino UNUSED,
		const char *buf UNUSED, size_t size UNUSED, off_t off UNUSED,
		struct fuse_file_info *fi UNUSED)
{
	fuse_reply_err(req, EROFS);
}

static void refuse_setxattr(fuse_req_t req, fuse_ino_t ino UNUSED,
		const char *name UNUSED, const char *value UNUSED,
		size_t size UNUSED, int flags UNUSED)
{
	fuse_reply_err(req, EROFS);
}

static void refuse_fallocate(fuse_req_t req, fuse_ino_t ino UNUSED,
		int mode UNUSED, off_t offset UNUSED, off_t length UNUSED,
		struct fuse_file_info *fi UNUSED)
{
	fuse_reply_err(req, EROFS);
}

void readonly_fill(struct fuse_lowlevel_ops *ops)
{
	ops->setattr = refuse_setattr;
	ops->mknod = refuse_mknod;
	ops->mkdir = refuse_mkdir;
	ops->unlink = refuse_name;
	ops->rmdir = refuse_name;
	ops->symlink = refuse_symlink;
	ops->rename = refuse_rename;
	ops->link = refuse_link;
	ops->create = refuse_create;
	ops->write = refuse_write;
	ops->setxattr = refuse_setxattr;
	ops->removexattr = refuse_name;
	ops->fallocate = refuse_fallocate;
}
