/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Created: 1 the directory and its lock, 2 the console's file.
 * Removed: 1 the guest, by whoever started it, 2 the mount, 3 the files and the
 * directory. After a kill at any point, the sweep removes the rest in this
 * order.
 */
#include "prove_directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ingest/libvirt/domain_control.h"
#include "ingest/libvirt/qemu_user.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/report.h"
#include "repo/base/units.h"

#define PREFIX "amberfs-prove-"
#define DIGITS 8u
/* The guest's name is short: it is part of the paths of libvirt's sockets,
 * which are limited to 107 bytes. */
#define GUEST_DIGITS 4
#define CONSOLE "console.log"
/* The mount's process exits a moment after the guest. */
#define UNMOUNT_SECONDS 10.0
#define TRY_EVERY_US 100000
#define TRIES 4

static int unmount(struct boot_directory *dir)
{
	double end = monotonic_now() + UNMOUNT_SECONDS;
	int err = 0;
	while ((err = boot_mount_end(dir)) == -EBUSY && monotonic_now() < end)
		usleep(TRY_EVERY_US);
	return err;
}

static int take_down(struct boot_directory *dir)
{
	int err = unmount(dir);
	return err != 0 ? err : boot_directory_remove(dir);
}

/* --- one of our own --- */

static int lock_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return fail_errno(-errno, "opening %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int err = -errno;
		close(fd);
		return fail_errno(err, "locking %s", path);
	}
	return fd;
}

static int make_console(struct prove_directory *dir, char **console)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FD int fd = -1;
	int err = 0;
	if (asprintf(&path, "%s/" CONSOLE, dir->place.directory) < 0) {
		path = NULL;
		return fail_no_memory("proving the snapshot");
	}
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail_errno(-errno, "making %s", path);
	err = qemu_user_chown(fd, path, dir->place.uid, dir->place.gid);
	if (err != 0)
		return err;
	*console = take_ptr(path);
	return 0;
}

static int name_directory(char **path, const char *dir)
{
	uint32_t random = 0;
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return fail_errno(-errno, "getrandom");
	if (asprintf(path, "%s/" PREFIX "%08" PRIx32, dir, random) < 0) {
		*path = NULL;
		return fail_no_memory("proving the snapshot");
	}
	return 0;
}

static int make_once(struct prove_directory *f, const char *dir,
		struct connection *conn, char **console)
{
	CLEANUP_FREE char *path = NULL;
	int err = name_directory(&path, dir);
	*f = (struct prove_directory){ .lock = -1 };
	if (err == 0)
		err = boot_directory_open(&f->place, path, conn);
	if (err != 0)
		return err;
	snprintf(f->name, sizeof(f->name), "prove-%.*s", GUEST_DIGITS,
			strrchr(f->place.directory, '-') + 1);
	err = boot_directory_create(&f->place);
	if (err == -EEXIST) { /* somebody else's: must not be removed */
		boot_directory_close(&f->place);
		return err;
	}
	if (err == 0)
		err = f->lock = lock_directory(f->place.directory);
	if (err >= 0)
		err = make_console(f, console);
	if (err != 0) {
		struct error_copy why;
		error_save(&why, err);
		prove_directory_remove(f);
		return error_load(&why);
	}
	return 0;
}

/* A sweep between directory and lock takes it for a dead run's. */
int prove_directory_make(struct prove_directory *f, const char *dir,
		struct connection *conn, char **console)
{
	int err = make_once(f, dir, conn, console);
	for (int i = 0; i < TRIES
			&& (err == -EAGAIN || err == -ENOENT || err == -EEXIST);
			i++)
		err = make_once(f, dir, conn, console);
	return err;
}

int prove_directory_remove(struct prove_directory *dir)
{
	int err = take_down(&dir->place);
	boot_directory_close(&dir->place);
	if (dir->lock >= 0)
		close(dir->lock);
	dir->lock = -1;
	return err;
}

/* --- those of the dead --- */

static bool is_ours(const char *name)
{
	const char *digits = name + strlen(PREFIX);
	return strncmp(name, PREFIX, strlen(PREFIX)) == 0
			&& strlen(digits) == DIGITS
			&& strspn(digits, "0123456789abcdef") == DIGITS;
}

/* The lock of a dead run's directory, or -1: it lives, or isn't this user's
 * (anyone may make one in /var/tmp). */
static int lock_dead(const char *path)
{
	struct stat st;
	CLEANUP_FD int fd = lock_directory(path);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid()
			|| st.st_nlink == 0)
		return -1;
	return take_fd(&fd);
}

/* Stops guests that run from there, whatever their name. */
static int end_guests(struct connection *conn, const char *directory)
{
	struct domain **list = NULL;
	unsigned count = 0;
	int err = domain_control_users(conn, directory, &list, &count);
	for (unsigned i = 0; err == 0 && i < count; i++)
		err = domain_control_destroy(list[i]);
	domain_list_free(list, count);
	return err;
}

static int sweep_one(const char *dir, const char *name, struct connection *conn)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FD int lock = -1;
	struct boot_directory place;
	int err = 0;
	if (asprintf(&path, "%s/%s", dir, name) < 0) {
		path = NULL;
		return fail_no_memory("searching for leftovers");
	}
	lock = lock_dead(path);
	if (lock < 0)
		return 0;
	err = boot_directory_open(&place, path, conn);
	if (err != 0)
		return err;
	err = end_guests(conn, place.directory);
	if (err == 0)
		err = take_down(&place);
	boot_directory_close(&place);
	return err;
}

void prove_directory_sweep(const char *dir, struct connection *conn)
{
	DIR *d = opendir(dir);
	struct dirent *entry = NULL;
	while (d != NULL && (entry = readdir(d)) != NULL) {
		int err = is_ours(entry->d_name)
				? sweep_one(dir, entry->d_name, conn)
				: 0;
		if (err != 0)
			report_warning("cannot remove the leftovers of an "
				       "earlier run in %s/%s: %s",
					dir, entry->d_name, error_text(err));
	}
	if (d != NULL)
		closedir(d);
}
