/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The directory of booted snapshots; see boot_root.h. */
#include "boot_root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "boot_directory.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/report.h"
#include "repo/format/name.h"

#define USUAL_PARENT "/var/lib/amberfs"
#define USUAL USUAL_PARENT "/boot"
#define USUAL_AT_HOME "/.local/share/amberfs/boot"
#define MODE 0711

static char *usual_dir(void)
{
	const char *home = getenv("HOME");
	char *path = NULL;
	if (geteuid() == 0 || home == NULL)
		return strdup(USUAL);
	return asprintf(&path, "%s" USUAL_AT_HOME, home) < 0 ? NULL : path;
}

int boot_root_find(const char *path, char **out)
{
	CLEANUP_FREE char *wanted = path != NULL ? strdup(path) : usual_dir();
	if (wanted == NULL)
		return fail_no_memory("booting the snapshot");
	*out = realpath(wanted, NULL);
	if (*out == NULL && errno == ENOENT)
		*out = take_ptr(wanted);
	return *out != NULL ? 0 : fail_errno(-errno, "%s", wanted);
}

/* mkdir -p; anyone may pass the directories made. */
static int make_directories(char *path)
{
	for (char *at = path + 1;; at++) {
		char was = *at;
		if (was != '/' && was != '\0')
			continue;
		*at = '\0';
		if (mkdir(path, MODE) == 0)
			(void)chmod(path, MODE);
		else if (errno != EEXIST)
			return fail_errno(-errno, "making the directory %s",
					path);
		*at = was;
		if (was == '\0')
			return 0;
	}
}

/* Anything else in amberfs' own directory is private by itself. */
static void open_parent(const char *dir)
{
	struct stat st;
	if (strcmp(dir, USUAL) == 0 && stat(USUAL_PARENT, &st) == 0)
		(void)chmod(USUAL_PARENT, (st.st_mode & 07777) | 0011);
}

/* True if USER may pass, as far as plain permissions tell. */
static bool may_pass(const struct stat *st, uid_t uid, gid_t gid)
{
	if (uid == 0)
		return true;
	if (st->st_uid == uid)
		return (st->st_mode & S_IXUSR) != 0;
	return (st->st_mode & (st->st_gid == gid ? S_IXGRP : S_IXOTH)) != 0;
}

void boot_root_check_way(const char *dir, uid_t uid, gid_t gid)
{
	CLEANUP_FREE char *path = strdup(dir);
	struct stat st;
	for (char *end = path; end != NULL && *end != '\0';) {
		end = strchr(end + 1, '/');
		if (end != NULL)
			*end = '\0';
		if (stat(path, &st) == 0 && !may_pass(&st, uid, gid))
			report_warning("the user that qemu runs as (%u) may "
				       "not be able to reach the disks "
				       "through %s: use 'chmod o+x', or "
				       "another --overlay-dir",
					(unsigned)uid, path);
		if (end != NULL)
			*end = '/';
	}
}

int boot_root_prepare(const char *dir)
{
	struct statfs fs;
	CLEANUP_FREE char *path = strdup(dir);
	if (path == NULL)
		return fail_no_memory("booting the snapshot");
	int err = boot_directory_check_ours(dir);
	if (err == 0)
		err = make_directories(path);
	if (err < 0)
		return err;
	open_parent(dir);
	if (statfs(dir, &fs) < 0)
		return fail_errno(-errno, "examining %s", dir);
	if (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC)
		return fail(-EINVAL,
				"%s is in memory, so what the guest writes "
				"would be lost: give a directory on a disk "
				"with --overlay-dir",
				dir);
	return 0;
}

char *boot_root_directory(const char *dir, const char *name)
{
	char component[NAME_COMPONENT_MAX + 1];
	char *path = NULL;
	CLEANUP_FREE char *escaped = name_escape(name, strlen(name));
	if (escaped == NULL)
		return NULL;
	name_component(component, escaped);
	return asprintf(&path, "%s/%s", dir, component) < 0 ? NULL : path;
}

int boot_root_lock(const char *directory, bool wait)
{
	CLEANUP_FD int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail_errno(-errno, "opening %s", directory);
	while (flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB)) < 0) {
		if (errno == EWOULDBLOCK)
			return fail(-EBUSY,
					"another amberfs boot is working on "
					"%s; wait for it",
					directory);
		if (errno != EINTR)
			return fail_errno(-errno, "locking %s", directory);
	}
	return take_fd(&fd);
}

static int visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int visit(const char *directory, boot_root_fn *fn, void *ctx)
{
	struct boot_state s;
	int e = boot_state_load(&s, directory);
	if (e == -ENOENT)
		return 0;
	int r = fn(ctx, directory, e < 0 ? NULL : &s, e);
	boot_state_clear(&s);
	return r;
}

int boot_root_each(const char *dir, boot_root_fn *fn, void *ctx)
{
	struct dirent **list = NULL;
	int n = scandir(dir, &list, visible, alphasort), err = 0;
	if (n < 0)
		return errno == ENOENT ? 0
				       : fail_errno(-errno, "reading %s", dir);
	for (int i = 0; i < n; i++) {
		CLEANUP_FREE char *directory = NULL;
		if (err == 0
				&& asprintf(&directory, "%s/%s", dir,
						   list[i]->d_name)
						< 0) {
			directory = NULL;
			err = fail_no_memory("booting the snapshot");
		}
		if (err == 0)
			err = visit(directory, fn, ctx);
		free(list[i]);
	}
	free(list);
	return err;
}
