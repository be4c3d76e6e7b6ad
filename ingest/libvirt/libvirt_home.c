/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "libvirt_home.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/foreign_path.h"

/* To which libvirt cuts a guest's name in its directory's. */
#define SHORT_NAME_MAX 20

/* SYSTEM: of the system's libvirt; SESSION: below a user's configuration. */
static char *find(const char *uri, const char *system, const char *session)
{
	const char *path = strstr(uri, "://");
	const char *config = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");
	char *out = NULL;
	path = path != NULL ? strchr(path + 3, '/') : NULL;
	if (path != NULL && strncmp(path, "/system", 7) == 0)
		return strdup(system);
	if (path == NULL || strncmp(path, "/session", 8) != 0)
		return NULL;
	if (config != NULL && *config)
		return asprintf(&out, "%s/%s", config, session) < 0 ? NULL
								    : out;
	if (home == NULL || asprintf(&out, "%s/.config/%s", home, session) < 0)
		return NULL;
	return out;
}

char *libvirt_home_tpm(const char *uri)
{
	return find(uri, "/var/lib/libvirt/swtpm", "libvirt/qemu/swtpm");
}

char *libvirt_home_nvram(const char *uri)
{
	return find(uri, "/var/lib/libvirt/qemu/nvram", "libvirt/qemu/nvram");
}

/* --- a guest's own directory --- */

/* Hooks put the path into NBD's URIs, where other bytes would have to be
 * quoted. */
static bool is_plain(const char *name)
{
	return name[strspn(name,
			       "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			       "abcdefghijklmnopqrstuvwxyz0123456789._-")]
			== '\0';
}

char *libvirt_home_guest(const char *uri, int id, const char *name, uid_t uid)
{
	CLEANUP_FREE char *all =
			find(uri, "/var/lib/libvirt/qemu", "libvirt/qemu/lib");
	CLEANUP_FREE char *path = NULL;
	struct stat st;
	if (all == NULL || id < 0 || !is_plain(name)
			|| asprintf(&path, "%s/domain-%d-%.*s", all, id,
					   SHORT_NAME_MAX, name)
					< 0)
		return NULL;
	if (foreign_path_stat(path, &st) == 0 && S_ISDIR(st.st_mode)
			&& st.st_uid == uid)
		return take_ptr(path);
	error_clear();
	return NULL;
}
