/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where the index lives, its writers' lock, and the machine it belongs to.
 *
 * The directory is one that only this user can have put there
 * (index_trust.c) and is used through its descriptor; what lies in it is
 * checked file by file (index_layout_owns). The lock is a file of our own with
 * flock, polled, so that a stopped process can be waited for with a limit;
 * LMDB's own lock has none. The lock file is never removed.
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdatomic.h>
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
#include "repo/base/report.h"

#define POLL_MS 10

/* --- files --- */

static const char *const files[] = { INDEX_DATA_FILE, INDEX_LOCK_FILE,
	INDEX_FILTER_FILE, INDEX_FILTER_FILE ".tmp" };

int index_place_remove(int dir)
{
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (unlinkat(dir, files[i], 0) < 0 && errno != ENOENT)
			return -errno;
	return 0;
}

bool index_place_is_file(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (strcmp(name, files[i]) == 0)
			return true;
	return strcmp(name, INDEX_WRITERS_LOCK_FILE) == 0;
}

/* --- the lock --- */

static int open_lock(int dir)
{
	struct stat st;
	int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	CLEANUP_FD int fd = openat(dir, INDEX_WRITERS_LOCK_FILE, flags, 0600);
	if (fd < 0 && errno != ELOOP)
		return -errno;
	if (fd >= 0 && fstat(fd, &st) < 0)
		return -errno;
	if (fd >= 0 && index_layout_owns(&st))
		return take_fd(&fd);
	/* A link, or nothing that we made: out of the way. */
	if (unlinkat(dir, INDEX_WRITERS_LOCK_FILE, 0) < 0 && errno != ENOENT)
		return -errno;
	int again = openat(dir, INDEX_WRITERS_LOCK_FILE, flags, 0600);
	return again < 0 ? -errno : again;
}

/* The file locked is still the one that others find under the name. */
static bool still_named(int fd, int dir)
{
	struct stat mine, named;
	return fstat(fd, &mine) == 0
			&& fstatat(dir, INDEX_WRITERS_LOCK_FILE, &named,
					   AT_SYMLINK_NOFOLLOW)
			== 0
			&& mine.st_dev == named.st_dev
			&& mine.st_ino == named.st_ino;
}

/* Somebody may have deleted the directory, or put another one there. */
static int find_again(struct index_place *place)
{
	CLEANUP_FREE char *real = NULL;
	struct stat st;
	int dir = -1;
	if (place->above >= 0)
		return fstat(place->dir, &st) == 0 && st.st_nlink > 0 ? 0
								      : -ENOENT;
	int err = index_trust_open(&dir, &real, place->path, true);
	if (err < 0)
		return err;
	close(place->dir);
	place->dir = dir;
	return 0;
}

int index_place_lock(int *fd, struct index_place *place, unsigned ms)
{
	struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	uint64_t start = index_child_clock_ms();
	for (;;) {
		int err = find_again(place);
		if (err < 0)
			return err;
		CLEANUP_FD int lock = open_lock(place->dir);
		if (lock < 0 && lock != -ENOENT)
			return lock;
		if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0) {
			if (still_named(lock, place->dir)) {
				*fd = take_fd(&lock);
				return 0;
			}
		} else if (lock >= 0 && errno != EWOULDBLOCK
				&& errno != EINTR) {
			return -errno;
		}
		if (index_child_clock_ms() - start >= ms)
			return -EAGAIN;
		nanosleep(&pause, NULL);
	}
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
	/* Hashed: whoever gets the index should not learn the machine's id. */
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

const char *index_place_network(int dir)
{
	struct statfs fs;
	if (fstatfs(dir, &fs) < 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(network); i++)
		if (network[i].magic == (uint32_t)fs.f_type)
			return network[i].name;
	return NULL;
}

