/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which files are read, and that none is which others can change: it names
 * commands that are run with our rights, and decides what is removed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "configuration_internal.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/foreign_path.h"
#include "repo/base/units.h"

#define SYSTEM_DIRECTORY "/etc/amberfs"
#define MAIN_FILE "amberfs.conf"
#define FILE_MAX ((size_t)MIB)
#define DOING "reading the configuration"

/* --- one file --- */

/* *TEXT to free. 0 or -errno with a text. */
static int read_all(int fd, char **text, size_t *len)
{
	CLEANUP_FREE char *bytes = malloc(FILE_MAX + 1);
	if (bytes == NULL)
		return fail_no_memory(DOING);
	*len = 0;
	while (*len <= FILE_MAX) {
		ssize_t n = read(fd, bytes + *len, FILE_MAX + 1 - *len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_errno(-errno, "reading it");
		if (n == 0)
			break;
		*len += (size_t)n;
	}
	if (*len > FILE_MAX)
		return fail(-EFBIG, "it is larger than 1 MiB");
	*text = take_ptr(bytes);
	return 0;
}

static int refuse(struct configuration *configuration, const char *file,
		int err)
{
	if (err == -ENOMEM)
		return err;
	configuration->refused = true;
	return configuration_problem(configuration, NULL, file, 0, "%s",
			error_text(err));
}

/* MUST: it is a problem if it is not there. */
static int load_file(struct configuration *configuration, const char *path,
		bool must)
{
	bool is_stdin = strcmp(path, CONFIGURATION_STDIN) == 0;
	CLEANUP_FREE char *text = NULL;
	const char *file;
	size_t len = 0;
	CLEANUP_FD int fd = is_stdin ? dup(STDIN_FILENO)
				     : foreign_path_open_ours(path);
	if (fd == -ENOENT && !must)
		return 0;
	int err = fd < 0 ? fd : 0;
	int kept = configuration_add_file(configuration,
			is_stdin ? "standard input" : path, &file);
	if (kept < 0)
		return kept;
	if (err == 0)
		err = read_all(fd, &text, &len);
	if (err < 0)
		return refuse(configuration, file, err);
	return configuration_read(configuration, file, text, len);
}

/* --- a directory --- */

static int is_part(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);
	return entry->d_name[0] != '.' && len > 5
			&& strcmp(entry->d_name + len - 5, ".conf") == 0;
}

static int load_parts(struct configuration *configuration,
		const char *directory)
{
	char above[PATH_MAX], path[PATH_MAX];
	struct dirent **entries = NULL;
	const char *file;
	snprintf(above, sizeof(above), "%.3900s/conf.d", directory);
	int count = scandir(above, &entries, is_part, alphasort), err = 0;
	if (count < 0 && errno != ENOENT && errno != ENOTDIR) {
		int why = fail_errno(-errno, "reading it");
		err = configuration_add_file(configuration, above, &file);
		return err < 0 ? err : refuse(configuration, file, why);
	}
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%.3900s/%.190s", above,
				entries[i]->d_name);
		if (err == 0)
			err = load_file(configuration, path, true);
		free(entries[i]);
	}
	free(entries);
	return err;
}

static int load_directory(struct configuration *configuration,
		const char *directory)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%.3900s/%s", directory, MAIN_FILE);
	int err = load_file(configuration, path, false);
	return err < 0 ? err : load_parts(configuration, directory);
}

/* An ordinary user's own. False: there is none. */
static bool own_directory(char out[PATH_MAX])
{
	const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	if (base != NULL && base[0] == '/')
		snprintf(out, PATH_MAX, "%.3800s/amberfs", base);
	else if (home != NULL && home[0] == '/')
		snprintf(out, PATH_MAX, "%.3800s/.config/amberfs", home);
	else
		return false;
	return access(out, F_OK) == 0;
}

const char *configuration_default_file(void)
{
	static char path[PATH_MAX + sizeof(MAIN_FILE)];
	char directory[PATH_MAX];
	bool own = geteuid() != 0 && own_directory(directory);
	snprintf(path, sizeof(path), "%s/%s",
			own ? directory : SYSTEM_DIRECTORY, MAIN_FILE);
	return path;
}

/* --- all --- */

static int load_all(struct configuration *configuration, const char *file)
{
	char directory[PATH_MAX];
	if (file != NULL)
		return load_file(configuration, file, true);
	bool own = geteuid() != 0 && own_directory(directory);
	return load_directory(configuration,
			own ? directory : SYSTEM_DIRECTORY);
}

static int finish(struct configuration **out, struct configuration *loaded,
		int err)
{
	if (err == 0)
		err = configuration_check(loaded);
	if (err < 0)
		configuration_free(loaded);
	else
		*out = loaded;
	return err;
}

int configuration_load(struct configuration **out, const char *file)
{
	struct configuration *loaded = configuration_new();
	if (loaded == NULL)
		return fail_no_memory(DOING);
	return finish(out, loaded, load_all(loaded, file));
}

int configuration_parse(struct configuration **out, const char *file,
		const char *text, size_t len)
{
	struct configuration *loaded = configuration_new();
	const char *kept;
	if (loaded == NULL)
		return fail_no_memory(DOING);
	int err = configuration_add_file(loaded, file, &kept);
	if (err == 0)
		err = configuration_read(loaded, kept, text, len);
	return finish(out, loaded, err);
}
