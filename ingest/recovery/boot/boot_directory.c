/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The directory of a booted snapshot. A file is written under a temporary name,
 * given to qemu's user, fsynced, renamed (never over another), and its
 * directory fsynced. The mount is in boot_mount.c.
 */
#include "boot_directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ingest/libvirt/child.h"
#include "ingest/libvirt/qemu_user.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/foreign_path.h"
#include "repo/format/name.h"

#define DIRECTORY_MODE 0711
#define MOUNT_MODE 0755
#define FILE_MODE 0600
#define COPY_BUFFER (256 * KIB)
#define OUTPUT_MAX 65536
#define SECTOR 512u

/* --- names --- */

int boot_directory_open(struct boot_directory *dir, const char *directory,
		struct connection *conn)
{
	*dir = (struct boot_directory){ .directory = NULL };
	CLEANUP_FREE char *above = strdup(directory);
	if (above == NULL)
		return fail_no_memory("booting the snapshot");
	size_t len = strlen(above);
	while (len > 1 && above[len - 1] == '/')
		above[--len] = '\0';
	const char *leaf = directory;
	char *slash = strrchr(above, '/');
	CLEANUP_FREE char *name = strdup(slash != NULL ? slash + 1 : above);
	if (slash != NULL)
		slash[slash == above ? 1 : 0] = '\0';
	CLEANUP_FREE char *real = realpath(slash != NULL ? above : ".", NULL);
	if (real == NULL)
		return fail_errno(-errno, "finding the directory of %s", leaf);
	if (name == NULL
			|| asprintf(&dir->directory, "%s/%s",
					   strcmp(real, "/") == 0 ? "" : real,
					   name)
					< 0
			|| asprintf(&dir->mount, "%s/" BOOT_DIRECTORY_MOUNT,
					   dir->directory)
					< 0) {
		boot_directory_close(dir);
		return fail_no_memory("booting the snapshot");
	}
	int err = qemu_user(conn, &dir->uid, &dir->gid);
	if (err < 0)
		boot_directory_close(dir);
	return err;
}

void boot_directory_close(struct boot_directory *dir)
{
	free(dir->directory);
	free(dir->mount);
	*dir = (struct boot_directory){ .directory = NULL };
}

char *boot_directory_file(const struct boot_directory *dir,
		const struct snapshot *snap, const struct snapshot_file *file)
{
	char *path = NULL;
	if (asprintf(&path, "%s/%s/%s", dir->mount,
			    snap->object + strlen("snapshots/"), file->name)
			< 0)
		return NULL;
	return path;
}

char *boot_directory_overlay_path(const struct boot_directory *dir,
		const char *target)
{
	char component[NAME_COMPONENT_MAX + 1];
	char *path = NULL;
	CLEANUP_FREE char *escaped = name_escape(target, strlen(target));
	if (escaped == NULL)
		return NULL;
	name_component(component, escaped);
	return asprintf(&path, "%s/%s.qcow2", dir->directory, component) < 0
			? NULL
			: path;
}

/* --- the directory --- */

static int sync_directory(const char *path)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return fail_errno(-errno, "flushing the directory %s", path);
	return 0;
}

static int sync_directory_above(const char *path)
{
	CLEANUP_FREE char *above = strdup(path);
	if (above == NULL)
		return fail_no_memory("booting the snapshot");
	char *slash = strrchr(above, '/');
	slash[slash == above ? 1 : 0] = '\0';
	return sync_directory(above);
}

int boot_directory_check_ours(const char *path)
{
	if (geteuid() != 0 || foreign_path_is_ours(path))
		return 0;
	return fail(-EPERM,
			"other users than root can change %s, or a directory "
			"or link on the way to it: give another directory",
			path);
}

int boot_directory_create(struct boot_directory *dir)
{
	if (mkdir(dir->directory, DIRECTORY_MODE) < 0) {
		if (errno == EEXIST)
			return fail(-EEXIST, "%s exists; choose another name",
					dir->directory);
		return fail_errno(-errno, "making the directory %s",
				dir->directory);
	}
	/* Whatever the umask is. */
	if (chmod(dir->directory, DIRECTORY_MODE) < 0
			|| mkdir(dir->mount, MOUNT_MODE) < 0)
		return fail_errno(-errno, "making the directory %s",
				dir->mount);
	int err = sync_directory(dir->directory);
	return err < 0 ? err : sync_directory_above(dir->directory);
}

