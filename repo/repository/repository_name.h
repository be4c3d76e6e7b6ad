/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Repositories by the name that the configuration gives them. What has a slash
 * in it is a path, and so is the name of a directory that is there, if it is not
 * configured. Threading: while there is one thread.
 */
#ifndef AMBERFS_REPOSITORY_REPOSITORY_NAME_H
#define AMBERFS_REPOSITORY_REPOSITORY_NAME_H

#include "repository.h"

/* The value of --config; NULL: the usual files. */
extern const char *repository_name_file;

/*
 * If *REPO is such a name, it becomes the place of that repository, and what the
 * configuration says of its key, index and minimum age becomes what OPTIONS (a
 * struct repository_options) has where neither an option nor the environment
 * says it. 0; -ENOENT: there is no such name, or -EINVAL: the configuration is
 * wrong, with a text.
 */
int repository_name_resolve(void *options, const char **repo);

/* Adds the same to OPTIONS where PLACE, a path, is the place of a configured
 * repository; else nothing. */
void repository_name_of_place(struct repository_options *options,
		const char *place);

#endif
