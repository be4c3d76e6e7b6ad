/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Restoring files of a snapshot; see restore_file.h. */
#include "restore_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repo/base/cleanup.h"
#include "repo/base/device.h"
#include "repo/base/error.h"
#include "repo/format/document.h"
#include "repo/base/interrupt.h"
#include "repo/base/report.h"
#include "repo/image/image_copy.h"
#include "repo/image/qcow2_copy.h"
#include "restore_place.h"
#include "restore_temporary.h"
#include "snapshot_object.h"

/* A range of a file that was written as zeros because it can't be read. */
struct restore_range {
	const char *file; /* of the snapshot */
	uint64_t from, to;
	char *cause;
};

/* --- damage --- */

/* An image_copy's DAMAGED: one call at a time. */
static void note_damaged(void *ctx, uint64_t offset, uint64_t len, int err)
{
	struct restore_file *restore = ctx;
	if (restore->range_count == restore->range_room) {
		size_t room = restore->range_room ? 2 * restore->range_room
						  : 64;
		struct restore_range *more = reallocarray(restore->ranges, room,
				sizeof(*more));
		if (more == NULL) {
			restore->range_lost = true;
			return;
		}
		restore->ranges = more;
		restore->range_room = room;
	}
	restore->ranges[restore->range_count++] =
			(struct restore_range){ .file = restore->file->name,
				.from = offset,
				.to = offset + len,
				.cause = strdup(error_text(err)) };
}

static int compare_ranges(const void *a, const void *b)
{
	const struct restore_range *x = a, *y = b;
	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	return x->to < y->to ? -1 : x->to > y->to;
}

/* Puts the last file's ranges in order, joins those that touch, and names
 * them. */
static int tell_damaged(struct restore_file *restore)
{
	size_t count = restore->range_count - restore->told, kept = 0;
	if (restore->range_lost)
		return fail_no_memory("noting damaged ranges");
	if (count == 0)
		return 0;
	struct restore_range *all = restore->ranges + restore->told;
	if (count > 1)
		qsort(all, count, sizeof(*all), compare_ranges);
	for (size_t i = 0; i < count; i++) {
		struct restore_range *last = kept ? &all[kept - 1] : NULL;
		if (last == NULL || all[i].from > last->to) {
			all[kept++] = all[i];
			continue;
		}
		if (all[i].to > last->to)
			last->to = all[i].to;
		free(all[i].cause);
	}
	for (size_t i = 0; i < kept; i++)
		report_error("%s: bytes %llu to %llu can't be "
			     "read and were written as zeros: %s",
				all[i].file, (unsigned long long)all[i].from,
				(unsigned long long)all[i].to - 1,
				all[i].cause != NULL ? all[i].cause : "");
	restore->range_count = restore->told += kept;
	return 0;
}

json_t *restore_file_damaged_json(const struct restore_file *restore)
{
	json_t *list = json_array();
	for (size_t i = 0; i < restore->range_count; i++) {
		const struct restore_range *range = &restore->ranges[i];
		json_t *row = json_pack("{s:I,s:I,s:o}", "offset",
				(json_int_t)range->from, "length",
				(json_int_t)(range->to - range->from),
				"problem",
				report_json_problem("damaged", range->cause,
						range->file));
		document_set_name(row, "file", range->file);
		json_array_append_new(list, row);
	}
	return list;
}

uint64_t restore_file_damaged_bytes(const struct restore_file *restore)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < restore->range_count; i++)
		sum += restore->ranges[i].to - restore->ranges[i].from;
	return sum;
}

void restore_file_clear(struct restore_file *restore)
{
	for (size_t i = 0; i < restore->range_count; i++)
		free(restore->ranges[i].cause);
	free(restore->ranges);
	restore->ranges = NULL;
	restore->range_count = restore->range_room = restore->told = 0;
}

/* --- one file --- */

static void progress(void *ctx, struct progress_numbers *now)
{
	struct restore_file *restore = ctx;
	now->done = *restore->done_now;
	now->total = restore->size;
	now->all_done = restore->all_done + now->done;
	now->all_total = restore->all_total > restore->size ? restore->all_total
							    : 0;
	now->fresh = UINT64_MAX;
}

