/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where the index lives, its writers' lock, and the machine it belongs to.
 *
 * The lock is a file of our own with flock, polled, so that a stopped process
 * can be waited for with a limit; LMDB's own lock has none. The lock file is
 * never removed.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "index_internal.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"

#define POLL_MS 10
#define WRITERS_LOCK_FILE "lock"

/* --- the lock --- */

static int open_lock(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? -errno : fd;
}

/* The file locked is still the one that others find under the name. */
static bool still_named(int fd, const char *path)
{
	struct stat mine, named;
	return fstat(fd, &mine) == 0 && stat(path, &named) == 0
			&& mine.st_dev == named.st_dev
			&& mine.st_ino == named.st_ino;
}

int index_place_lock(int *fd, const char *dir, unsigned ms)
{
	char path[PATH_MAX];
	struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	if (snprintf(path, sizeof(path), "%s/" WRITERS_LOCK_FILE, dir)
			>= (int)sizeof(path))
		return -ENAMETOOLONG;
	uint64_t start = index_child_clock_ms();
	for (;;) {
		/* Somebody may have deleted the whole directory. */
		CLEANUP_FD int lock = open_lock(path);
		if (lock == -ENOENT && mkdir(dir, 0700) == 0)
			lock = open_lock(path);
		if (lock < 0)
			return lock;
		if (flock(lock, LOCK_EX | LOCK_NB) == 0) {
			if (still_named(lock, path)) {
				*fd = take_fd(&lock);
				return 0;
			}
		} else if (errno != EWOULDBLOCK && errno != EINTR) {
			return -errno;
		}
		if (index_child_clock_ms() - start >= ms)
			return -EAGAIN;
		nanosleep(&pause, NULL);
	}
}

int index_place_remove(const char *dir)
{
	static const char *const files[] = { INDEX_DATA_FILE, INDEX_LOCK_FILE,
		INDEX_FILTER_FILE, INDEX_FILTER_FILE ".tmp" };
	char path[PATH_MAX];
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		if (snprintf(path, sizeof(path), "%s/%s", dir, files[i])
				>= (int)sizeof(path))
			return -ENAMETOOLONG;
		if (unlink(path) < 0 && errno != ENOENT)
			return -errno;
	}
	return 0;
}

void index_place_machine(uint8_t out[INDEX_MACHINE_SIZE])
{
	char text[256];
	ssize_t n = -1;
	CLEANUP_FD int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		n = read(fd, text, sizeof(text));
	struct utsname name;
	if (n <= 0 && uname(&name) == 0)
		n = snprintf(text, sizeof(text), "%.*s", (int)sizeof(text) - 1,
				name.nodename);
	/* Hashed: whoever gets the repository should not learn the machine's
	 * id. */
	seal_hash(out, INDEX_MACHINE_SIZE, text, n > 0 ? (size_t)n : 0);
}

/* --- the directory --- */

static const struct {
	uint32_t magic;
	const char *name;
} network[] = {
	{ 0x6969, "NFS" },
	{ 0x517B, "SMB" },
	{ 0xFF534D42, "CIFS" },
	{ 0xFE534D42, "SMB" },
	{ 0x00C36400, "Ceph" },
	{ 0x65735546, "FUSE" },
	{ 0x01021997, "9P" },
	{ 0x5346414F, "AFS" },
	{ 0x6B414653, "AFS" },
	{ 0x73757245, "Coda" },
	{ 0x564C, "NCP" },
	{ 0x01161970, "GFS2" },
	{ 0x7461636F, "OCFS2" },
	{ 0x0BD00BD0, "Lustre" },
	{ 0x47504653, "GPFS" },
	{ 0xBACBACBC, "a VMware shared directory" },
	{ 0x786F4256, "a VirtualBox shared directory" },
	{ 0xAAD7AAEA, "PanFS" },
	{ 0x19830326, "BeeGFS" },
};

/* The network filesystem's name; NULL: PATH is on a local one. */
static const char *network_name(const char *path)
{
	struct statfs fs;
	if (statfs(path, &fs) < 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(network); i++)
		if (network[i].magic == (uint32_t)fs.f_type)
			return network[i].name;
	return NULL;
}

/* Makes PATH and what is missing above it. */
static int make_directories(char *path)
{
	for (char *p = path + 1;; p++) {
		if (*p != '/' && *p != '\0')
			continue;
		char c = *p;
		*p = '\0';
		int err = mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
		*p = c;
		if (err < 0 && err != -EROFS && err != -EACCES)
			return err;
		if (c == '\0')
			return err;
	}
}

