/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Names, attributes and the negotiation with the kernel. Inode numbers mean the
 * same for as long as the mount lives, so nothing counts look-ups.
 */
#include "operations_internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "log.h"
#include "repo/base/bytes.h"
#include "repo/base/error.h"
#include "unmount.h"
#include "xattr.h"

#define IO_SIZE (1u << 20) /* what cp and dd read at once */
#define BACKGROUND_REQUESTS 64
#define NS_PER_SECOND 1000000000

/* --- answers --- */

void operations_reply_failure(fuse_req_t req, int err, const char *doing)
{
	switch (err) {
	case -EBADMSG:
	case -EIO:
		if (doing != NULL)
			log_problem("%s: %s", doing, error_text(err));
		fuse_reply_err(req, EIO);
		break;
	default:
		fuse_reply_err(req, -err);
		break;
	}
}

static void fill_time(struct timespec *ts, int64_t ns)
{
	ts->tv_sec = ns / NS_PER_SECOND;
	ts->tv_nsec = ns % NS_PER_SECOND;
	if (ts->tv_nsec < 0) {
		ts->tv_nsec += NS_PER_SECOND;
		ts->tv_sec--;
	}
}

static mode_t type_bits(enum tree_kind kind)
{
	switch (kind) {
	case TREE_LATEST:
		return S_IFLNK;
	case TREE_FILE:
	case TREE_QCOW2:
	case TREE_RECORD:
		return S_IFREG;
	default:
		return S_IFDIR;
	}
}

void operations_fill_stat(const struct filesystem *fs,
		const struct tree_attr *attr, struct stat *st)
{
	mode_t umask = attr->kind == TREE_LATEST ? 0 : fs->options->umask;
	*st = (struct stat){
		.st_ino = attr->inode,
		.st_mode = type_bits(attr->kind) | (attr->mode & ~umask),
		.st_nlink = attr->links,
		.st_uid = fs->options->uid,
		.st_gid = fs->options->gid,
		.st_size = (off_t)attr->size,
		.st_blksize = IO_SIZE,
		.st_blocks = (blkcnt_t)(round_up(attr->data_bytes, BLOCK_SIZE)
				/ 512),
	};
	fill_time(&st->st_mtim, attr->time_ns);
	st->st_atim = st->st_ctim = st->st_mtim;
}

double operations_attr_timeout(enum tree_kind kind)
{
	return kind >= TREE_SNAPSHOT ? TIMEOUT_IMMUTABLE : TIMEOUT_LISTING;
}

/* Names in the root or in a source's directory may disappear; those below do
 * not before their directory does. */
static double name_timeout(enum tree_kind kind)
{
	return kind > TREE_SNAPSHOT ? TIMEOUT_IMMUTABLE : TIMEOUT_LISTING;
}

void operations_fill_entry(const struct filesystem *fs,
		const struct tree_attr *attr, struct fuse_entry_param *param)
{
	*param = (struct fuse_entry_param){
		.ino = attr->inode,
		.attr_timeout = operations_attr_timeout(attr->kind),
		.entry_timeout = name_timeout(attr->kind),
	};
	operations_fill_stat(fs, attr, &param->attr);
}

/* --- names and attributes --- */

static void lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct filesystem *fs = filesystem_of(req);
	struct fuse_entry_param e;
	struct tree_attr a;
	int err = tree_lookup(fs->tree, parent, name, &a);
	if (err != 0) {
		operations_reply_failure(req, err, "reading a snapshot");
		return;
	}
	operations_fill_entry(fs, &a, &e);
	fuse_reply_entry(req, &e);
}

static void forget(fuse_req_t req, fuse_ino_t ino __attribute__((unused)),
		uint64_t lookups __attribute__((unused)))
{
	fuse_reply_none(req);
}

static void forget_multi(fuse_req_t req, size_t count __attribute__((unused)),
		struct fuse_forget_data *forgets __attribute__((unused)))
{
	fuse_reply_none(req);
}

static void getattr(fuse_req_t req, fuse_ino_t ino,
		struct fuse_file_info *fi __attribute__((unused)))
{
	struct filesystem *fs = filesystem_of(req);
	struct tree_attr a;
	struct stat st;
	int err = tree_attr(fs->tree, ino, &a);
	if (err != 0) {
		operations_reply_failure(req, err, NULL);
		return;
	}
	operations_fill_stat(fs, &a, &st);
	fuse_reply_attr(req, &st, operations_attr_timeout(a.kind));
}

static void read_link(fuse_req_t req, fuse_ino_t ino)
{
	char text[UTC_TEXT_MAX];
	int err = tree_read_link(filesystem_of(req)->tree, ino, text);
	if (err != 0)
		operations_reply_failure(req, err, NULL);
	else
		fuse_reply_readlink(req, text);
}

