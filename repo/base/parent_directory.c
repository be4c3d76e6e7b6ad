/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "parent_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "cleanup.h"
#include "error.h"

int parent_directory_open(const char *path, const char **leaf)
{
	CLEANUP_FREE char *directory = strdup(path);
	if (directory == NULL)
		return fail_errno(-ENOMEM, "opening the directory of %s", path);
	char *slash = strrchr(directory, '/');
	*leaf = slash != NULL ? path + (slash - directory) + 1 : path;
	if (slash != NULL)
		slash[slash == directory ? 1 : 0] = '\0';
	int fd = open(slash != NULL ? directory : ".",
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? fail_errno(-errno, "opening the directory of %s", path)
		      : fd;
}