/* The text names the directory at fault and the cause. */
static int use(struct index_place *place, const char *path, bool make_above)
{
	CLEANUP_FREE char *real = NULL;
	CLEANUP_FD int dir = -1;
	int err = index_trust_open(&dir, &real, path, make_above);
	if (err < 0)
		return err;
	const char *net = index_place_network(dir);
	if (net != NULL)
		return fail(-EOPNOTSUPP,
				"%s is on a network filesystem (%s), where "
				"LMDB is not safe",
				path, net);
	place->dir = take_fd(&dir);
	place->path = take_ptr(real);
	return 0;
}

static int use_wanted(struct index_place *place, const char *wanted)
{
	if (*wanted == '\0')
		return fail(-EINVAL,
				"--index-dir needs the name of a directory");
	int err = use(place, wanted, false);
	if (err == -ENOENT)
		return fail_errno(err, "can't make the index directory %s",
				wanted);
	if (err == 0)
		return 0;
	struct error_copy cause;
	error_save(&cause, err);
	return fail(err,
			"can't use the index directory %s: %s; name a local "
			"directory of your own with --index-dir",
			wanted, cause.text);
}

static const char *home_directory(void)
{
	const char *home = getenv("HOME");
	if (home != NULL && *home == '/')
		return home;
	struct passwd *passwd = getpwuid(geteuid());
	return passwd != NULL ? passwd->pw_dir : NULL;
}

/* Below BASE, which may be NULL. */
static int path_below(char **path, const char *base, const char *name,
		const uint8_t *repo_id)
{
	char id[2 * REPO_ID_SIZE + 1];
	*path = NULL;
	if (base == NULL || *base != '/')
		return fail(-ENOENT, "there is no home directory");
	hex_encode(id, repo_id, REPO_ID_SIZE);
	if (asprintf(path, "%s/%s/%s", base, name, id) < 0) {
		*path = NULL;
		return fail_no_memory("opening the index");
	}
	return 0;
}

int index_place_cache(char **path, const uint8_t *repo_id, bool second)
{
	const char *xdg = getenv("XDG_CACHE_HOME");
	if (!second && xdg != NULL && *xdg == '/')
		return path_below(path, xdg, "amberfs", repo_id);
	if (geteuid() == 0)
		return path_below(path, "/var/cache", "amberfs", repo_id);
	return path_below(path, home_directory(), ".cache/amberfs", repo_id);
}

static int use_cache(struct index_place *place, const uint8_t *repo_id)
{
	int err = -ENOENT;
	for (int second = 0; second <= 1 && err < 0; second++) {
		CLEANUP_FREE char *path = NULL;
		err = index_place_cache(&path, repo_id, second);
		if (err == 0)
			err = use(place, path, true);
	}
	return err;
}

/* CAUSE: why the user's cache is of no use. */
static int use_temporary(struct index_place *place,
		const struct error_copy *cause)
{
	static atomic_flag told = ATOMIC_FLAG_INIT;
	if (index_temporary_make(place) < 0)
		return fail(cause->err,
				"there is no place for the index (%s; and no "
				"temporary directory can be made); name a "
				"directory with --index-dir",
				cause->text);
	if (!atomic_flag_test_and_set(&told))
		report_warning("%s; using a temporary index in %s, which has "
			       "to be made anew each time (--index-dir names "
			       "a lasting place)",
				cause->text, place->path);
	error_clear();
	return 0;
}

int index_place_open(struct index_place *place, const uint8_t *repo_id,
		const char *wanted)
{
	*place = (struct index_place){ .dir = -1, .above = -1, .program = -1 };
	int err = index_child_find(place);
	if (err < 0)
		return err;
	if (wanted != NULL)
		return use_wanted(place, wanted);
	err = use_cache(place, repo_id);
	if (err == 0)
		return 0;
	struct error_copy cause;
	error_save(&cause, err);
	return use_temporary(place, &cause);
}

void index_place_close(struct index_place *place)
{
	if (place->above >= 0)
		index_temporary_remove(place);
	if (place->dir >= 0)
		close(place->dir);
	if (place->program >= 0)
		close(place->program);
	free(place->path);
}
