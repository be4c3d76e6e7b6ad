/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Says where the index would be, and makes nothing. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "index.h"
#include "index_internal.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"

int index_look(char **path, const char **network, const uint8_t *repo_id,
		const char *wanted)
{
	*network = NULL;
	int err = 0;
	if (wanted == NULL)
		err = index_place_cache(path, repo_id, false);
	else
		*path = strdup(wanted);
	if (err < 0)
		return err;
	CLEANUP_FREE char *copy = *path != NULL ? strdup(*path) : NULL;
	if (copy == NULL)
		return fail_no_memory("looking for the index");
	/* What is not there yet would be made in the nearest that is. */
	for (char *at = copy;; at = dirname(at)) {
		CLEANUP_FD int dir = open(at, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (dir >= 0)
			*network = index_place_network(dir);
		if (dir >= 0 || strcmp(at, "/") == 0 || strcmp(at, ".") == 0)
			return 0;
	}
}