static int remove_file(int directory, const char *name)
{
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0
			|| strcmp(name, BOOT_DIRECTORY_STATE) == 0)
		return 0;
	if (unlinkat(directory, name, 0) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

int boot_directory_remove(struct boot_directory *dir)
{
	/* First: it fails if something is mounted. */
	if (rmdir(dir->mount) < 0 && errno != ENOENT) {
		if (errno == EBUSY || errno == ENOTCONN)
			return fail(-EBUSY, "%s is still mounted", dir->mount);
		return fail_errno(-errno, "removing %s", dir->mount);
	}
	DIR *d = opendir(dir->directory);
	if (d == NULL)
		return errno == ENOENT ? 0
				       : fail_errno(-errno, "opening %s",
						       dir->directory);
	int err = 0;
	for (struct dirent *entry = readdir(d); err == 0 && entry != NULL;
			entry = readdir(d)) {
		err = remove_file(dirfd(d), entry->d_name);
		if (err < 0)
			err = fail_errno(err, "removing %s/%s", dir->directory,
					entry->d_name);
	}
	if (err == 0 && unlinkat(dirfd(d), BOOT_DIRECTORY_STATE, 0) < 0
			&& errno != ENOENT)
		err = fail_errno(-errno, "removing %s/" BOOT_DIRECTORY_STATE,
				dir->directory);
	closedir(d);
	if (err == 0 && rmdir(dir->directory) < 0)
		err = fail_errno(-errno, "removing %s", dir->directory);
	return err < 0 ? err : sync_directory_above(dir->directory);
}

/* --- a new file in it --- */

struct new_file {
	char *temporary, *path;
};

static void new_file_clear(struct new_file *file)
{
	if (file->temporary != NULL)
		unlink(file->temporary);
	free(file->temporary);
	free(file->path);
}

#define CLEANUP_NEW_FILE CLEANUP(new_file_clear)

/* What an interrupted run left under the temporary name is not in use. */
static int new_file_begin(struct new_file *file,
		const struct boot_directory *dir, const char *name)
{
	if (asprintf(&file->path, "%s/%s", dir->directory, name) < 0) {
		file->path = NULL;
		return fail_no_memory("booting the snapshot");
	}
	if (asprintf(&file->temporary, "%s/.%s.new", dir->directory, name)
			< 0) {
		file->temporary = NULL;
		return fail_no_memory("booting the snapshot");
	}
	if (unlink(file->temporary) < 0 && errno != ENOENT)
		return fail_errno(-errno, "removing %s", file->temporary);
	return 0;
}

static int new_file_finish(struct new_file *file,
		const struct boot_directory *dir, int fd, char **path)
{
	int err = qemu_user_chown(fd, file->path, dir->uid, dir->gid);
	if (err < 0)
		return err;
	if (fchmod(fd, FILE_MODE) < 0 || fsync(fd) < 0)
		return fail_errno(-errno, "writing %s", file->path);
	if (renameat2(AT_FDCWD, file->temporary, AT_FDCWD, file->path,
			    RENAME_NOREPLACE)
			< 0)
		return fail_errno(-errno, "renaming to %s", file->path);
	free(take_ptr(file->temporary));
	err = sync_directory(dir->directory);
	if (err != 0)
		return err;
	*path = take_ptr(file->path);
	return 0;
}

/* --- overlays --- */

/* The backing file is not opened (-u): its size and format are known, and its
 * contents are the guest's, which must not be probed. */
static int create_overlay(char *to, char *backing, uint64_t size)
{
	char number[24];
	char program[] = "qemu-img", verb[] = "create", quiet[] = "-q",
	     unsafe[] = "-u", f[] = "-f", format[] = "qcow2", F[] = "-F",
	     raw[] = "raw", b[] = "-b";
	char *argv[] = { program, verb, quiet, unsafe, f, format, F, raw, b,
		backing, to, number, NULL };
	CLEANUP_FREE char *out = NULL;
	snprintf(number, sizeof(number), "%llu", (unsigned long long)size);
	return child_run(argv, OUTPUT_MAX, &out);
}

int boot_directory_overlay(struct boot_directory *dir,
		const struct snapshot *snap, const struct snapshot_file *file,
		char **path)
{
	CLEANUP_NEW_FILE struct new_file f = { .path = NULL };
	CLEANUP_FREE char *backing = boot_directory_file(dir, snap, file);
	CLEANUP_FREE char *wanted = boot_directory_overlay_path(dir,
			file->target != NULL ? file->target : file->name);
	/* qemu sees whole sectors. */
	uint64_t size = (file->size + SECTOR - 1) / SECTOR * SECTOR;
	if (backing == NULL || wanted == NULL)
		return fail_no_memory("making an overlay");
	int err = new_file_begin(&f, dir, strrchr(wanted, '/') + 1);
	if (err == 0)
		err = create_overlay(f.temporary, backing, size);
	if (err < 0)
		return fail_within(err, "making the overlay %s", wanted);
	CLEANUP_FD int fd = open(f.temporary, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return fail_errno(-errno, "opening %s", f.temporary);
	return new_file_finish(&f, dir, fd, path);
}

/* --- copies --- */

static int copy_bytes(int from, int to, const char *name)
{
	CLEANUP_FREE char *buf = malloc(COPY_BUFFER);
	if (buf == NULL)
		return fail_errno(-ENOMEM, "copying %s", name);
	for (;;) {
		ssize_t n = read(from, buf, COPY_BUFFER);
		if (n == 0)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_errno(-errno, "reading %s", name);
		for (ssize_t at = 0; at < n;) {
			ssize_t w = write(to, buf + at, (size_t)(n - at));
			if (w < 0 && errno != EINTR)
				return fail_errno(-errno, "writing %s", name);
			at += w < 0 ? 0 : w;
		}
	}
}

int boot_directory_copy(struct boot_directory *dir, const struct snapshot *snap,
		const struct snapshot_file *file, const char *name, char **path)
{
	CLEANUP_NEW_FILE struct new_file f = { .path = NULL };
	CLEANUP_FREE char *source = boot_directory_file(dir, snap, file);
	if (source == NULL)
		return fail_errno(-ENOMEM, "copying %s", name);
	int err = new_file_begin(&f, dir, name);
	if (err < 0)
		return err;
	CLEANUP_FD int from = open(source, O_RDONLY | O_CLOEXEC);
	if (from < 0)
		return fail_errno(-errno, "opening %s", source);
	CLEANUP_FD int to = open(f.temporary,
			O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
			FILE_MODE);
	if (to < 0)
		return fail_errno(-errno, "making %s", f.temporary);
	err = copy_bytes(from, to, f.path);
	return err < 0 ? err : new_file_finish(&f, dir, to, path);
}