/* --- extended attributes --- */

/* The protocol asks for the length first, by a SIZE of 0. */
static void reply_sized(fuse_req_t req, const char *bytes, size_t len,
		size_t size)
{
	if (size == 0)
		fuse_reply_xattr(req, len);
	else if (len > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, bytes, len);
}

static void getxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		size_t size)
{
	struct filesystem *fs = filesystem_of(req);
	char value[XATTR_VALUE_MAX];
	struct tree_held h;
	ssize_t len = -ENODATA;
	int err = tree_hold(fs->tree, ino, &h);
	if (err == 0) {
		len = xattr_get(&h, name, value);
		tree_release(fs->tree, &h);
	} else if (ino == INODE_ROOT && strcmp(name, UNMOUNT_SERVED_BY) == 0) {
		len = snprintf(value, sizeof(value), "%d", (int)getpid());
	} else if (err != -EISDIR) {
		len = err;
	}
	if (len < 0)
		operations_reply_failure(req, (int)len, NULL);
	else
		reply_sized(req, value, (size_t)len, size);
}

static void listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct filesystem *fs = filesystem_of(req);
	char names[XATTR_NAMES_MAX];
	struct tree_held h;
	size_t len = 0;
	int err = tree_hold(fs->tree, ino, &h);
	if (err == 0) {
		len = xattr_list(&h, names);
		tree_release(fs->tree, &h);
	} else if (err != -EISDIR) {
		operations_reply_failure(req, err, NULL);
		return;
	}
	reply_sized(req, names, len, size);
}

/* --- df --- */

/* Of what the repository takes and the free space beside it. */
static void statfs(fuse_req_t req, fuse_ino_t ino __attribute__((unused)))
{
	struct filesystem *fs = filesystem_of(req);
	struct store_space space;
	uint64_t packs = 0;
	int err = store_space(fs->repo->store, &space);
	if (err == 0)
		err = statfs_packs(fs->usage, &packs);
	if (err != 0) {
		operations_reply_failure(req, err,
				"getting the size of the repository");
		return;
	}
	struct statvfs st = {
		.f_bsize = IO_SIZE,
		.f_frsize = BLOCK_SIZE,
		.f_bfree = space.free / BLOCK_SIZE,
		.f_bavail = space.available / BLOCK_SIZE,
		.f_flag = ST_RDONLY,
		.f_namemax = 255,
	};
	st.f_blocks = st.f_bfree + round_up(packs, BLOCK_SIZE) / BLOCK_SIZE;
	fuse_reply_statfs(req, &st);
}

/* --- terms --- */

static void want(struct fuse_conn_info *conn, unsigned capability)
{
	conn->want |= conn->capable & capability;
}

static void init(void *userdata, struct fuse_conn_info *conn)
{
	struct filesystem *fs = userdata;
	want(conn,
			FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS
					| FUSE_CAP_READDIRPLUS
					| FUSE_CAP_READDIRPLUS_AUTO
					| FUSE_CAP_ASYNC_DIO
					| FUSE_CAP_EXPORT_SUPPORT
					| FUSE_CAP_EXPLICIT_INVAL_DATA);
	/* AUTO_INVAL_DATA: contents never change. CACHE_SYMLINKS: "latest"
	 * does. NO_OPEN*: every open must be seen. SPLICE: decoded frames are
	 * in memory, where it gains nothing. */
	conn->want &= ~(unsigned)(FUSE_CAP_AUTO_INVAL_DATA
			| FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_NO_OPEN_SUPPORT
			| FUSE_CAP_NO_OPENDIR_SUPPORT | FUSE_CAP_WRITEBACK_CACHE
			| FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE
			| FUSE_CAP_SPLICE_MOVE);
	/* The kernel's default of 12 limits readahead. */
	conn->max_background = BACKGROUND_REQUESTS;
	conn->congestion_threshold = BACKGROUND_REQUESTS * 3 / 4;
	conn->max_readahead = (unsigned)fs->options->readahead;
	fs->started(fs->started_ctx);
}

const struct fuse_lowlevel_ops *operations_table(void)
{
	static struct fuse_lowlevel_ops ops = {
		.init = init,
		.lookup = lookup,
		.forget = forget,
		.forget_multi = forget_multi,
		.getattr = getattr,
		.readlink = read_link,
		.open = file_open,
		.read = file_read,
		.lseek = file_lseek,
		.release = file_release,
		.opendir = directory_open,
		.readdir = directory_read,
		.readdirplus = directory_read_plus,
		.releasedir = directory_release,
		.statfs = statfs,
		.getxattr = getxattr,
		.listxattr = listxattr,
	};
	readonly_fill(&ops);
	return &ops;
}
