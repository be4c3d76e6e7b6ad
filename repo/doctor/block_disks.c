/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sysfs: /sys/dev/block/MAJOR:MINOR is a link to the device's directory. A
 * partition's lies in that of its disk; slaves/ has the devices below a mapped
 * one; loop/backing_file the file of a loop device.
 */
#include "block_disks.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "mounts.h"
#include "repo/base/cleanup.h"

#define DEPTH_MAX 16

static void add(struct block_disks *out, dev_t disk)
{
	for (unsigned i = 0; i < out->count; i++)
		if (out->items[i] == disk)
			return;
	if (out->count < BLOCK_DISKS_MAX)
		out->items[out->count++] = disk;
}

/* The first line of a file of sysfs, formatted from the device's directory. */
static bool read_line(char *out, size_t size, dev_t device, const char *name)
{
	char path[160];
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(device),
			minor(device), name);
	FILE *f = fopen(path, "re");
	if (f == NULL)
		return false;
	bool done = fgets(out, (int)size, f) != NULL;
	fclose(f);
	out[done ? strcspn(out, "\n") : 0] = '\0';
	return done;
}

static bool parse(dev_t *out, const char *text)
{
	char *end;
	unsigned long first = strtoul(text, &end, 10);
	if (end == text || *end != ':')
		return false;
	*out = makedev((unsigned)first, (unsigned)strtoul(end + 1, NULL, 10));
	return true;
}

static void find_at(struct block_disks *out, const char *path, int depth);

static void go_down(struct block_disks *out, dev_t device, int depth)
{
	char line[4096], pattern[80];
	glob_t slaves;
	dev_t below;
	if (depth > DEPTH_MAX)
		return;
	if (read_line(line, sizeof(line), device, "partition")
			&& read_line(line, sizeof(line), device, "../dev")
			&& parse(&below, line)) {
		go_down(out, below, depth + 1);
		return;
	}
	if (read_line(line, sizeof(line), device, "loop/backing_file")) {
		find_at(out, line, depth + 1);
		return;
	}
	snprintf(pattern, sizeof(pattern), "/sys/dev/block/%u:%u/slaves/*/dev",
			major(device), minor(device));
	bool mapped = glob(pattern, 0, NULL, &slaves) == 0;
	for (size_t i = 0; mapped && i < slaves.gl_pathc; i++) {
		FILE *f = fopen(slaves.gl_pathv[i], "re");
		if (f != NULL && fgets(line, sizeof(line), f) != NULL
				&& parse(&below, line))
			go_down(out, below, depth + 1);
		if (f != NULL)
			fclose(f);
	}
	if (mapped)
		globfree(&slaves);
	else
		add(out, device);
}

static void find_at(struct block_disks *out, const char *path, int depth)
{
	CLEANUP_FREE char *real = realpath(path, NULL);
	struct mounted mount;
	struct stat st;
	if (real == NULL || stat(real, &st) < 0)
		return;
	if (S_ISBLK(st.st_mode)) {
		go_down(out, st.st_rdev, depth);
	} else if (major(st.st_dev) != 0) {
		go_down(out, st.st_dev, depth);
	} else if (mounts_find(&mount, real)
			&& strncmp(mount.source, "/dev/", 5) == 0
			&& stat(mount.source, &st) == 0
			&& S_ISBLK(st.st_mode)) {
		/* btrfs and the like have numbers of their own. */
		go_down(out, st.st_rdev, depth);
	}
}

void block_disks_find(struct block_disks *out, const char *path)
{
	out->count = 0;
	find_at(out, path, 0);
}

dev_t block_disks_common(const struct block_disks *a,
		const struct block_disks *b)
{
	for (unsigned i = 0; i < a->count; i++)
		for (unsigned j = 0; j < b->count; j++)
			if (a->items[i] == b->items[j])
				return a->items[i];
	return 0;
}

char *block_disks_name(char out[BLOCK_NAME_MAX], dev_t disk)
{
	char path[80], target[512];
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(disk),
			minor(disk));
	CLEANUP_FREE char *real = realpath(path, NULL);
	snprintf(target, sizeof(target), "%s", real != NULL ? real : path);
	snprintf(out, BLOCK_NAME_MAX, "%.60s", strrchr(target, '/') + 1);
	return out;
}
