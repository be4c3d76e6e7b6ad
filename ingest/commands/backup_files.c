/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backup_files.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "repo/base/cleanup.h"
#include "repo/base/units.h"
#include "repo/base/device.h"
#include "repo/base/interrupt.h"

#define MODE_DEVICE 0600u
#define POLL_MS 200

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

uint64_t backup_path_size(const char *path)
{
	struct stat st;
	uint64_t size = 0;
	if (stat(path, &st) < 0)
		return 0;
	if (!S_ISBLK(st.st_mode))
		return (uint64_t)st.st_size;
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && device_size(fd, &size) == 0 ? size : 0;
}

static void take_attributes(struct backup_file *f, const struct stat *st)
{
	bool device = S_ISBLK(st->st_mode);
	if (f->mode == 0)
		f->mode = device ? MODE_DEVICE : st->st_mode & 0777;
	f->mtime_ns = device ? realtime_ns()
			     : (int64_t)st->st_mtim.tv_sec * 1000000000
					       + st->st_mtim.tv_nsec;
}

int backup_path(struct backup_snapshot *b, const char *path,
		struct backup_file *f)
{
	struct file_source *file;
	struct file_identity identity;
	struct image_source source;
	bool taken;
	int e = file_source_open(&file, path, b->lane->workers);
	if (e < 0)
		return e;
	file_source_identity(file, &identity);
	f->identities = &identity;
	f->identity_count = 1;
	if (f->mtime_ns == INT64_MIN)
		take_attributes(f, file_source_stat(file));
	e = backup_snapshot_take_over(b, f, &taken);
	if (e == 0 && !taken) {
		file_source_fill(file, &source);
		e = backup_snapshot_store(b, f, &source);
		if (e == 0)
			e = file_source_recheck(file);
	}
	file_source_close(file);
	f->identities = NULL; /* they were this function's */
	f->identity_count = 0;
	return e;
}

/* --- a stream --- */

/* Called by a worker, while a signal interrupts the main thread: so it looks
 * up from an idle pipe now and then. */
static ssize_t next_bytes(void *ctx, void *buf, size_t len)
{
	(void)ctx;
	while (!interrupt_flag) {
		struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
		int ready = poll(&p, 1, POLL_MS);
		if (ready == 0)
			continue;
		ssize_t n = ready < 0 ? -1 : read(STDIN_FILENO, buf, len);
		if (n >= 0)
			return n;
		if (errno != EINTR && errno != EAGAIN)
			return fail_errno(-errno, "reading standard input");
	}
	return fail(-ECANCELED, "interrupted");
}

static int backup_stdin(struct backup_snapshot *b, const char *stdin_name)
{
	struct backup_file f = { .name = stdin_name, .kind = FILE_IMAGE,
		.mode = 0600, .mtime_ns = realtime_ns() };
	struct image_source source = { .next = next_bytes };
	return backup_snapshot_store(b, &f, &source);
}

/* --- the source --- */

static int backup_one(struct backup_snapshot *b, const char *path,
		const char *stdin_name)
{
	CLEANUP_FREE char *real = NULL;
	if (strcmp(path, "-") == 0)
		return backup_stdin(b, stdin_name);
	real = realpath(path, NULL);
	if (real == NULL)
		return fail_errno(-errno, "opening %s", path);
	struct backup_file f = { .name = base_name(path), .kind = FILE_IMAGE,
		.mtime_ns = INT64_MIN, .source_path = real };
	return backup_path(b, path, &f);
}

void backup_files(struct backup_lane *lane, const char *name,
		const char *const *paths, int count, const char *stdin_name)
{
	struct backup_snapshot b;
	for (int i = 0; i < count; i++)
		lane->run->all_total += backup_path_size(paths[i]);
	int e = backup_snapshot_begin(&b, lane, name, SNAPSHOT_FILES);
	if (e == 0 && count > (int)SNAPSHOT_FILES_MAX)
		e = fail(-E2BIG, "%d files are more than the %u of a snapshot: "
				"give them several names", count,
				SNAPSHOT_FILES_MAX);
	for (int i = 0; e == 0 && i < count; i++)
		e = backup_one(&b, paths[i], stdin_name);
	if (e == 0)
		e = backup_snapshot_commit(&b);
	if (e < 0)
		backup_run_broken(lane->run, e);
	backup_snapshot_end(&b, name, e);
}
