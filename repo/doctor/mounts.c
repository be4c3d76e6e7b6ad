/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mounts.h"

#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "repo/base/cleanup.h"

#define LINKS_MAX 40

/* The mount with the longest name, the last of those with one name. */
static bool is_below(const char *path, const char *point)
{
	size_t len = strlen(point);
	if (strcmp(point, "/") == 0)
		return true;
	return strncmp(path, point, len) == 0
			&& (path[len] == '/' || path[len] == '\0');
}

static void copy(char *out, size_t size, const char *text, size_t len)
{
	snprintf(out, size, "%.*s", (int)len, text);
}

/* "host:/path", "user@host:path", "[2001:db8::1]:/path", "//host/share",
 * "host1,host2:/" */
static void server_of_source(char out[MOUNTS_SERVER_MAX], const char *text)
{
	if (strncmp(text, "//", 2) == 0) {
		text += 2;
		copy(out, MOUNTS_SERVER_MAX, text, strcspn(text, "/"));
		return;
	}
	if (strchr(text, ':') == NULL || *text == '/')
		return;
	const char *at = strchr(text, '@');
	if (at != NULL && at < strchr(text, ':'))
		text = at + 1;
	if (*text == '[')
		copy(out, MOUNTS_SERVER_MAX, text + 1, strcspn(text + 1, "]"));
	else
		copy(out, MOUNTS_SERVER_MAX, text, strcspn(text, ":,"));
}

void mounts_server(char out[MOUNTS_SERVER_MAX], const struct mntent *entry)
{
	static const char *const types[] = { "nfs", "nfs4", "cifs", "smb3",
		"ceph", "fuse.sshfs", "fuse.glusterfs", "fuse.rclone", "9p",
		"lustre", "davfs", NULL };
	const char *const *type = types;
	out[0] = '\0';
	while (*type != NULL && strcmp(*type, entry->mnt_type) != 0)
		type++;
	if (*type == NULL)
		return;
	/* NFS and CIFS tell the address that is used. */
	const char *address = hasmntopt(entry, "addr");
	if (address != NULL && address[4] == '=')
		copy(out, MOUNTS_SERVER_MAX, address + 5,
				strcspn(address + 5, ","));
	else
		server_of_source(out, entry->mnt_fsname);
}

static void fill(struct mounted *out, const struct mntent *entry)
{
	memset(out, 0, sizeof(*out));
	snprintf(out->point, sizeof(out->point), "%s", entry->mnt_dir);
	snprintf(out->type, sizeof(out->type), "%s", entry->mnt_type);
	snprintf(out->source, sizeof(out->source), "%s", entry->mnt_fsname);
	mounts_server(out->server, entry);
}

static bool find_by_name(struct mounted *out, const char *path)
{
	char buffer[8192];
	struct mntent entry;
	size_t best = 0;
	FILE *f = setmntent("/proc/self/mounts", "re");
	if (f == NULL)
		return false;
	while (getmntent_r(f, &entry, buffer, sizeof(buffer)) != NULL) {
		size_t len = strlen(entry.mnt_dir);
		if (len < best || !is_below(path, entry.mnt_dir))
			continue;
		best = len;
		fill(out, &entry);
	}
	endmntent(f);
	return best > 0;
}

/* Puts the target of the link PATH[0..LEN) in its place. False if it is none. */
static bool follow(char path[PATH_MAX], size_t len)
{
	char target[PATH_MAX], rest[PATH_MAX], name[PATH_MAX];
	snprintf(name, sizeof(name), "%.*s", (int)len, path);
	ssize_t n = readlink(name, target, sizeof(target) - 1);
	if (n <= 0)
		return false;
	target[n] = '\0';
	snprintf(rest, sizeof(rest), "%s", path + len);
	*strrchr(name, '/') = '\0';
	int all = *target == '/'
			? snprintf(path, PATH_MAX, "%s%s", target, rest)
			: snprintf(path, PATH_MAX, "%s/%s%s", name, target,
					rest);
	return all < PATH_MAX;
}

bool mounts_find(struct mounted *out, const char *given)
{
	char path[PATH_MAX], part[PATH_MAX];
	int links = 0;
	snprintf(path, sizeof(path), "%s", given);
	for (size_t at = 1;;) {
		size_t len = at + strcspn(path + at, "/");
		snprintf(part, sizeof(part), "%.*s", (int)len, path);
		/* From here on nothing is looked at. */
		if (find_by_name(out, part) && out->server[0] != '\0')
			return true;
		if (links < LINKS_MAX && follow(path, len)) {
			links++;
			at = 1;
		} else if (path[len] == '\0') {
			return find_by_name(out, path);
		} else {
			at = len + 1;
		}
	}
}

char *mounts_absolute(const char *path)
{
	char *out = NULL;
	CLEANUP_FREE char *here = NULL;
	if (*path == '/')
		return strdup(path);
	here = getcwd(NULL, 0);
	if (here == NULL || asprintf(&out, "%s/%s", here, path) < 0)
		return NULL;
	return out;
}
