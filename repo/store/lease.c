/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Leases of the local directory: a kernel lock (flock) on "sessions/ID.lock".
 * The kernel frees it when the last process that has the descriptor open ends,
 * however it ends, so a dead session is known at once and for certain.
 *
 * The lock is taken on a temporary file that is then renamed, so the file is
 * never seen unlocked while its owner lives. It need not be durable: after a
 * crash of the machine nobody holds it anyway.
 *
 * A lock belongs to the open file, which a forked child shares: a child that
 * outlives its parent would keep the parent's lease alive, and a parent that
 * releases it would take it from the child. So a daemon must acquire its lease
 * after its last fork; children that exec lose it by O_CLOEXEC.
 */
#include "store_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"

#define LEASE_NAME_MAX 96
/* Far more than passes between making the file of a lease and naming it. */
#define MAKING_SECONDS 3600

struct lease {
	int directory, fd;
	char leaf[LEASE_NAME_MAX];
};

static int lease_name(char out[LEASE_NAME_MAX], const char *id)
{
	size_t len = strlen(id);
	if (len >= STORE_OWNER_MAX || !store_component_ok(id, len))
		return fail(-EINVAL, "not a possible session id");
	snprintf(out, LEASE_NAME_MAX, "sessions/%s.lock", id);
	return 0;
}

static int lock_failed(const struct store *store, int err)
{
	if (err == -ENOLCK || err == -EOPNOTSUPP || err == -ENOSYS)
		return fail(err,
				"the filesystem of %s does not support "
				"locks (flock), which are needed to tell "
				"live sessions from dead ones; mount it with "
				"locks",
				store->path);
	return fail_errno(err, "can't lock a session in %s", store->path);
}

/* Makes, locks and names the file. */
static int take(struct store *store, struct lease *lease, const char *id,
		const char *name)
{
	char tmp[STORE_TEMPORARY_MAX];
	lease->fd = store_open_temporary(store, lease->directory, id, tmp);
	if (lease->fd < 0)
		return store_fail(store, lease->fd, "make", name);
	int err = 0;
	if (flock(lease->fd, LOCK_EX | LOCK_NB) < 0)
		err = lock_failed(store, -errno);
	if (err == 0) {
		err = store_rename_new(lease->directory, lease->fd, tmp,
				lease->leaf);
		if (err < 0)
			store_fail(store, err, "make", name);
	}
	if (err < 0)
		unlinkat(lease->directory, tmp, 0);
	return err;
}

static void lease_free(struct lease *lease)
{
	if (lease->fd >= 0)
		close(lease->fd);
	if (lease->directory >= 0)
		close(lease->directory);
	free(lease);
}

int lease_acquire(struct store *store, const char *id, struct lease **out)
{
	char name[LEASE_NAME_MAX];
	int err = lease_name(name, id);
	if (err < 0)
		return err;
	struct lease *lease = calloc(1, sizeof(*lease));
	if (lease == NULL)
		return fail_no_memory("making a session");
	lease->fd = -1;
	memcpy(lease->leaf, store_last_component(name),
			strlen(store_last_component(name)) + 1);
	lease->directory = store_open_directory(store, name);
	if (lease->directory < 0)
		err = store_fail(store, lease->directory,
				"open the directory of", name);
	else
		err = take(store, lease, id, name);
	if (err < 0) {
		lease_free(lease);
		return err;
	}
	*out = lease;
	return 0;
}

void lease_release(struct lease *lease)
{
	if (lease == NULL)
		return;
	/* The name first: a name without a lock means a dead session. */
	unlinkat(lease->directory, lease->leaf, 0);
	lease_free(lease);
}

/* 1, 0 or -errno. A shared lock is enough to probe, so that concurrent probes
 * don't take each other for the owner. */
static int probe(struct store *store, const char *name)
{
	CLEANUP_FD int fd = openat(store->root, name,
			O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return store_fail(store, -errno, "access", name);
	if (flock(fd, LOCK_SH | LOCK_NB) == 0)
		return 0;
	return errno == EWOULDBLOCK ? 1 : lock_failed(store, -errno);
}

int lease_alive(struct store *store, const char *id)
{
	char name[LEASE_NAME_MAX];
	int err = lease_name(name, id);
	return err < 0 ? err : probe(store, name);
}

int lease_remove_dead(struct store *store, const char *id)
{
	char name[LEASE_NAME_MAX];
	int err = lease_name(name, id);
	if (err < 0)
		return err;
	err = probe(store, name);
	if (err < 0)
		return err;
	if (err > 0)
		return fail(-EBUSY, "session %s is alive", id);
	if (unlinkat(store->root, name, 0) < 0 && errno != ENOENT)
		return store_fail(store, -errno, "delete", name);
	return store_remove_temporaries(store, id);
}

/* --- who there is --- */

static void close_dir(DIR **d)
{
	if (*d != NULL)
		closedir(*d);
}

/* "ID.lock". */
static bool id_of_lease(char id[STORE_OWNER_MAX], const char *leaf)
{
	const char *dot = strrchr(leaf, '.');
	size_t len = dot != NULL ? (size_t)(dot - leaf) : 0;
	if (len == 0 || len >= STORE_OWNER_MAX || strcmp(dot, ".lock") != 0
			|| !store_component_ok(leaf, len))
		return false;
	memcpy(id, leaf, len);
	id[len] = '\0';
	return true;
}

/* ".tmp.ID.N" that has not been touched for long. */
static bool id_of_unfinished(char id[STORE_OWNER_MAX], int directory,
		const char *leaf)
{
	const size_t skip = strlen(TEMPORARY_PREFIX);
	const char *dot = strrchr(leaf, '.');
	struct stat st;
	if (strncmp(leaf, TEMPORARY_PREFIX, skip) != 0 || dot < leaf + skip)
		return false;
	size_t len = (size_t)(dot - leaf) - skip;
	if (len >= STORE_OWNER_MAX || !store_component_ok(leaf + skip, len)
			|| fstatat(directory, leaf, &st, AT_SYMLINK_NOFOLLOW)
					< 0
			|| time(NULL) - st.st_mtime < MAKING_SECONDS)
		return false;
	memcpy(id, leaf + skip, len);
	id[len] = '\0';
	return true;
}

int lease_list(struct store *store, lease_list_fn *fn, void *ctx)
{
	int directory = openat(store->root, "sessions",
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(close_dir) DIR *d = directory < 0 ? NULL : fdopendir(directory);
	char id[STORE_OWNER_MAX];
	int err = 0;
	if (directory < 0)
		return store_fail(store, -errno, "list", "sessions");
	if (d == NULL) {
		close(directory);
		return fail_no_memory("listing the sessions");
	}
	while (err == 0) {
		errno = 0;
		struct dirent *entry = readdir(d);
		if (entry == NULL)
			return errno == 0 ? 0
					  : store_fail(store, -errno, "list",
							  "sessions");
		if (id_of_lease(id, entry->d_name)
				|| id_of_unfinished(id, directory,
						entry->d_name))
			err = fn(ctx, id);
	}
	return err;
}
