/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of the local folder's implementation share: store.c (open,
 * read, list, delete), store_create.c (a new folder), store_put.c (durable
 * writing), lease.c (liveness). Nobody else includes this.
 */
#ifndef AMBERFS_STORE_STORE_INTERNAL_H
#define AMBERFS_STORE_STORE_INTERNAL_H

#include "fd_cache.h"
#include "store.h"

#include <pthread.h>

#define TEMPORARY_PREFIX ".tmp."
#define LOCAL_OWNER_MAX 64
#define LOCAL_TEMPORARY_MAX 128

struct store {
	int root; /* the repository's folder, opened O_DIRECTORY */
	char *path; /* absolute */
	bool writable;
	struct fd_cache *readers;
	pthread_mutex_t mutex;
	char owner[LOCAL_OWNER_MAX]; /* protected by mutex */
	uint64_t counter; /* of temporary names; protected by mutex */
};

/* -EINVAL with a text if NAME is no object's name: one to four components of
 * the allowed bytes, none empty, none starting with "." */
int local_check_name(const char *name);
bool local_component_ok(const char *name, size_t len);

/* Sets "can't DOING PATH/NAME: cause; remedy" and returns ERR. */
int local_fail(const struct store *s, int err, const char *doing,
		const char *name);

/* Opens the folder that NAME's last component is in, or -errno (no text). */
int local_open_folder(const struct store *s, const char *name);

/* After the last '/'. */
const char *local_leaf(const char *name);

/* fsync of a folder; NAME is an object in it, for the text. */
int local_sync_folder(const struct store *s, int folder, const char *name);

/* Makes a file ".tmp.<owner>.<counter>" (0600, read and write) in FOLDER, its
 * name in TMP. OWNER NULL: the store's. Returns its descriptor or -errno
 * without a text. */
int local_open_temporary(struct store *s, int folder, const char *owner,
		char tmp[LOCAL_TEMPORARY_MAX]);

/* Renames TMP (open as FD) in FOLDER to TO unless TO exists: then -EEXIST.
 * No text. */
int local_rename_new(int folder, int fd, const char *tmp, const char *to);

#endif
