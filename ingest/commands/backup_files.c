/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backup_files.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "ingest/backup/backup_path.h"
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

/* Runs in a worker, while signals interrupt the main thread: so it does not
 * block on an idle pipe, but checks for an interruption from time to time. */
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

static int backup_stdin(struct backup_snapshot *snapshot,
		const char *stdin_name)
{
	struct backup_file f = { .name = stdin_name,
		.kind = FILE_IMAGE,
		.mode = 0600,
		.mtime_ns = realtime_ns() };
	struct image_source source = { .next = next_bytes };
	return backup_snapshot_store(snapshot, &f, &source);
}

/* --- the source --- */

static int backup_one(struct backup_snapshot *snapshot, const char *path,
		const char *stdin_name)
{
	CLEANUP_FREE char *real = NULL;
	if (strcmp(path, "-") == 0)
		return backup_stdin(snapshot, stdin_name);
	real = realpath(path, NULL);
	if (real == NULL)
		return fail_errno(-errno, "opening %s", path);
	struct backup_file f = { .name = base_name(path),
		.kind = FILE_IMAGE,
		.mtime_ns = INT64_MIN,
		.source_path = real };
	return backup_path(snapshot, path, &f);
}

void backup_files(struct backup_lane *lane, const char *name,
		const char *const *paths, int count, const char *stdin_name)
{
	struct backup_snapshot b;
	not_shared(&lane->run->mutex);
	for (int i = 0; i < count; i++)
		lane->run->all_total += backup_path_size(paths[i]);
	int err = backup_snapshot_begin(&b, lane, name, SNAPSHOT_FILES);
	if (err == 0 && count > (int)SNAPSHOT_FILES_MAX)
		err = fail(-E2BIG,
				"%d files are too many for one snapshot (at "
				"most %u): split them up under several names",
				count, SNAPSHOT_FILES_MAX);
	for (int i = 0; err == 0 && i < count; i++)
		err = backup_one(&b, paths[i], stdin_name);
	if (err == 0)
		err = backup_snapshot_commit(&b);
	if (err < 0)
		backup_run_broken(lane->run, err);
	backup_snapshot_end(&b, name, err);
}
