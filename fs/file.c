/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Open files. Opening publishes the file's root and then makes sure that the
 * snapshot still exists: from then on nothing can delete the bytes. Reads are
 * answered from the decoded frames where they lie.
 */
#include "operations_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/image/image_view.h"

/* Pieces of one answer; a read of 1 MiB that changes between data and hole
 * at every block has 256. */
#define PIECES_MAX 320

struct handle {
	struct tree_held held;
	struct image_view *view; /* of a TREE_FILE or TREE_QCOW2 */
	bool standing;		 /* its root is published */
	char *text;		 /* of a TREE_RECORD */
	size_t text_len;
	pthread_mutex_t mutex;
	struct image_sequence sequence GUARDED_BY(mutex);
	/* In filesystem->handles; protected by filesystem->mutex. */
	struct handle *next, **at;
};

/* --- opening --- */

static void handle_free(struct filesystem *fs, struct handle *handle)
{
	image_view_close(handle->view);
	if (handle->standing)
		roots_drop(fs->roots, &handle->held.file->root.id);
	if (handle->held.entry != NULL)
		tree_release(fs->tree, &handle->held);
	free(handle->text);
	pthread_mutex_destroy(&handle->mutex);
	free(handle);
}

static void handle_link(struct filesystem *fs, struct handle *handle)
{
	LOCK_SCOPE(&fs->mutex);
	handle->next = fs->handles;
	handle->at = &fs->handles;
	if (handle->next != NULL)
		handle->next->at = &handle->next;
	fs->handles = handle;
}

static void handle_unlink(struct filesystem *fs, struct handle *handle)
{
	LOCK_SCOPE(&fs->mutex);
	*handle->at = handle->next;
	if (handle->next != NULL)
		handle->next->at = handle->at;
}

/* 1 publish, 2 check: in the other order prune could come between. */
static int open_image(struct filesystem *fs, struct handle *handle)
{
	const struct snapshot_file *file = handle->held.file;
	int err = roots_hold(fs->roots, &file->root.id);
	if (err != 0)
		return err;
	handle->standing = true;
	err = tree_check(fs->tree, &handle->held);
	if (err != 0) {
		handle->standing = false;
		roots_drop_now(fs->roots, &file->root.id);
		return err;
	}
	return image_view_open(&handle->view, fs->reader, &file->root,
			file->size,
			handle->held.kind == TREE_QCOW2 ? IMAGE_VIEW_QCOW2
							: IMAGE_VIEW_RAW);
}

static int handle_fill(struct filesystem *fs, struct handle *handle,
		uint64_t ino)
{
	int err = tree_hold(fs->tree, ino, &handle->held);
	if (err != 0)
		return err;
	switch (handle->held.kind) {
	case TREE_FILE:
	case TREE_QCOW2:
		return open_image(fs, handle);
	case TREE_RECORD:
		return tree_entry_record_text(fs->tree, &handle->held,
				&handle->text, &handle->text_len);
	default:
		return -EISDIR;
	}
}

static int handle_new(struct filesystem *fs, uint64_t ino, struct handle **out)
{
	struct handle *handle = calloc(1, sizeof(*handle));
	if (handle == NULL)
		return -ENOMEM;
	pthread_mutex_init(&handle->mutex, NULL);
	int err = handle_fill(fs, handle, ino);
	if (err != 0) {
		handle_free(fs, handle);
		return err;
	}
	handle_link(fs, handle);
	*out = handle;
	return 0;
}

void file_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct filesystem *fs = filesystem_of(req);
	struct handle *handle = NULL;
	if ((fi->flags & O_ACCMODE) != O_RDONLY || (fi->flags & O_TRUNC) != 0) {
		fuse_reply_err(req, EROFS);
		return;
	}
	int err = handle_new(fs, ino, &handle);
	if (err != 0) {
		operations_reply_failure(req, err, "opening a file");
		return;
	}
	set_opened(fi, handle);
	fi->keep_cache = 1;
	fi->noflush = 1;
	if (fuse_reply_open(req, fi) != 0) {
		/* The opener was interrupted; no release will follow. */
		handle_unlink(fs, handle);
		handle_free(fs, handle);
	}
}

