/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Amberfs used to keep the index in the repository, where whoever may write
 * there could forge it. Such a one is not read any more, and removed: only
 * from a real directory that has nothing else in it, and only names, so that
 * no link leads anywhere.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "index_internal.h"
#include "repo/base/cleanup.h"

#define FORMER_DIRECTORY "index"

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static bool is_index(DIR *list)
{
	for (struct dirent *d = readdir(list); d != NULL; d = readdir(list))
		if (!is_dots(d->d_name) && !index_place_is_file(d->d_name))
			return false;
	return true;
}

/* It may have been named with --index-dir. */
static bool same_directory(int one, int other)
{
	struct stat a, b;
	return fstat(one, &a) == 0 && fstat(other, &b) == 0
			&& a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

void index_former_remove(struct store *store, int used)
{
	if (!store_writable(store))
		return;
	CLEANUP_FD int root = open(store_path(store),
			O_PATH | O_DIRECTORY | O_CLOEXEC);
	int dir = openat(root, FORMER_DIRECTORY,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return;
	DIR *list = fdopendir(dir);
	if (list == NULL) {
		close(dir);
		return;
	}
	if (!same_directory(dir, used) && is_index(list)) {
		index_place_remove(dir);
		unlinkat(dir, INDEX_WRITERS_LOCK_FILE, 0);
		unlinkat(root, FORMER_DIRECTORY, AT_REMOVEDIR);
	}
	closedir(list);
}
