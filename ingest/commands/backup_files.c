/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backup_files.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "ingest/backup/backup_path.h"
#include "ingest/source/command_stream.h"
#include "repo/base/cleanup.h"
#include "repo/base/interrupt.h"
#include "repo/base/units.h"

#define POLL_MS 200

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash != NULL ? slash + 1 : path;
}

/* --- a stream --- */

struct stream {
	int fd;
	uint64_t total; /* bytes */
};

/* Runs in a worker, while signals interrupt the main thread: so it does not
 * block on an idle pipe, but checks for an interruption from time to time. */
static ssize_t next_bytes(void *ctx, void *buf, size_t len)
{
	struct stream *stream = ctx;
	while (!interrupt_flag) {
		struct pollfd p = { .fd = stream->fd, .events = POLLIN };
		int ready = poll(&p, 1, POLL_MS);
		if (ready == 0)
			continue;
		ssize_t n = ready < 0 ? -1 : read(stream->fd, buf, len);
		if (n >= 0) {
			stream->total += (uint64_t)n;
			return n;
		}
		if (errno != EINTR && errno != EAGAIN)
			return fail_errno(-errno, "reading the stream");
	}
	return fail(-ECANCELED, "interrupted");
}

static int backup_stream(struct backup_snapshot *snapshot,
		const struct backup_files *files, int fd)
{
	struct backup_file f = { .name = files->stdin_name,
		.kind = FILE_IMAGE,
		.mode = 0600,
		.mtime_ns = realtime_ns() };
	struct stream stream = { .fd = fd };
	struct image_source source = { .next = next_bytes, .ctx = &stream };
	int err = backup_snapshot_store(snapshot, &f, &source);
	if (err == 0 && stream.total == 0 && !files->allow_empty)
		err = fail(-ENODATA,
				"the stream was empty, so nothing is stored; "
				"--allow-empty stores it all the same");
	return err;
}

/* What a command has written before it failed is not stored as good. */
static int backup_output(struct backup_snapshot *snapshot,
		const struct backup_files *files)
{
	struct command_stream stream;
	struct error_copy why;
	int err = command_stream_start(&stream, files->command);
	if (err < 0)
		return err;
	err = backup_stream(snapshot, files, stream.fd);
	if (err == 0)
		return command_stream_end(&stream);
	error_save(&why, err);
	/* That it failed explains best why there was nothing. */
	int failed = err == -ENODATA ? command_stream_end(&stream) : 0;
	command_stream_kill(&stream);
	return failed < 0 ? failed : error_load(&why);
}

/* --- the source --- */

static int backup_one(struct backup_snapshot *snapshot,
		const struct backup_files *files, const char *path)
{
	CLEANUP_FREE char *real = NULL;
	if (strcmp(path, "-") == 0)
		return backup_stream(snapshot, files, STDIN_FILENO);
	real = realpath(path, NULL);
	if (real == NULL)
		return fail_errno(-errno, "opening %s", path);
	struct backup_file f = { .name = base_name(path),
		.kind = FILE_IMAGE,
		.mtime_ns = INT64_MIN,
		.source_path = real };
	return backup_path(snapshot, path, &f);
}

void backup_files(struct backup_lane *lane, const struct backup_files *files)
{
	struct backup_snapshot b;
	not_shared(&lane->run->mutex);
	for (int i = 0; i < files->count; i++)
		lane->run->all_total += backup_path_size(files->paths[i]);
	const struct backup_subject subject = { .source = files->name,
		.kind = SNAPSHOT_FILES };
	int err = backup_snapshot_begin(&b, lane, &subject);
	if (err == 0 && files->count > (int)SNAPSHOT_FILES_MAX)
		err = fail(-E2BIG,
				"%d files are too many for one snapshot (at "
				"most %u): split them up under several names",
				files->count, SNAPSHOT_FILES_MAX);
	for (int i = 0; err == 0 && i < files->count; i++)
		err = backup_one(&b, files, files->paths[i]);
	if (err == 0 && files->command != NULL)
		err = backup_output(&b, files);
	if (err == 0)
		err = backup_snapshot_commit(&b);
	if (err < 0)
		backup_run_broken(lane->run, err);
	backup_snapshot_end(&b, files->name, err);
}
