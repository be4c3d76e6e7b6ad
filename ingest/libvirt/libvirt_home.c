/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "libvirt_home.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
