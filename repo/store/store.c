/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The store as a local directory: opening, reading, listing, deleting. Writing
 * is in store_put.c, making a new one in store_create.c.
 *
 * Everything is reached from a descriptor of the directory, so a directory that is
 * renamed or mounted over meanwhile changes nothing. Descriptors of packs stay
 * open in a small cache; others are opened for each call.
 */
#include "repo/base/bytes.h"
#include "store_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"

#define COMPONENTS_MAX 4
#define DIRECTORY_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

/* --- names and errors --- */

static bool byte_ok(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
			|| (c >= '0' && c <= '9')
			|| (c != '\0' && strchr("._+=,@-%~", c) != NULL);
}

bool store_component_ok(const char *name, size_t len)
{
	if (len == 0 || len > NAME_MAX || name[0] == '.')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!byte_ok((unsigned char)name[i]))
			return false;
	return true;
}

static bool is_lock_name(const char *name)
{
	size_t len = strlen(name);
	return len >= 5 && strcmp(name + len - 5, ".lock") == 0;
}

static bool name_ok(const char *name)
{
	int components = 0;
	const char *end;
	if (strlen(name) >= OBJECT_NAME_MAX || is_lock_name(name))
		return false;
	do {
		end = strchrnul(name, '/');
		if (!store_component_ok(name, (size_t)(end - name)))
			return false;
		name = end + 1;
	} while (*end != '\0' && ++components < COMPONENTS_MAX);
	return *end == '\0';
}

int store_check_name(const char *name)
{
	if (name_ok(name))
		return 0;
	return fail(-EINVAL, "not a possible object name (%zu bytes)",
			strlen(name));
}

static const char *remedy(int err)
{
	switch (-err) {
	case ENOSPC:
		return "; free some space on the repository's filesystem";
	case EDQUOT:
		return "; raise the quota or free space there";
	case EROFS:
		return "; its filesystem is mounted read-only";
	case EACCES:
	case EPERM:
		return "; run this as the repository's owner";
	case EIO:
		return "; the disk is failing: see the kernel's log";
	case EMFILE:
	case ENFILE:
		return "; raise the limit on open files (ulimit -n)";
	default:
		return "";
	}
}

int store_fail(const struct store *store, int err, const char *doing,
		const char *name)
{
	/* ESTALE is kept for removed sessions; here NFS says by it that the
	 * file was deleted on the server. */
	if (err == -ESTALE)
		err = -ENOENT;
	if (err == -ENOENT)
		return fail(err, "there is no %s/%s", store->path, name);
	return fail(err, "can't %s %s/%s: %s%s", doing, store->path, name,
			strerror(-err), remedy(err));
}

const char *store_last_component(const char *name)
{
	const char *slash = strrchr(name, '/');
	return slash == NULL ? name : slash + 1;
}

/* --- open and close --- */

static struct store *store_new(int root, const char *path)
{
	struct store *store = calloc(1, sizeof(*store));
	if (store == NULL)
		return NULL;
	pthread_mutex_init(&store->mutex, NULL);
	store->root = -1;
	store->readers = fd_cache_new();
	store->path = realpath(path, NULL);
	if (store->path == NULL)
		store->path = strdup(path);
	if (store->readers == NULL || store->path == NULL) {
		store_close(store);
		return NULL;
	}
	store->root = root;
	snprintf(store->owner, sizeof(store->owner), "none");
	store->writable = faccessat(root, ".", W_OK | X_OK, AT_EACCESS) == 0;
	return store;
}

int store_open_local(struct store **out, const char *path)
{
	CLEANUP_FD int root = open(path, DIRECTORY_FLAGS);
	if (root < 0 && errno == ENOENT)
		return fail(-ENOENT, "there is no directory %s", path);
	if (root < 0 && errno == ENOTDIR)
		return fail(-ENOTDIR,
				"%s is not a directory, so it can't be a "
				"repository",
				path);
	if (root < 0)
		return fail(-errno, "can't open the directory %s: %s%s", path,
				strerror(errno), remedy(-errno));
	*out = store_new(root, path);
	if (*out == NULL)
		return fail_errno(-ENOMEM, "can't open %s", path);
	take_fd(&root);
	return 0;
}