static void begin_image(struct restore_file *restore,
		const struct snapshot_file *file, uint64_t size,
		const _Atomic uint64_t *done, const _Atomic uint64_t *written)
{
	restore->file = file;
	restore->size = size;
	restore->done_now = done;
	restore->written_now = written;
	report_progress_begin(file->name, progress, restore);
}

static int end_image(struct restore_file *restore, int e)
{
	report_progress_end();
	restore->all_done += *restore->done_now;
	restore->written += *restore->written_now;
	restore->files++;
	if (e == 0)
		e = tell_damaged(restore);
	return e < 0 ? fail_within(e, "restoring %s", restore->file->name) : 0;
}

enum target {
	TARGET_FILE, /* new and empty, with its size */
	TARGET_DEVICE,
	TARGET_STREAM,
};

/* Copies FILE's image to FD. */
static int copy_image(struct restore_file *restore,
		const struct snapshot_file *file, int fd, const char *to,
		enum target target)
{
	struct image_copy copy = { .fd = fd,
		.to = to,
		.fresh = target != TARGET_DEVICE,
		.threads = restore->threads,
		.cancel = &interrupt_flag,
		.damaged = restore->zero_damaged ? note_damaged : NULL,
		.ctx = restore };
	int err = image_open(&copy.image, restore->reader, &file->root,
			file->size);
	if (err < 0)
		return fail_within(err, "%s", file->name);
	begin_image(restore, file, file->size, &copy.done, &copy.written);
	err = target == TARGET_STREAM ? image_copy_stream(&copy)
				      : image_copy_parallel(&copy);
	err = end_image(restore, err);
	image_close(copy.image);
	return err;
}

/* As a qcow2 file. TARGET is no device. */
static int copy_qcow2(struct restore_file *restore,
		const struct snapshot_file *file, int fd, const char *to,
		enum target target)
{
	struct qcow2_copy copy = { .fd = fd,
		.to = to,
		.cancel = &interrupt_flag };
	struct image *image = NULL;
	int err = image_open(&image, restore->reader, &file->root, file->size);
	if (err == 0)
		err = qcow2_open(&copy.view, image);
	if (err < 0) {
		image_close(image);
		return fail_within(err, "%s", file->name);
	}
	begin_image(restore, file, qcow2_size(copy.view), &copy.done,
			&copy.written);
	err = target == TARGET_STREAM ? qcow2_copy_stream(&copy)
				      : qcow2_copy(&copy);
	err = end_image(restore, err);
	qcow2_close(copy.view);
	image_close(image);
	return err;
}

uint64_t restore_file_qcow2_size(const struct snapshot_file *file)
{
	uint64_t size = 0, stored = 0;
	qcow2_measure(file->size, &file->root, &size, &stored);
	return size;
}

/* --- to a file --- */

/* A file on its way to its name. */
struct growing {
	struct restore_place place;
	int fd;
	char temporary[RESTORE_TEMPORARY_MAX]; /* "": it has its name */
};

static void growing_clear(struct growing *growing)
{
	if (growing->fd >= 0 && growing->temporary[0] != '\0')
		unlinkat(growing->place.directory, growing->temporary, 0);
	cleanup_fd(&growing->fd);
	restore_place_clear(&growing->place);
}

/* What stands there must be unused, and replacing it must be wanted. */
static int check_replaced(const struct restore_place *place,
		const struct restore_file *restore)
{
	struct stat st;
	if (restore->force)
		return restore_place_check_unused(place);
	if (!restore->follow_links && lstat(place->path, &st) == 0
			&& S_ISLNK(st.st_mode))
		return fail(-EEXIST,
				"%s is a symbolic link; --force follows it and "
				"replaces the file that it leads to",
				place->path);
	return place->exists ? restore_place_fail_exists(place->path) : 0;
}

static int growing_begin(struct growing *growing,
		const struct restore_file *restore, const char *path)
{
	struct restore_place *place = &growing->place;
	*growing = (struct growing){ .fd = -1 };
	int err = restore_place_open(place, path);
	if (err == 0)
		err = restore_place_check_file(place);
	if (err == 0)
		err = check_replaced(place, restore);
	if (err < 0)
		return err;
	restore_temporary_sweep(place->directory, path);
	growing->fd = restore_temporary_make(place->directory,
			growing->temporary);
	return growing->fd < 0 ? fail_within(growing->fd, "making %s", path)
			       : 0;
}