void file_release(fuse_req_t req, fuse_ino_t ino __attribute__((unused)),
		struct fuse_file_info *fi)
{
	struct filesystem *fs = filesystem_of(req);
	struct handle *handle = opened(fi);
	handle_unlink(fs, handle);
	handle_free(fs, handle);
	fuse_reply_err(req, 0);
}

void file_close_all(struct filesystem *fs)
{
	not_shared(&fs->mutex);
	while (fs->handles != NULL) {
		struct handle *handle = fs->handles;
		handle_unlink(fs, handle);
		handle_free(fs, handle);
	}
}

/* --- reading --- */

/* Before the read itself, so that the threads that decode ahead start while
 * this one decodes what is asked for. */
static void note_read(struct handle *handle, size_t size, off_t off)
{
	LOCK_SCOPE(&handle->mutex);
	image_view_note_read(handle->view, &handle->sequence, (uint64_t)off,
			size);
}

/* The bytes are damaged or missing: one line that says where, EIO. */
static void reply_read_failure(fuse_req_t req, const struct handle *handle,
		int err, off_t off)
{
	if (err == -ENOMEM || err == -EINTR) {
		fuse_reply_err(req, -err);
		return;
	}
	log_problem("%s/%s/%s at %jd: %s", handle->held.snapshot->source,
			strrchr(handle->held.snapshot->object, '/') + 1,
			handle->held.name, (intmax_t)off, error_text(err));
	fuse_reply_err(req, EIO);
}

static void reply_copied(fuse_req_t req, struct handle *handle, size_t size,
		off_t off)
{
	CLEANUP_FREE char *buf = malloc(size);
	if (buf == NULL) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	ssize_t n = image_view_pread(handle->view, buf, size, (uint64_t)off);
	if (n < 0)
		reply_read_failure(req, handle, (int)n, off);
	else
		fuse_reply_buf(req, buf, (size_t)n);
}

static void reply_pinned(fuse_req_t req, struct handle *handle, size_t size,
		off_t off)
{
	struct iovec iov[PIECES_MAX];
	struct frame *pins[PIECES_MAX];
	struct image_iov v = { .iov = iov, .pins = pins, .room = PIECES_MAX };
	ssize_t n = image_view_read_iov(handle->view, &v, size, (uint64_t)off);
	if (n == -E2BIG) {
		reply_copied(req, handle, size, off);
	} else if (n < 0) {
		reply_read_failure(req, handle, (int)n, off);
	} else {
		fuse_reply_iov(req, v.iov, v.count);
		image_unpin(&v);
	}
}

/* Of a copy, as another thread may close the file once it is answered. */
static void reply_text(fuse_req_t req, const struct handle *handle, size_t size,
		off_t off)
{
	size_t at = min_u64((uint64_t)off, handle->text_len);
	size_t len = min_u64(size, handle->text_len - at);
	char *copy = malloc(len + 1);
	if (copy == NULL) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	memcpy(copy, handle->text + at, len);
	fuse_reply_buf(req, copy, len);
	free(copy);
}

void file_read(fuse_req_t req, fuse_ino_t ino __attribute__((unused)),
		size_t size, off_t off, struct fuse_file_info *fi)
{
	struct handle *handle = opened(fi);
	if (handle->view == NULL) {
		reply_text(req, handle, size, off);
		return;
	}
	note_read(handle, size, off);
	reply_pinned(req, handle, size, off);
}

/* --- data and holes --- */

static off_t text_seek(const struct handle *handle, off_t off, int whence)
{
	if (off < 0 || (uint64_t)off >= handle->text_len)
		return -ENXIO;
	return whence == SEEK_DATA ? off : (off_t)handle->text_len;
}

/* Never ENOSYS: the kernel would not ask again, for any file. */
void file_lseek(fuse_req_t req, fuse_ino_t ino __attribute__((unused)),
		off_t off, int whence, struct fuse_file_info *fi)
{
	struct handle *handle = opened(fi);
	if (whence != SEEK_DATA && whence != SEEK_HOLE) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	off_t r = handle->view == NULL
			? text_seek(handle, off, whence)
			: image_view_seek(handle->view, off, whence);
	if (r >= 0)
		fuse_reply_lseek(req, r);
	else if (r == -ENXIO)
		fuse_reply_err(req, ENXIO);
	else
		reply_read_failure(req, handle, (int)r, off);
}
