/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An index for one process, where its user has no lasting place for one: in a
 * private directory among the temporary files, removed at the end. It is used
 * through its descriptor alone, so who may write above it does not matter.
 *
 * A lock on the directory tells that it is in use (systemd-tmpfiles, too); what
 * a killed process left is removed by the next one that needs such a place.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "index_internal.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"

#define PREFIX "amberfs-index."

static void remove_directory(int above, const char *name, int dir)
{
	index_place_remove(dir);
	unlinkat(dir, INDEX_WRITERS_LOCK_FILE, 0);
	unlinkat(above, name, AT_REMOVEDIR);
}

/* NAME in ABOVE, if it is a directory of ours alone; else -1. */
static int open_private(int above, const char *name)
{
	struct stat st;
	CLEANUP_FD int dir = openat(above, name,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 || fstat(dir, &st) < 0 || st.st_uid != geteuid()
			|| (st.st_mode & 077) != 0)
		return -1;
	return take_fd(&dir);
}

static void remove_abandoned(int above)
{
	int copy = openat(above, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = copy >= 0 ? fdopendir(copy) : NULL;
	if (list == NULL) {
		if (copy >= 0)
			close(copy);
		return;
	}
	for (struct dirent *d = readdir(list); d != NULL; d = readdir(list)) {
		if (strncmp(d->d_name, PREFIX, strlen(PREFIX)) != 0)
			continue;
		CLEANUP_FD int dir = open_private(above, d->d_name);
		if (dir >= 0 && flock(dir, LOCK_EX | LOCK_NB) == 0)
			remove_directory(above, d->d_name, dir);
	}
	closedir(list);
}

static int make_in(struct index_place *place, const char *base)
{
	CLEANUP_FREE char *path = NULL;
	struct stat st;
	CLEANUP_FD int above = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (above < 0)
		return -errno;
	if (index_place_network(above) != NULL)
		return -EOPNOTSUPP;
	remove_abandoned(above);
	if (asprintf(&path, "%s/" PREFIX "XXXXXX", base) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	if (mkdtemp(path) == NULL)
		return -errno;
	CLEANUP_FD int dir = open_private(above, strrchr(path, '/') + 1);
	/* Between the two, another one may have taken it for abandoned. */
	if (dir < 0 || flock(dir, LOCK_SH | LOCK_NB) < 0 || fstat(dir, &st) < 0
			|| st.st_nlink == 0)
		return -EAGAIN;
	place->above = take_fd(&above);
	place->dir = take_fd(&dir);
	place->path = take_ptr(path);
	return 0;
}

int index_temporary_make(struct index_place *place)
{
	const char *bases[] = { getenv("TMPDIR"), "/var/tmp", "/tmp",
		"/dev/shm" };
	for (size_t i = 0; i < ARRAY_SIZE(bases); i++)
		if (bases[i] != NULL && *bases[i] == '/'
				&& make_in(place, bases[i]) == 0)
			return 0;
	return -EACCES;
}

void index_temporary_remove(struct index_place *place)
{
	remove_directory(place->above, strrchr(place->path, '/') + 1,
			place->dir);
	close(take_fd(&place->above));
}
