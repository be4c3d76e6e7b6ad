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

#include "repo/base/cleanup.h"
#include "repo/base/error.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

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

static int lock_failed(const struct store *s, int err)
{
	if (err == -ENOLCK || err == -EOPNOTSUPP || err == -ENOSYS)
		return fail(err,
				"the filesystem of %s has no locks (flock), "
				"without which sessions can't be told dead "
				"from alive; mount it with locks",
				s->path);
	return fail_errno(err, "can't lock a session in %s", s->path);
}

/* Makes, locks and names the file. */
static int take(struct store *s, struct lease *l, const char *id,
		const char *name)
{
	char tmp[STORE_TEMPORARY_MAX];
	l->fd = store_open_temporary(s, l->directory, id, tmp);
	if (l->fd < 0)
		return store_fail(s, l->fd, "make", name);
	int err = 0;
	if (flock(l->fd, LOCK_EX | LOCK_NB) < 0)
		err = lock_failed(s, -errno);
	if (err == 0) {
		err = store_rename_new(l->directory, l->fd, tmp, l->leaf);
		if (err < 0)
			store_fail(s, err, "make", name);
	}
	if (err < 0)
		unlinkat(l->directory, tmp, 0);
	return err;
}

static void lease_free(struct lease *l)
{
	if (l->fd >= 0)
		close(l->fd);
	if (l->directory >= 0)
		close(l->directory);
	free(l);
}

int lease_acquire(struct store *s, const char *id, struct lease **out)
{
	char name[LEASE_NAME_MAX];
	int err = lease_name(name, id);
	if (err < 0)
		return err;
	struct lease *l = calloc(1, sizeof(*l));
	if (l == NULL)
		return fail_errno(-ENOMEM, "making a session");
	l->fd = -1;
	memcpy(l->leaf, store_last_component(name), strlen(store_last_component(name)) + 1);
	l->directory = store_open_directory(s, name);
	if (l->directory < 0)
		err = store_fail(s, l->directory, "open the folder of", name);
	else
		err = take(s, l, id, name);
	if (err < 0) {
		lease_free(l);
		return err;
	}
	*out = l;
	return 0;
}

void lease_release(struct lease *l)
{
	if (l == NULL)
		return;
	/* The name first: a name without a lock means a death. */
	unlinkat(l->directory, l->leaf, 0);
	lease_free(l);
}

/* 1, 0 or -errno. A shared lock is enough to ask with, so that those who ask
 * at once don't take one another for the owner. */
static int probe(struct store *s, const char *name)
{
	CLEANUP_FD int fd = openat(s->root, name,
			O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return store_fail(s, -errno, "look at", name);
	if (flock(fd, LOCK_SH | LOCK_NB) == 0)
		return 0;
	return errno == EWOULDBLOCK ? 1 : lock_failed(s, -errno);
}

int lease_alive(struct store *s, const char *id)
{
	char name[LEASE_NAME_MAX];
	int err = lease_name(name, id);
	return err < 0 ? err : probe(s, name);
}

int lease_remove_dead(struct store *s, const char *id)
{
	char name[LEASE_NAME_MAX];
	int err = lease_name(name, id);
	if (err == 0)
		err = probe(s, name);
	if (err < 0)
		return err;
	if (err > 0)
		return fail(-EBUSY, "the session %s is alive", id);
	if (unlinkat(s->root, name, 0) < 0 && errno != ENOENT)
		return store_fail(s, -errno, "delete", name);
	return store_remove_temporaries(s, id);
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
	if (len == 0 || len >= STORE_OWNER_MAX || strcmp(dot, ".lock") != 0 ||
			!store_component_ok(leaf, len))
		return false;
	memcpy(id, leaf, len);
	id[len] = '\0';
	return true;
}

/* ".tmp.ID.N" that nobody has touched for long. */
static bool id_of_unfinished(char id[STORE_OWNER_MAX], int directory,
		const char *leaf)
{
	const size_t skip = strlen(TEMPORARY_PREFIX);
	const char *dot = strrchr(leaf, '.');
	struct stat st;
	if (strncmp(leaf, TEMPORARY_PREFIX, skip) != 0 || dot < leaf + skip)
		return false;
	size_t len = (size_t)(dot - leaf) - skip;
	if (len >= STORE_OWNER_MAX || !store_component_ok(leaf + skip, len) ||
			fstatat(directory, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			time(NULL) - st.st_mtime < MAKING_SECONDS)
		return false;
	memcpy(id, leaf + skip, len);
	id[len] = '\0';
	return true;
}

int lease_list(struct store *s, lease_list_fn *fn, void *ctx)
{
	int directory = openat(s->root, "sessions",
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(close_dir) DIR *d = directory < 0 ? NULL : fdopendir(directory);
	char id[STORE_OWNER_MAX];
	int err = 0;
	if (directory < 0)
		return store_fail(s, -errno, "list", "sessions");
	if (d == NULL) {
		close(directory);
		return fail_errno(-ENOMEM, "listing the sessions");
	}
	while (err == 0) {
		errno = 0;
		struct dirent *e = readdir(d);
		if (e == NULL)
			return errno == 0 ? 0 : store_fail(s, -errno, "list",
								"sessions");
		if (id_of_lease(id, e->d_name) ||
				id_of_unfinished(id, directory, e->d_name))
			err = fn(ctx, id);
	}
	return err;
}