/* Right before the name is taken: hours may have passed. */
static int check_again(const struct growing *growing,
		const struct restore_file *restore)
{
	if (!restore->force)
		return 0;
	const char *path = growing->place.path;
	CLEANUP_RESTORE_PLACE struct restore_place now;
	int err = restore_place_open(&now, path);
	if (err == 0)
		err = restore_place_check_unused(&now);
	if (err == 0 && restore->may_replace != NULL)
		err = restore->may_replace(restore->ctx, path);
	return err;
}

static int growing_name(struct growing *growing,
		const struct restore_file *restore)
{
	const struct restore_place *place = &growing->place;
	int n = check_again(growing, restore);
	if (n < 0)
		return n;
	n = renameat2(place->directory, growing->temporary, place->directory,
			place->leaf, restore->force ? 0 : RENAME_NOREPLACE);
	if (n < 0 && !restore->force && (errno == EINVAL || errno == ENOSYS)) {
		/* A filesystem without it: link(2) doesn't replace either. */
		n = linkat(place->directory, growing->temporary,
				place->directory, place->leaf, 0);
		if (n == 0)
			unlinkat(place->directory, growing->temporary, 0);
	}
	if (n < 0 && errno == EEXIST)
		return restore_place_fail_exists(place->path);
	if (n == 0)
		growing->temporary[0] = '\0';
	if (n < 0 || fsync(place->directory) < 0)
		return fail_errno(-errno, "naming %s", place->path);
	return 0;
}

/* MTIME_NS 0: now. */
static int growing_finish(struct growing *growing,
		const struct restore_file *restore, mode_t mode,
		int64_t mtime_ns)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_NOW },
		{ .tv_sec = mtime_ns / 1000000000,
				.tv_nsec = mtime_ns % 1000000000 } };
	if (times[1].tv_nsec < 0) {
		times[1].tv_nsec += 1000000000;
		times[1].tv_sec--;
	}
	if (mtime_ns == 0)
		times[1] = times[0];
	if (restore->own && fchown(growing->fd, restore->uid, restore->gid) < 0)
		return fail_errno(-errno,
				"changing the owner of %s to user "
				"%u",
				growing->place.path, (unsigned)restore->uid);
	if (fchmod(growing->fd, mode & 0777) < 0
			|| futimens(growing->fd, times) < 0
			|| fsync(growing->fd) < 0)
		return fail_errno(-errno, "finishing %s", growing->place.path);
	return growing_name(growing, restore);
}

static int to_file(struct restore_file *restore,
		const struct snapshot_file *file, const char *path,
		enum restore_format format)
{
	CLEANUP(growing_clear) struct growing g;
	int err = growing_begin(&g, restore, path);
	if (err < 0)
		return err;
	if (format == RESTORE_RAW && ftruncate(g.fd, (off_t)file->size) < 0)
		return fail_errno(-errno,
				"setting the size of %s to %llu bytes", path,
				(unsigned long long)file->size);
	err = format == RESTORE_RAW
			? copy_image(restore, file, g.fd, path, TARGET_FILE)
			: copy_qcow2(restore, file, g.fd, path, TARGET_FILE);
	return err < 0 ? err
		       : growing_finish(&g, restore, file->mode,
				       file->mtime_ns);
}

int restore_file_text(struct restore_file *restore, const char *text,
		size_t len, mode_t mode, const char *path)
{
	CLEANUP(growing_clear) struct growing g;
	int err = growing_begin(&g, restore, path);
	if (err < 0)
		return err;
	ssize_t n = write(g.fd, text, len);
	if (n != (ssize_t)len)
		return fail_errno(n < 0 ? -errno : -ENOSPC, "writing %s", path);
	return growing_finish(&g, restore, mode, 0);
}

/* --- to a device or a stream --- */

static int check_device(const struct snapshot_file *file, int fd,
		const char *path)
{
	uint64_t size = 0;
	int err = device_size(fd, &size);
	if (err < 0)
		return fail_errno(err, "getting the size of %s", path);
	if (size < file->size)
		return fail(-ENOSPC,
				"%s has %llu bytes, %s needs %llu: use a "
				"larger device",
				path, (unsigned long long)size, file->name,
				(unsigned long long)file->size);
	return restore_place_check_unlocked(fd, path);
}

