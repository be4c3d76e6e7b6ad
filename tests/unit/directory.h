/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A directory of a unit test's own, below $TMPDIR or /tmp. */
#ifndef AMBERFS_TESTS_UNIT_DIRECTORY_H
#define AMBERFS_TESTS_UNIT_DIRECTORY_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY_MAX 80

/* BELOW NULL: $TMPDIR, else /tmp. 0 or -1. */
static inline int directory_make(char out[DIRECTORY_MAX], const char *below,
		const char *name)
{
	const char *tmp = below != NULL ? below : getenv("TMPDIR");
	snprintf(out, DIRECTORY_MAX, "%.40s/%.20s.XXXXXX",
			tmp != NULL ? tmp : "/tmp", name);
	return mkdtemp(out) != NULL ? 0 : -1;
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
