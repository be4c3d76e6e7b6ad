/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tpm_state.h"

#include <fcntl.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/foreign_path.h"

const char *const tpm_state_names[] = { "tpm2-00.permall",
	"tpm2-00.volatilestate", "tpm2-00.savestate", "tpm-00.permall",
	"tpm-00.volatilestate", "tpm-00.savestate", NULL };
const char *const tpm_state_versions[] = { "tpm1.2", "tpm2", NULL };

/* Where the last component of the first LEN bytes of PATH begins. */
static size_t last_component(const char *path, size_t len)
{
	while (len > 0 && path[len - 1] != '/')
		len--;
	return len;
}

static bool is_one_of(const char *text, size_t len, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strlen(*words) == len && memcmp(text, *words, len) == 0)
			return true;
	return false;
}

bool tpm_state_is_path(const char *path, const char *uuid)
{
	const char *const uuids[] = { uuid, NULL };
	const char *const *const wanted[] = { tpm_state_names,
		tpm_state_versions, uuids };
	size_t end = strlen(path);
	for (unsigned i = 0; i < 3; i++) {
		size_t start = last_component(path, end);
		if (start < 2
				|| !is_one_of(path + start, end - start,
						wanted[i]))
			return false;
		end = start - 1;
	}
	return true;
}

bool tpm_state_is_below(const char *path, const char *directory)
{
	size_t len = strlen(directory);
	if (strncmp(path, directory, len) != 0)
		return false;
	path += len;
	return *path == '\0'
			|| (*path == '/'
					&& is_one_of(path + 1, strlen(path + 1),
							tpm_state_names));
}

int tpm_state_make_directories(const char *path, int levels)
{
	size_t name = last_component(path, strlen(path));
	CLEANUP_FREE char *directory = strndup(path, name > 1 ? name - 1 : 1);
	if (directory == NULL)
		return fail_no_memory("restoring the TPM");
	if (levels == 0)
		return foreign_path_open(directory, O_RDONLY | O_DIRECTORY);
	CLEANUP_FD int above =
			tpm_state_make_directories(directory, levels - 1);
	if (above < 0)
		return above;
	int fd = foreign_path_make_directory(above,
			directory + last_component(directory, name - 1));
	return fd < 0 ? fail_within(fd, "%s", path) : fd;
}
