/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Durable writing into the local directory. Order of the steps:
 *	1 the object's directory is made if it is missing, and its parent fsynced
 *	2 a temporary file in that directory is written
 *	3 fdatasync of the temporary file
 *	4 rename to the final name
 *	5 fsync of the directory
 * A crash before 4 leaves a temporary file, which store_remove_temporaries
 * finds by its owner; between 4 and 5 the whole object or nothing. A failed
 * fsync is never tried again: the kernel may have dropped the pages and would
 * then report success over lost data.
 */
#include "store_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/units.h"

/* Writeback is started in such steps, so that the fdatasync of a pack finds
 * little left to do. */
#define WRITEBACK_STEP (8 * MIB)

struct store_put {
	struct store *s;
	int directory, fd;
	uint64_t size;	  /* bytes written */
	uint64_t started; /* of these, bytes whose writeback was started */
	char name[OBJECT_NAME_MAX];
	char tmp[STORE_TEMPORARY_MAX];
};

static int sync_path(struct store *store, const char *path, const char *name)
{
	CLEANUP_FD int fd = openat(store->root, path,
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return store_fail(store, -errno, "open the directory of", name);
	return store_sync_directory(store, fd, name);
}

/* Makes the directories above NAME's last component and fsyncs the parent of
 * each, also of those that are there: another process may have made them just
 * now and not have come to its own fsync. */
static int make_directories(struct store *store, const char *name)
{
	char path[OBJECT_NAME_MAX], parent[OBJECT_NAME_MAX] = ".";
	for (const char *p = strchr(name, '/'); p != NULL;
			p = strchr(p + 1, '/')) {
		snprintf(path, sizeof(path), "%.*s", (int)(p - name), name);
		if (mkdirat(store->root, path, 0700) < 0 && errno != EEXIST)
			return store_fail(store, -errno,
					"make the directory of", name);
		int err = sync_path(store, parent, name);
		if (err < 0)
			return err;
		memcpy(parent, path, sizeof(parent));
	}
	return 0;
}

/* Shards were made and fsynced with the repository, the kinds too; only what
 * is below another kind comes later. */
static bool has_late_directory(const char *name)
{
	const char *first = strchr(name, '/');
	return first != NULL && strchr(first + 1, '/') != NULL
			&& strncmp(name, "packs/", 6) != 0;
}

static int open_directory(struct store *store, const char *name)
{
	if (has_late_directory(name)) {
		int err = make_directories(store, name);
		if (err < 0)
			return err;
	}
	int fd = store_open_directory(store, name);
	if (fd == -ENOENT) {
		int err = make_directories(store, name);
		if (err < 0)
			return err;
		fd = store_open_directory(store, name);
	}
	return fd < 0 ? store_fail(store, fd, "open the directory of", name)
		      : fd;
}

int store_put_begin(struct store *store, struct store_put **out,
		const char *name)
{
	int err = store_check_name(name);
	if (err < 0)
		return err;
	struct store_put *put = calloc(1, sizeof(*put));
	if (put == NULL) {
		fail_errno(-ENOMEM, "writing %s", name);
		return -ENOMEM;
	}
	put->s = store;
	put->fd = -1;
	snprintf(put->name, sizeof(put->name), "%s", name);
	err = put->directory = open_directory(store, name);
	if (err >= 0) {
		err = put->fd = store_open_temporary(store, put->directory,
				NULL, put->tmp);
		if (err < 0)
			store_fail(store, err, "write", name);
	}
	if (err < 0) {
		store_put_abort(put);
		return err;
	}
	*out = put;
	return 0;
}

static int start_writeback(struct store_put *put)
{
	while (put->size - put->started >= WRITEBACK_STEP) {
		if (sync_file_range(put->fd, (off_t)put->started,
				    (off_t)WRITEBACK_STEP,
				    SYNC_FILE_RANGE_WRITE)
						< 0
				&& errno != ENOSYS && errno != EINVAL)
			return store_fail(put->s, -errno, "write", put->name);
		put->started += WRITEBACK_STEP;
	}
	return 0;
}

int store_put_write(struct store_put *put, const void *data, size_t len)
{
	const char *from = data;
	while (len > 0) {
		ssize_t n = pwrite(put->fd, from, len, (off_t)put->size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return store_fail(put->s, n == 0 ? -EIO : -errno,
					"write", put->name);
		from += n;
		len -= (size_t)n;
		put->size += (uint64_t)n;
	}
	return start_writeback(put);
}

int store_put_read(struct store_put *put, void *buf, size_t len,
		uint64_t offset)
{
	char *to = buf;
	if (offset > put->size || len > put->size - offset)
		return fail(-EINVAL,
				"reading beyond what has been written of "
				"%s/%s",
				put->s->path, put->name);
	while (len > 0) {
		ssize_t n = pread(put->fd, to, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return store_fail(put->s, n == 0 ? -EIO : -errno,
					"read back", put->name);
		to += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

/* Step 3, and gives the page cache back: a backup must not push out what the
 * host's guests have there. */
static int sync_data(struct store_put *put)
{
	if (fdatasync(put->fd) < 0)
		return store_fail(put->s, -errno, "fsync", put->name);
	if (put->size >= MIB)
		posix_fadvise(put->fd, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

/* Step 4. *REPLACED: an older object was under the name. */
static int set_name(struct store_put *put, bool exclusive, bool *replaced)
{
	const char *leaf = store_last_component(put->name);
	int err = store_rename_new(put->directory, put->fd, put->tmp, leaf);
	if (err == -EEXIST && !exclusive) {
		*replaced = true;
		err = renameat(put->directory, put->tmp, put->directory, leaf)
						< 0
				? -errno
				: 0;
	}
	if (err == -EEXIST)
		return fail(err, "%s/%s already exists", put->s->path,
				put->name);
	if (err < 0)
		return store_fail(put->s, err, "rename a temporary file to",
				put->name);
	put->tmp[0] = '\0';
	return 0;
}

int store_put_commit(struct store_put *put, bool exclusive)
{
	bool replaced = false;
	int err = sync_data(put);
	if (err == 0)
		err = set_name(put, exclusive, &replaced);
	if (err == 0) {
		err = store_sync_directory(put->s, put->directory, put->name);
		/* Not known to be durable, so it must not be found either; but
		 * another session may already have found chunks in a pack. */
		if (err < 0 && !replaced
				&& strncmp(put->name, "packs/", 6) != 0)
			unlinkat(put->directory,
					store_last_component(put->name), 0);
		/* A replaced object's descriptor would show the old bytes. */
		if (replaced)
			store_forget(put->s, put->name);
	}
	store_put_abort(put);
	return err;
}

/* Starts the writeback of all, so that the first fdatasync takes the others
 * along: of a journal's records that are on disk there is nothing left to wait
 * for. Only a hint. */
static void start_all(struct store_put **puts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		(void)sync_file_range(puts[i]->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

int store_put_commit_all(struct store_put **puts, size_t count)
{
	bool replaced;
	int err = 0;
	start_all(puts, count);
	for (size_t i = 0; err == 0 && i < count; i++)
		err = sync_data(puts[i]);
	for (size_t i = 0; err == 0 && i < count; i++) {
		err = set_name(puts[i], true, &replaced);
		if (err == -EEXIST)
			err = 0;
	}
	if (err == 0 && count > 0)
		err = store_sync_directory(puts[0]->s, puts[0]->directory,
				puts[0]->name);
	for (size_t i = 0; i < count; i++)
		store_put_abort(puts[i]);
	return err;
}

void store_put_abort(struct store_put *put)
{
	if (put == NULL)
		return;
	if (put->fd >= 0) {
		if (put->tmp[0] != '\0')
			unlinkat(put->directory, put->tmp, 0);
		close(put->fd);
	}
	if (put->directory >= 0)
		close(put->directory);
	free(put);
}

int store_put(struct store *store, const char *name, const void *data,
		size_t len, bool exclusive)
{
	struct store_put *put;
	int err = store_put_begin(store, &put, name);
	if (err < 0)
		return err;
	err = store_put_write(put, data, len);
	if (err < 0) {
		store_put_abort(put);
		return err;
	}
	return store_put_commit(put, exclusive);
}

int store_put_sync_packs(struct store *store)
{
	char path[16];
	int err = 0;
	for (unsigned shard = 0; err == 0 && shard < 256; shard++) {
		snprintf(path, sizeof(path), "packs/%02x", shard);
		err = sync_path(store, path, path);
	}
	return err;
}
