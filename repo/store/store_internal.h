/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of the local directory's implementation share: store.c (open,
 * read, list, delete), store_create.c (a new directory), store_put.c (durable
 * writing), lease.c (liveness). Nobody else includes this.
 */
#ifndef AMBERFS_STORE_STORE_INTERNAL_H
#define AMBERFS_STORE_STORE_INTERNAL_H

#include <pthread.h>

#include "fd_cache.h"
#include "store.h"
#include "repo/base/thread_safety.h"

#define TEMPORARY_PREFIX ".tmp."
#define STORE_OWNER_MAX 64
#define STORE_TEMPORARY_MAX 128

struct store {
	int root;   /* the repository's directory, opened O_DIRECTORY */
	char *path; /* absolute */
	bool writable;
	struct fd_cache *readers;
	pthread_mutex_t mutex;
	char owner[STORE_OWNER_MAX] GUARDED_BY(mutex);
	uint64_t counter GUARDED_BY(mutex); /* of temporary names */
};

/* -EINVAL with a text if NAME is no object's name: one to four components of
 * the allowed bytes, none empty, none starting with "." */
int store_check_name(const char *name);
bool store_component_ok(const char *name, size_t len);

/* Sets "can't DOING PATH/NAME: cause; remedy" and returns ERR. */
int store_fail(const struct store *store, int err, const char *doing,
		const char *name);

/* Opens the directory that NAME's last component is in, or -errno (no text). */
int store_open_directory(const struct store *store, const char *name);

/* After the last '/'. */
const char *store_last_component(const char *name);

/* fsync of a directory; NAME is an object in it, for the text. */
int store_sync_directory(const struct store *store, int directory,
		const char *name);

/* Makes a file ".tmp.<owner>.<counter>" (0600, read and write) in DIRECTORY, its
 * name in TMP. OWNER NULL: the store's. Returns its descriptor or -errno
 * without a text. */
int store_open_temporary(struct store *store, int directory, const char *owner,
		char tmp[STORE_TEMPORARY_MAX]);

/* Renames TMP (open as FD) in DIRECTORY to TO unless TO exists: then -EEXIST.
 * No text. */
int store_rename_new(int directory, int fd, const char *tmp, const char *to);

#endif
