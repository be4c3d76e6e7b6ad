/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A directory of a unit test's own. */
#ifndef AMBERFS_TESTS_UNIT_DIRECTORY_H
#define AMBERFS_TESTS_UNIT_DIRECTORY_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define DIRECTORY_MAX 80
#define DIRECTORY_ROOM ((unsigned long long)1 << 30)

/* In memory, where fsync takes no time, if a gigabyte of it is free. */
static inline const char *directory_tmp(void)
{
	struct statvfs st;
	const char *tmp = getenv("TMPDIR");
	if (tmp != NULL)
		return tmp;
	if (access("/dev/shm", W_OK | X_OK) == 0
			&& statvfs("/dev/shm", &st) == 0
			&& st.f_bavail * (unsigned long long)st.f_frsize
					>= DIRECTORY_ROOM)
		return "/dev/shm";
	return "/tmp";
}

/* Below $TMPDIR, else /dev/shm or /tmp. What is cached goes there, too. 0 or
 * -1. */
static inline int directory_make(char out[DIRECTORY_MAX], const char *name)
{
	snprintf(out, DIRECTORY_MAX, "%.40s/%.20s.XXXXXX", directory_tmp(),
			name);
	if (mkdtemp(out) == NULL)
		return -1;
	char cache[DIRECTORY_MAX + 8];
	snprintf(cache, sizeof(cache), "%s/cache", out);
	return setenv("XDG_CACHE_HOME", cache, 1);
}

static inline int directory_remove_one(const char *path, const struct stat *st,
		int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* With all that is in it. 0 or -1. */
static inline int directory_remove(const char *path)
{
	return nftw(path, directory_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