static int to_device(struct restore_file *restore,
		const struct snapshot_file *file,
		const struct restore_place *place, enum restore_format format)
{
	const char *path = place->path;
	if (!restore->force)
		return fail(-EEXIST,
				"%s is a block device; --force overwrites it",
				path);
	if (format != RESTORE_RAW)
		return fail(-EINVAL,
				"%s is a block device and can only be "
				"written as raw: use --format raw",
				path);
	CLEANUP_FD int fd = restore_place_open_existing(place, O_RDWR | O_EXCL);
	if (fd < 0)
		return fd;
	int err = check_device(file, fd, path);
	if (err == 0)
		err = copy_image(restore, file, fd, path, TARGET_DEVICE);
	if (err != 0)
		return err;
	if (fsync(fd) < 0)
		return fail_errno(-errno, "writing %s", path);
	return 0;
}

/* What is lost with a tree node can be written as zeros, but not as tables of a
 * qcow2 file. */
static int check_format(const struct restore_file *restore,
		enum restore_format format)
{
	if (format == RESTORE_QCOW2 && restore->zero_damaged)
		return fail(-EINVAL,
				"--damaged=zero works only with raw files "
				"(--format raw, or the file X.raw)");
	return 0;
}

int restore_file_to_path(struct restore_file *restore,
		const struct snapshot_file *file, const char *path,
		enum restore_format format)
{
	CLEANUP_RESTORE_PLACE struct restore_place place;
	int err = restore_place_open(&place, path);
	if (err == 0)
		err = check_format(restore, format);
	if (err < 0)
		return err;
	return place.exists && S_ISBLK(place.st.st_mode)
			? to_device(restore, file, &place, format)
			: to_file(restore, file, path, format);
}

int restore_file_check_path(const struct restore_file *restore,
		const char *path)
{
	CLEANUP_RESTORE_PLACE struct restore_place place;
	int err = restore_place_open(&place, path);
	return err < 0 ? err : check_replaced(&place, restore);
}

int restore_file_to_stdout(struct restore_file *restore,
		const struct snapshot_file *file, enum restore_format format)
{
	int err = check_format(restore, format);
	if (err < 0)
		return err;
	if (isatty(STDOUT_FILENO))
		return fail(-EINVAL,
				"refusing to write an image to a terminal; "
				"redirect it to a file or a pipe");
	if (format == RESTORE_QCOW2)
		return copy_qcow2(restore, file, STDOUT_FILENO,
				"standard output", TARGET_STREAM);
	return copy_image(restore, file, STDOUT_FILENO, "standard output",
			TARGET_STREAM);
}

/* --- the session: prune must not take the chunks from under us --- */

bool restore_file_warn_incomplete(const struct snapshot *snap)
{
	char missing[2048], shown[SNAPSHOT_SHOWN_MAX];
	if (snapshot_is_complete(snap))
		return false;
	report_warning("%s is incomplete, %s",
			snapshot_shown(shown, snap->object),
			snapshot_missing(missing, sizeof(missing), snap));
	return true;
}

bool restore_file_warn_damaged(const struct snapshot *snap, const char *name)
{
	const struct snapshot_file *file = snapshot_find_file(snap, name);
	return file != NULL && file->target != NULL
			&& snapshot_find_skipped(snap, SKIPPED_DAMAGED,
					   file->target)
			!= NULL
			&& restore_file_warn_incomplete(snap);
}

int restore_file_add_roots(struct repository *repo, const struct snapshot *snap,
		const char *activity, struct session **out)
{
	int err = session_begin(out, repo, SESSION_READ, activity);
	for (uint32_t i = 0; err == 0 && i < snap->file_count; i++)
		err = session_add_root(*out, &snap->files[i].root.id);
	if (session_unwritable(err)) {
		session_end(take_ptr(*out));
		report_warning("%s is not writable, so this restore can't "
			       "register a session: a prune running "
			       "meanwhile may break it",
				store_path(repo->store));
		return 0;
	}
	/* The snapshot's existence counts only once it is published. */
	return err < 0 ? err : snapshot_object_exists(repo, snap);
}