/* What keeps PATH from being used: 0; -ENOTDIR, -EPERM (another owner: he
 * could plant links that the writing child would follow), -EACCES … */
static int usable(const char *path)
{
	static const char *const files[] = { INDEX_DATA_FILE, INDEX_LOCK_FILE,
		WRITERS_LOCK_FILE };
	struct stat st;
	char file[PATH_MAX];
	if (stat(path, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	if (st.st_uid != geteuid())
		return -EPERM;
	if (faccessat(AT_FDCWD, path, R_OK | W_OK | X_OK, AT_EACCESS) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(file, sizeof(file), "%s/%s", path, files[i]);
		if (faccessat(AT_FDCWD, file, R_OK | W_OK, AT_EACCESS) < 0
				&& errno != ENOENT)
			return -errno;
	}
	return 0;
}

static int resolve(char **dir, const char *path)
{
	*dir = realpath(path, NULL);
	if (*dir == NULL)
		return fail_errno(-errno, "index directory %s", path);
	return 0;
}

/* PATH is changed on the way and put back. */
static int choose_path(char **dir, char *path)
{
	int err = make_directories(path);
	if (err < 0 && access(path, F_OK) < 0)
		return fail_errno(err, "can't make the index directory %s",
				path);
	const char *net = network_name(path);
	if (net != NULL)
		return fail(-EOPNOTSUPP,
				"the index directory %s is on a network "
				"filesystem (%s), where LMDB is not safe; name "
				"a directory on a local disk with --index-dir",
				path, net);
	err = usable(path);
	if (err == -EPERM)
		return fail(err,
				"the index directory %s belongs to another "
				"user; name one of your own with --index-dir",
				path);
	if (err < 0)
		return fail_errno(err, "can't use the index directory %s",
				path);
	return resolve(dir, path);
}

static int choose_wanted(char **dir, const char *wanted)
{
	if (*wanted == '\0')
		return fail(-EINVAL,
				"--index-dir needs the name of a directory");
	char *path = strdup(wanted);
	if (path == NULL)
		return fail_errno(-ENOMEM, "index directory %s", wanted);
	int err = choose_path(dir, path);
	free(path);
	return err;
}

/* REPO/index, if the repository is ours and on a local disk. */
static bool choose_in_repository(char **dir, struct store *store)
{
	CLEANUP_FREE char *path = NULL;
	struct stat st;
	if (!store_writable(store) || stat(store_path(store), &st) < 0
			|| st.st_uid != geteuid()
			|| network_name(store_path(store)) != NULL
			|| asprintf(&path, "%s/index", store_path(store)) < 0)
		return false;
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return false;
	if (network_name(path) != NULL || usable(path) < 0)
		return false;
	*dir = realpath(path, NULL);
	return *dir != NULL;
}

static int cache_directory(char **out, const uint8_t *repo_id)
{
	char id[2 * REPO_ID_SIZE + 1];
	hex_encode(id, repo_id, REPO_ID_SIZE);
	const char *xdg = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");
	struct passwd *passwd = NULL;
	int n;
	if (home == NULL || *home != '/') {
		passwd = getpwuid(geteuid());
		home = passwd != NULL ? passwd->pw_dir : NULL;
	}
	if (geteuid() == 0)
		n = asprintf(out, "/var/cache/amberfs/%s", id);
	else if (xdg != NULL && *xdg == '/')
		n = asprintf(out, "%s/amberfs/%s", xdg, id);
	else if (home != NULL && *home == '/')
		n = asprintf(out, "%s/.cache/amberfs/%s", home, id);
	else
		return fail(-ENOENT,
				"no home directory for the index; name a "
				"directory with --index-dir");
	if (n < 0) {
		*out = NULL;
		return fail_no_memory("index directory");
	}
	return 0;
}

int index_place_choose(char **dir, struct store *store, const uint8_t *repo_id,
		const char *wanted)
{
	if (wanted != NULL)
		return choose_wanted(dir, wanted);
	if (choose_in_repository(dir, store))
		return 0;
	char *cache = NULL;
	int err = cache_directory(&cache, repo_id);
	if (err < 0 || cache == NULL)
		return err;
	err = choose_path(dir, cache);
	free(cache);
	return err;
}
