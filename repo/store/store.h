/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Object access: everything above reads and writes a repository through these
 * calls, so nothing above assumes rename, mmap, append or directories. The local
 * directory (store.c) is the first implementation.
 *
 * An object's name is "kind/rest", e.g. "packs/3f/3f…", of bytes that
 * name_escape leaves alone and '/', '%' and '~'. Objects are immutable: put
 * once, read, deleted.
 *
 * Errors: negative errno with a text naming the object. -ENOENT: no such
 * object; -EEXIST: exclusive put of a name that exists; -ENOSPC, -EDQUOT,
 * -EIO, -EROFS, -EACCES as the system says.
 * Threading: all calls on one store may run at once; one store_put belongs to
 * one thread at a time.
 */
#ifndef AMBERFS_STORE_STORE_H
#define AMBERFS_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define OBJECT_NAME_MAX 512

struct store;
struct store_put;

/* Makes PATH (which must not exist, or be an empty directory) and the given
 * kinds' directories, all fsynced. SHARDED kinds get directories 00 to ff. */
int store_create_local(struct store **out, const char *path);

/* Reserves BYTES in the object "reserve", durably; does nothing if it has
 * them. */
int store_reserve_make(struct store *store, uint64_t bytes);
/* Gives that space back to the filesystem. 0 also where there was none. */
int store_reserve_release(struct store *store);

/* Opens the directory; it need not be writable. -ENOENT: no such directory. */
int store_open_local(struct store **out, const char *path);
void store_close(struct store *store);

/* False if the directory can't be written (permissions, read-only mount). */
bool store_writable(const struct store *store);
const char *store_path(const struct store *store); /* absolute, for messages */

/* Sets the word (a session's id) that temporary names carry from now on. */
void store_set_owner(struct store *store, const char *owner);

/* Reads LEN bytes at OFFSET. Returns the bytes read: fewer only at the
 * object's end. */
ssize_t store_get_range(struct store *store, const char *name, void *buf,
		size_t len, uint64_t offset);

/* The whole object, at most MAX bytes (-EFBIG beyond), malloc'ed. */
int store_get(struct store *store, const char *name, void **data, size_t *len,
		size_t max);

int store_size(struct store *store, const char *name, uint64_t *size);
/* When it was put: a UTC second of the store's clock. */
int store_modified(struct store *store, const char *name, int64_t *second);

/* Writes the whole object durably under its final name in one step:
 * 1 temporary file, 2 fsync, 3 rename (EXCLUSIVE: -EEXIST if the name is
 * taken), 4 fsync of the directory. On an error nothing is under the name, or,
 * if an object there was to be replaced, the old or the new one. (A pack whose
 * step 4 failed stays, whole: others may count on it already.) */
int store_put(struct store *store, const char *name, const void *data,
		size_t len, bool exclusive);

/* The same for large objects, incrementally. put_commit frees P also on error;
 * put_abort removes what was written (NULL allowed). Until commit nothing is
 * under NAME. */
int store_put_begin(struct store *store, struct store_put **p,
		const char *name);
int store_put_write(struct store_put *put, const void *data, size_t len);
int store_put_commit(struct store_put *put, bool exclusive);
void store_put_abort(struct store_put *put);
/* Reads back from an object being put (range must have been written). */
int store_put_read(struct store_put *put, void *buf, size_t len,
		uint64_t offset);

/* Commits COUNT puts into one directory at the price of few: step 2 of all, step
 * 3 of all, step 4 once. An object whose name is taken is left as it was, and
 * is no error. Frees all PUTS, also on error; then any of them may be there. */
int store_put_commit_all(struct store_put **puts, size_t count);

/* Makes durable the names of all packs given by other processes, one of which
 * may have died between steps 3 and 4 of a put. */
int store_put_sync_packs(struct store *store);

/* Deletes durably (directory fsynced). -ENOENT if it is not there. */
int store_delete(struct store *store, const char *name);
/* The two steps of it, for many objects: nothing may be done that relies on the
 * deletion before store_sync of each directory. Either may be called for an
 * object that is not there (-ENOENT, 0). */
int store_delete_unsynced(struct store *store, const char *name);
int store_sync(struct store *store, const char *name);

/* Calls FN with each object's name below PREFIX ("packs/3f/", "snapshots/"), in
 * no order; temporary and foreign files are skipped. FN returns non-zero to
 * stop; that value is returned. A missing prefix is empty, but for a kind
 * itself ("snapshots/"), whose directory is there from the start: -EIO. */
typedef int store_list_fn(void *ctx, const char *name);
int store_list(struct store *store, const char *prefix, store_list_fn *fn,
		void *ctx);

/* A number that differs whenever objects were added to or deleted from
 * "packs/XX/" since it was last asked for; 0: unknown, list it. The local
 * directory's is its mtime in ns, or 0 while that is younger than 2 s. */
uint64_t store_shard_state(struct store *store, unsigned shard);

/* Removes temporary objects that carry OWNER (a dead session's id). */
int store_remove_temporaries(struct store *store, const char *owner);

struct store_space {
	uint64_t total, free, available; /* bytes of the filesystem below */
};
int store_space(struct store *store, struct store_space *out);

/* Closes cached descriptors of NAME (it was deleted by someone else). */
void store_forget(struct store *store, const char *name);
/* The same for all deleted objects: they hold space as long as they are open.
 * For long-lived processes, every few seconds. */
void store_tidy(struct store *store);

/* --- liveness: a lock that is freed when its holder dies --- */

struct lease;

/* Makes the lease "sessions/ID.lock" and holds it until lease_release or
 * the process's end. */
int lease_acquire(struct store *store, const char *id, struct lease **out);
void lease_release(struct lease *lease); /* removes it; NULL allowed */
/* 1 alive, 0 dead or absent, or -errno. */
int lease_alive(struct store *store, const char *id);
/* Calls FN for the id of each lease that exists, held or not, and of each whose
 * owner died while making it. FN returns non-zero to stop. */
typedef int lease_list_fn(void *ctx, const char *id);
int lease_list(struct store *store, lease_list_fn *fn, void *ctx);
/* Removes a dead one's traces. */
int lease_remove_dead(struct store *store, const char *id);

#endif
