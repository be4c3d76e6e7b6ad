/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Says where the index would be, and makes nothing. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "index.h"
#include "index_internal.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"

/* As index_place_open looks for it; where that has a second choice, the first.*/
static int path_of(char **path, const uint8_t *repo_id, const char *wanted)
{
	char id[2 * REPO_ID_SIZE + 1];
	const char *xdg = getenv("XDG_CACHE_HOME");
	int n;
	hex_encode(id, repo_id, REPO_ID_SIZE);
	if (wanted != NULL)
		n = asprintf(path, "%s", wanted);
	else if (xdg != NULL && *xdg == '/')
		n = asprintf(path, "%s/amberfs/%s", xdg, id);
	else if (geteuid() == 0)
		n = asprintf(path, "/var/cache/amberfs/%s", id);
	else
		n = asprintf(path, "%s/.cache/amberfs/%s",
				index_place_home() != NULL ? index_place_home()
							   : "",
				id);
	if (n >= 0)
		return 0;
	*path = NULL;
	return fail_no_memory("looking for the index");
}

int index_look(char **path, const char **network, const uint8_t *repo_id,
		const char *wanted)
{
	*network = NULL;
	int err = path_of(path, repo_id, wanted);
	if (err < 0)
		return err;
	CLEANUP_FREE char *copy = strdup(*path);
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