void store_close(struct store *store)
{
	if (store == NULL)
		return;
	fd_cache_free(store->readers);
	if (store->root >= 0)
		close(store->root);
	pthread_mutex_destroy(&store->mutex);
	free(store->path);
	free(store);
}

bool store_writable(const struct store *store)
{
	return store->writable;
}

const char *store_path(const struct store *store)
{
	return store->path;
}

void store_set_owner(struct store *store, const char *owner)
{
	LOCK_SCOPE(&store->mutex);
	snprintf(store->owner, sizeof(store->owner), "%s", owner);
}

/* --- directories and temporary files --- */

int store_open_directory(const struct store *store, const char *name)
{
	char path[OBJECT_NAME_MAX];
	size_t len = (size_t)(store_last_component(name) - name);
	snprintf(path, sizeof(path), "%.*s", (int)len, name);
	/* The slash at the end follows a symlink there: an administrator may
	 * have put a kind on another disk that way. */
	int fd = openat(store->root, len == 0 ? "." : path, DIRECTORY_FLAGS);
	return fd < 0 ? -errno : fd;
}

int store_sync_directory(const struct store *store, int directory,
		const char *name)
{
	if (fsync(directory) == 0)
		return 0;
	return store_fail(store, -errno, "fsync the directory of", name);
}

static void next_temporary(struct store *store, const char *owner, char *tmp)
{
	LOCK_SCOPE(&store->mutex);
	snprintf(tmp, STORE_TEMPORARY_MAX, TEMPORARY_PREFIX "%s.%llu",
			owner != NULL ? owner : store->owner,
			(unsigned long long)store->counter++);
}

int store_open_temporary(struct store *store, int directory, const char *owner,
		char tmp[STORE_TEMPORARY_MAX])
{
	int fd;
	/* Processes without a session share the owner "none". */
	do {
		next_temporary(store, owner, tmp);
		fd = openat(directory, tmp,
				O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC
						| O_NOFOLLOW,
				0600);
	} while (fd < 0 && errno == EEXIST);
	return fd < 0 ? -errno : fd;
}

