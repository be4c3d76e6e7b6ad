/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * /proc/self/mountinfo (proc(5)): "ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS
 * [TAGS...] - TYPE SOURCE SUPEROPTIONS", with blanks as \040. A filesystem that
 * has numbers of its own (btrfs) is known by its SOURCE.
 */
#include "mounted_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "repo/base/cleanup.h"
#include "repo/base/printable.h"

struct mount {
	dev_t device;
	char *point, *options, *source, *super_options;
};

static bool parse(char *line, struct mount *out)
{
	char *save = NULL, *words[6];
	unsigned major, minor;
	for (int i = 0; i < 6; i++) {
		words[i] = strtok_r(i == 0 ? line : NULL, " \n", &save);
		if (words[i] == NULL)
			return false;
	}
	char *word;
	do {
		word = strtok_r(NULL, " \n", &save);
	} while (word != NULL && strcmp(word, "-") != 0);
	strtok_r(NULL, " \n", &save); /* the type */
	out->point = words[4];
	out->options = words[5];
	out->source = strtok_r(NULL, " \n", &save);
	out->super_options = strtok_r(NULL, " \n", &save);
	if (out->super_options == NULL
			|| sscanf(words[2], "%u:%u", &major, &minor) != 2)
		return false;
	out->device = makedev(major, minor);
	return true;
}

static void unescape(char *text)
{
	char *to = text;
	for (const char *p = text; *p != '\0';) {
		unsigned byte;
		if (p[0] == '\\' && sscanf(p + 1, "%3o", &byte) == 1) {
			*to++ = (char)byte;
			p += 4;
		} else {
			*to++ = *p++;
		}
	}
	*to = '\0';
}

static bool is_writable(const struct mount *mount)
{
	return strncmp(mount->options, "rw", 2) == 0
			&& strncmp(mount->super_options, "rw", 2) == 0;
}

/* The disk that a partition is part of, or DEVICE itself. */
static dev_t whole_disk(dev_t device)
{
	char path[80];
	unsigned number_major, number_minor;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/partition",
			major(device), minor(device));
	struct stat st;
	if (stat(path, &st) < 0)
		return device;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../dev",
			major(device), minor(device));
	FILE *f = fopen(path, "re");
	char line[32] = "";
	if (f == NULL)
		return device;
	bool ok = fgets(line, sizeof(line), f) != NULL
			&& sscanf(line, "%u:%u", &number_major, &number_minor)
					== 2;
	fclose(f);
	return ok ? makedev(number_major, number_minor) : device;
}

static bool is_of(const struct mount *mount, dev_t device)
{
	struct stat st;
	dev_t on = mount->device;
	if (stat(mount->source, &st) == 0 && S_ISBLK(st.st_mode))
		on = st.st_rdev;
	return on == device || whole_disk(on) == device;
}

bool mounted_device_find(dev_t device, char *where, size_t size)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	CLEANUP_FREE char *line = NULL;
	size_t room = 0;
	bool found = false;
	if (f == NULL)
		return false;
	while (!found && getline(&line, &room, f) > 0) {
		struct mount mount;
		if (!parse(line, &mount) || !is_writable(&mount))
			continue;
		unescape(mount.source);
		found = is_of(&mount, device);
		if (found) {
			unescape(mount.point);
			printable(where, size, mount.point);
		}
	}
	fclose(f);
	return found;
}
