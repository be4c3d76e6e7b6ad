/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One small file per source, STATE/<repository id>/COMPONENT, replaced by
 * rename. */
#include "high_water.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "repo/base/cleanup.h"
#include "repo/base/hex.h"
#include "repo/format/name.h"

#define STATE_PATH_MAX 4096

static bool state_path(char out[STATE_PATH_MAX])
{
	const char *dir = getenv("AMBERFS_STATE_DIR");
	const char *xdg = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");
	int n;
	if (dir != NULL && *dir)
		n = snprintf(out, STATE_PATH_MAX, "%s", dir);
	else if (geteuid() == 0)
		n = snprintf(out, STATE_PATH_MAX, "/var/lib/amberfs");
	else if (xdg != NULL && *xdg)
		n = snprintf(out, STATE_PATH_MAX, "%s/amberfs", xdg);
	else if (home != NULL && *home)
		n = snprintf(out, STATE_PATH_MAX, "%s/.local/state/amberfs",
				home);
	else
		return false;
	return n < STATE_PATH_MAX;
}

static void make_directories(char *path)
{
	for (char *p = strchr(path + 1, '/'); p != NULL;
			p = strchr(p + 1, '/')) {
		*p = '\0';
		mkdir(path, 0700);
		*p = '/';
	}
	mkdir(path, 0700);
}

static int open_directory(struct repository *repo, bool make)
{
	char path[STATE_PATH_MAX], id[2 * REPO_ID_SIZE + 1];
	if (!state_path(path))
		return -1;
	if (make)
		make_directories(path);
	CLEANUP_FD int top = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (top < 0)
		return -1;
	hex_encode(id, repo->config.repo_id, REPO_ID_SIZE);
	if (make)
		mkdirat(top, id, 0700);
	return openat(top, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

uint64_t high_water_get(struct repository *repo, const char *source)
{
	char name[NAME_COMPONENT_MAX + 1], text[32];
	CLEANUP_FD int directory = open_directory(repo, false);
	name_component(name, source);
	CLEANUP_FD int fd = directory < 0
			? -1
			: openat(directory, name,
					O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	return strtoull(text, NULL, 10);
}

void high_water_set(struct repository *repo, const char *source,
		uint64_t sequence)
{
	char name[NAME_COMPONENT_MAX + 1], text[32], temporary[64];
	CLEANUP_FD int directory = open_directory(repo, true);
	if (directory < 0)
		return;
	name_component(name, source);
	snprintf(temporary, sizeof(temporary), ".new.%ld", (long)getpid());
	CLEANUP_FD int fd = openat(directory, temporary,
			O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
			0600);
	int len = snprintf(text, sizeof(text), "%llu\n",
			(unsigned long long)sequence);
	if (fd < 0 || write(fd, text, (size_t)len) != len
			|| renameat(directory, temporary, directory, name) < 0)
		unlinkat(directory, temporary, 0);
}
