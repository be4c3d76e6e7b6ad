/* SPDX-License-Identifier: GPL-3.0-or-later */
/* boot.json; see boot_state.h. Written to a new file, fsynced, renamed over the
 * old one. */
#include "boot_state.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/report.h"

#define STATE_MAX (1u << 20)
#define SECOND_MAX INT64_C(253402300799)

void boot_state_clear(struct boot_state *state)
{
	for (uint32_t i = 0; i < state->disk_count; i++) {
		free(state->disks[i].target);
		free(state->disks[i].file);
	}
	free(state->disks);
	free(state->name);
	free(state->repository);
	free(state->snapshot);
	free(state->id);
	free(state->uri);
	*state = (struct boot_state){ .name = NULL };
}

int boot_state_add_disk(struct boot_state *state, const char *target,
		const char *file)
{
	struct boot_disk *more = reallocarray(state->disks,
			(size_t)state->disk_count + 1, sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	state->disks = more;
	struct boot_disk *disk = &more[state->disk_count++];
	disk->target = strdup(target);
	disk->file = strdup(file);
	return disk->target != NULL && disk->file != NULL ? 0 : -ENOMEM;
}

/* --- JSON --- */

static json_t *disks_to_json(const struct boot_state *state)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < state->disk_count; i++)
		json_array_append_new(list,
				json_pack("{s:s,s:s}", "target",
						state->disks[i].target, "file",
						state->disks[i].file));
	return list;
}

static json_t *to_json(const struct boot_state *state)
{
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:I,s:b,s:b,s:b,s:o}", "name",
			state->name, "repository", state->repository,
			"snapshot", state->snapshot, "id", state->id, "uri",
			state->uri, "since", (json_int_t)state->since, "ready",
			state->ready, "pausing", state->pausing, "whole",
			state->whole, "disks", disks_to_json(state));
}

static int from_json(struct boot_state *state, json_t *json, const char *path)
{
	struct json_fields m;
	json_fields_begin(&m, json, path, "%s", "");
	state->name = json_fields_text(&m, "name", true);
	state->repository = json_fields_text(&m, "repository", true);
	state->snapshot = json_fields_text(&m, "snapshot", true);
	state->id = json_fields_text(&m, "id", true);
	state->uri = json_fields_text(&m, "uri", true);
	state->since = json_fields_number(&m, "since", 0, SECOND_MAX);
	if (m.err < 0)
		return m.err;
	state->ready = json_is_true(json_object_get(json, "ready"));
	state->pausing = json_is_true(json_object_get(json, "pausing"));
	state->whole = json_is_true(json_object_get(json, "whole"));
	size_t i;
	json_t *disk;
	json_array_foreach (json_object_get(json, "disks"), i, disk) {
		const char *target = NULL, *file = NULL;
		if (json_unpack(disk, "{s:s,s:s}", "target", &target, "file",
				    &file)
				< 0)
			return fail(-EBADMSG, "%s: a disk without a name",
					path);
		if (boot_state_add_disk(state, target, file) < 0)
			return fail_errno(-ENOMEM, "reading %s", path);
	}
	return 0;
}

/* --- the file --- */

static int read_text(const char *path, char **text, size_t *len)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	if (fd < 0)
		return errno == ENOENT ? -ENOENT
				       : fail_errno(-errno, "opening %s", path);
	if (fstat(fd, &st) < 0)
		return fail_errno(-errno, "examining %s", path);
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)STATE_MAX)
		return fail(-EBADMSG, "%s was not written by amberfs", path);
	CLEANUP_FREE char *buf = malloc((size_t)st.st_size + 1);
	if (buf == NULL)
		return fail_errno(-ENOMEM, "reading %s", path);
	ssize_t n = pread(fd, buf, (size_t)st.st_size, 0);
	if (n != st.st_size)
		return fail_errno(n < 0 ? -errno : -EIO, "reading %s", path);
	buf[n] = '\0';
	*len = (size_t)n;
	*text = take_ptr(buf);
	return 0;
}

int boot_state_load(struct boot_state *out, const char *directory)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FREE char *text = NULL;
	CLEANUP_JSON json_t *json = NULL;
	size_t len = 0;
	*out = (struct boot_state){ .name = NULL };
	if (asprintf(&path, "%s/" BOOT_STATE_NAME, directory) < 0) {
		path = NULL;
		return fail_no_memory("booting the snapshot");
	}
	int err = read_text(path, &text, &len);
	if (err == 0)
		err = json_fields_load(&json, path, text, len);
	if (err == 0)
		err = from_json(out, json, path);
	if (err < 0)
		boot_state_clear(out);
	return err;
}

static int write_text(const char *path, const char *text)
{
	size_t len = strlen(text);
	CLEANUP_FD int fd = open(path,
			O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
			0600);
	if (fd < 0)
		return fail_errno(-errno, "making %s", path);
	ssize_t n = write(fd, text, len);
	if (n != (ssize_t)len || fsync(fd) < 0)
		return fail_errno(n >= 0 && n < (ssize_t)len ? -ENOSPC : -errno,
				"writing %s", path);
	return 0;
}

int boot_state_save(const struct boot_state *state, const char *directory)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FREE char *temporary = NULL;
	assert(state->name != NULL && state->snapshot != NULL);
	CLEANUP_JSON json_t *json = to_json(state);
	CLEANUP_FREE char *text = json != NULL
			? json_dumps(json, JSON_INDENT(2) | JSON_ENSURE_ASCII)
			: NULL;
	if (text == NULL)
		return fail(-EINVAL,
				"names and paths must be valid UTF-8 to boot a "
				"snapshot");
	if (asprintf(&path, "%s/" BOOT_STATE_NAME, directory) < 0)
		path = NULL;
	if (asprintf(&temporary, "%s/.%s.new", directory, BOOT_STATE_NAME) < 0)
		temporary = NULL;
	if (path == NULL || temporary == NULL)
		return fail_no_memory("booting the snapshot");
	int err = write_text(temporary, text);
	if (err < 0)
		return err;
	CLEANUP_FD int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || rename(temporary, path) < 0 || fsync(fd) < 0)
		return fail_errno(-errno, "renaming to %s", path);
	return 0;
}