int store_rename_new(int directory, int fd, const char *tmp, const char *to)
{
	struct stat st;
	if (renameat2(directory, tmp, directory, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	/* A filesystem without it, such as NFS: there a link is as exclusive,
	 * but a repeated request may say EEXIST of its own success. */
	if (linkat(directory, tmp, directory, to, 0) < 0) {
		int err = -errno;
		if (fstat(fd, &st) < 0 || st.st_nlink != 2)
			return err;
	}
	unlinkat(directory, tmp, 0);
	return 0;
}

static bool is_temporary_of(const char *name, const char *owner)
{
	size_t prefix = strlen(TEMPORARY_PREFIX), len = strlen(owner);
	if (strncmp(name, TEMPORARY_PREFIX, prefix) != 0
			|| strncmp(name + prefix, owner, len) != 0
			|| name[prefix + len] != '.')
		return false;
	const char *count = name + prefix + len + 1;
	return *count != '\0' && strspn(count, "0123456789") == strlen(count);
}

/* --- reading --- */

/* Not every file under an object's name is one: never wait for a fifo, never
 * read a device. */
static int open_plain(const struct store *store, const char *name)
{
	struct stat st;
	CLEANUP_FD int fd = openat(store->root, name,
			O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno != ELOOP)
		return store_fail(store, -errno, "open", name);
	if (fd >= 0 && fstat(fd, &st) < 0)
		return store_fail(store, -errno, "open", name);
	if (fd < 0 || !S_ISREG(st.st_mode))
		return fail(-EBADMSG, "%s/%s is not a regular file",
				store->path, name);
	return take_fd(&fd);
}

static int open_reader(struct store *store, const char *name,
		struct fd_entry **out)
{
	bool pack = strncmp(name, "packs/", 6) == 0;
	*out = pack ? fd_cache_get(store->readers, name) : NULL;
	if (*out != NULL)
		return 0;
	uint64_t epoch = fd_cache_epoch(store->readers);
	int fd = open_plain(store, name);
	if (fd < 0)
		return fd;
	*out = fd_cache_add(store->readers, name, fd, epoch, pack);
	return *out == NULL ? fail_errno(-ENOMEM, "opening %s", name) : 0;
}

static ssize_t read_fully(int fd, void *buf, size_t len, uint64_t offset)
{
	size_t done = 0;
	while (done < len) {
		ssize_t n = pread(fd, (char *)buf + done, len - done,
				(off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

ssize_t store_get_range(struct store *store, const char *name, void *buf,
		size_t len, uint64_t offset)
{
	struct fd_entry *entry;
	int err = store_check_name(name);
	if (err < 0)
		return err;
	if (offset > INT64_MAX || len > (uint64_t)INT64_MAX - offset)
		return fail(-EINVAL,
				"a range beyond the largest possible file "
				"of %s/%s",
				store->path, name);
	err = open_reader(store, name, &entry);
	if (err < 0)
		return err;
	ssize_t n = read_fully(entry->fd, buf, len, offset);
	fd_cache_release(store->readers, entry);
	if (n == -ESTALE)
		store_forget(store, name);
	return n < 0 ? store_fail(store, (int)n, "read", name) : n;
}

int store_get(struct store *store, const char *name, void **data, size_t *len,
		size_t max)
{
	struct stat st;
	int err = store_check_name(name);
	if (err < 0)
		return err;
	CLEANUP_FD int fd = open_plain(store, name);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return store_fail(store, -errno, "read", name);
	if ((uint64_t)st.st_size > max)
		return fail(-EFBIG, "%s/%s has %lld bytes, more than %zu",
				store->path, name, (long long)st.st_size, max);
	CLEANUP_FREE char *buf = malloc((size_t)st.st_size + 1);
	if (buf == NULL)
		return fail_errno(-ENOMEM, "reading %s", name);
	ssize_t n = read_fully(fd, buf, (size_t)st.st_size, 0);
	if (n < 0)
		return store_fail(store, (int)n, "read", name);
	*len = (size_t)n;
	*data = take_ptr(buf);
	return 0;
}

static int look_at(struct store *store, const char *name, struct stat *st)
{
	int err = store_check_name(name);
	if (err < 0)
		return err;
	if (fstatat(store->root, name, st, AT_SYMLINK_NOFOLLOW) < 0)
		return store_fail(store, -errno, "access", name);
	if (!S_ISREG(st->st_mode))
		return fail(-EBADMSG, "%s/%s is not a regular file",
				store->path, name);
	return 0;
}

int store_size(struct store *store, const char *name, uint64_t *size)
{
	struct stat st;
	int err = look_at(store, name, &st);
	if (err != 0)
		return err;
	*size = (uint64_t)st.st_size;
	return 0;
}

int store_modified(struct store *store, const char *name, int64_t *second)
{
	struct stat st;
	int err = look_at(store, name, &st);
	if (err != 0)
		return err;
	*second = st.st_mtime;
	return 0;
}

void store_forget(struct store *store, const char *name)
{
	fd_cache_forget(store->readers, name);
}

void store_tidy(struct store *store)
{
	fd_cache_tidy(store->readers);
}

/* --- deleting --- */

/* Returns the descriptor of the directory, to be fsynced. */
static int delete_name(struct store *store, const char *name)
{
	int err = store_check_name(name);
	if (err < 0)
		return err;
	CLEANUP_FD int directory = store_open_directory(store, name);
	if (directory < 0)
		return store_fail(store, directory, "open the directory of",
				name);
	store_forget(store, name);
	if (unlinkat(directory, store_last_component(name), 0) < 0)
		return store_fail(store, -errno, "delete", name);
	/* A reader may have opened it between the two. */
	store_forget(store, name);
	return take_fd(&directory);
}

int store_delete(struct store *store, const char *name)
{
	CLEANUP_FD int directory = delete_name(store, name);
	return directory < 0 ? directory
			     : store_sync_directory(store, directory, name);
}

int store_delete_unsynced(struct store *store, const char *name)
{
	CLEANUP_FD int directory = delete_name(store, name);
	return directory < 0 ? directory : 0;
}

int store_sync(struct store *store, const char *name)
{
	int err = store_check_name(name);
	if (err < 0)
		return err;
	CLEANUP_FD int directory = store_open_directory(store, name);
	if (directory < 0)
		return store_fail(store, directory, "open the directory of",
				name);
	return store_sync_directory(store, directory, name);
}

/* --- walking --- */

/* Called for each entry but "." and ".."; DIRECTORY is the entry's. Non-zero
 * stops the walk. */
typedef int visit_fn(void *ctx, int directory, const char *path);

struct walk {
	const struct store *s;
	visit_fn *visit;
	void *ctx;
};

static bool is_directory(int directory, const struct dirent *entry)
{
	struct stat st;
	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR;
	return fstatat(directory, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0
			&& S_ISDIR(st.st_mode);
}

static int walk_directory(const struct walk *walk, const char *prefix,
		int depth);

static int walk_entry(const struct walk *walk, int directory,
		const char *prefix, const struct dirent *entry, int depth)
{
	char path[OBJECT_NAME_MAX];
	int len = snprintf(path, sizeof(path), "%s%s", prefix, entry->d_name);
	if (len < 0 || (size_t)len + 2 > sizeof(path))
		return 0;
	if (!is_directory(directory, entry))
		return walk->visit(walk->ctx, directory, path);
	if (depth >= COMPONENTS_MAX
			|| !store_component_ok(entry->d_name,
					strlen(entry->d_name)))
		return 0;
	path[len] = '/';
	path[len + 1] = '\0';
	return walk_directory(walk, path, depth + 1);
}

static void close_dir(DIR **d)
{
	if (*d != NULL)
		closedir(*d);
}

/* PREFIX is "" or ends in '/'. What disappears meanwhile is skipped. */
static int walk_directory(const struct walk *walk, const char *prefix,
		int depth)
{
	int fd = openat(walk->s->root, prefix[0] == '\0' ? "." : prefix,
			DIRECTORY_FLAGS);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return store_fail(walk->s, -errno, "open", prefix);
	CLEANUP(close_dir) DIR *d = fdopendir(fd);
	if (d == NULL) {
		int r = -errno;
		close(fd);
		return store_fail(walk->s, r, "list", prefix);
	}
	for (;;) {
		errno = 0;
		struct dirent *entry = readdir(d);
		if (entry == NULL && errno == ENOENT)
			return 0;
		if (entry == NULL)
			return errno == 0 ? 0
					  : store_fail(walk->s, -errno, "list",
							  prefix);
		if (strcmp(entry->d_name, ".") == 0
				|| strcmp(entry->d_name, "..") == 0)
			continue;
		int err = walk_entry(walk, dirfd(d), prefix, entry, depth);
		if (err != 0)
			return err;
	}
}

struct list_visit {
	store_list_fn *fn;
	void *ctx;
};

static int visit_object(void *ctx, int directory, const char *path)
{
	const struct list_visit *visit = ctx;
	(void)directory;
	return name_ok(path) ? visit->fn(visit->ctx, path) : 0;
}

/* The directories of the kinds were made with the repository. A missing one
 * must not look like an empty one: to prune that would mean that nothing is
 * needed any more. */
static int check_kind(const struct store *store, const char *prefix)
{
	char kind[OBJECT_NAME_MAX];
	struct stat st;
	snprintf(kind, sizeof(kind), "%.*s", (int)strcspn(prefix, "/"), prefix);
	if (kind[0] == '\0' || fstatat(store->root, kind, &st, 0) == 0)
		return 0;
	if (errno != ENOENT)
		return store_fail(store, -errno, "access", kind);
	return fail(-EIO,
			"the directory %s/%s is missing: is it on a disk "
			"that is not mounted? Restore it",
			store->path, kind);
}

int store_list(struct store *store, const char *prefix, store_list_fn *fn,
		void *ctx)
{
	struct list_visit v = { fn, ctx };
	struct walk w = { store, visit_object, &v };
	char name[OBJECT_NAME_MAX];
	size_t len = strlen(prefix);
	int depth = 1;
	/* A prefix is an object's name with its last component cut off. */
	int n = snprintf(name, sizeof(name), "%sx", prefix);
	if (len == 0 || prefix[len - 1] != '/' || n < 0
			|| (size_t)n >= sizeof(name) || !name_ok(name))
		return fail(-EINVAL, "not a possible prefix (%zu bytes)", len);
	for (size_t i = 0; i < len; i++)
		depth += prefix[i] == '/';
	int err = check_kind(store, prefix);
	return err < 0 ? err : walk_directory(&w, prefix, depth);
}

struct temporary_visit {
	struct store *s;
	const char *owner;
};

static int visit_temporary(void *ctx, int directory, const char *path)
{
	const struct temporary_visit *visit = ctx;
	if (!is_temporary_of(store_last_component(path), visit->owner))
		return 0;
	if (unlinkat(directory, store_last_component(path), 0) < 0
			&& errno != ENOENT)
		return store_fail(visit->s, -errno, "delete", path);
	return 0;
}

int store_remove_temporaries(struct store *store, const char *owner)
{
	static const char *const prefixes[] = { "keys/", "packs/", "snapshots/",
		"sessions/", "condemned/", "damaged/", "pins/", "retention/" };
	struct temporary_visit v = { store, owner };
	struct walk w = { store, visit_temporary, &v };
	int err = 0;
	for (size_t i = 0; err == 0 && i < ARRAY_SIZE(prefixes); i++)
		err = walk_directory(&w, prefixes[i], 2);
	/* The repository's directory itself, not what is below it: the index is
	 * not the store's. */
	return err != 0 ? err : walk_directory(&w, "", COMPONENTS_MAX);
}

/* --- the rest --- */

uint64_t store_shard_state(struct store *store, unsigned shard)
{
	char name[16];
	struct stat st;
	struct timespec now;
	snprintf(name, sizeof(name), "packs/%02x", shard & 0xff);
	if (fstatat(store->root, name, &st, 0) < 0 || st.st_mtim.tv_sec < 0)
		return 0;
	/* Two changes within one tick of the filesystem's clock give one
	 * mtime, so a young one proves nothing. Nor does one that lies in the
	 * future, from a clock that was wrong. */
	clock_gettime(CLOCK_REALTIME, &now);
	if (st.st_mtim.tv_sec + 2 >= now.tv_sec)
		return 0;
	return (uint64_t)st.st_mtim.tv_sec * 1000000000u
			+ (uint64_t)st.st_mtim.tv_nsec;
}

int store_space(struct store *store, struct store_space *out)
{
	struct statvfs v;
	if (fstatvfs(store->root, &v) < 0)
		return fail_errno(-errno, "can't get the free space of %s",
				store->path);
	out->total = (uint64_t)v.f_blocks * v.f_frsize;
	out->free = (uint64_t)v.f_bfree * v.f_frsize;
	out->available = (uint64_t)v.f_bavail * v.f_frsize;
	return 0;
}
