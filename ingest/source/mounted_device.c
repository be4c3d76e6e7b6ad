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

/* "MAJOR:MINOR" */
static bool parse_device(const char *text, dev_t *out)
{
	char *end;
	unsigned long first = strtoul(text, &end, 10);
	if (end == text || *end != ':')
		return false;
	text = end + 1;
	unsigned long second = strtoul(text, &end, 10);
	*out = makedev((unsigned)first, (unsigned)second);
	return end != text;
}

static bool parse(char *line, struct mount *out)
{
	char *save = NULL, *words[6];
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
	return out->super_options != NULL
			&& parse_device(words[2], &out->device);
}

static bool is_octal(const char *digits)
{
	return digits[0] >= '0' && digits[0] <= '3' && digits[1] >= '0'
			&& digits[1] <= '7' && digits[2] >= '0'
			&& digits[2] <= '7';
}

static void unescape(char *text)
{
	char *to = text;
	for (const char *p = text; *p != '\0';) {
		if (*p == '\\' && is_octal(p + 1)) {
			*to++ = (char)((p[1] - '0') << 6 | (p[2] - '0') << 3
					| (p[3] - '0'));
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
	dev_t disk = device;
	if (fgets(line, sizeof(line), f) == NULL || !parse_device(line, &disk))
		disk = device;
	fclose(f);
	return disk;
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
