/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The options of a mount, and parsing them in the form "-o a,b=c" that mount(8)
 * and /etc/fstab use. Knows nothing of FUSE.
 */
#ifndef AMBERFS_FS_MOUNT_OPTIONS_H
#define AMBERFS_FS_MOUNT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "repo/repository/repository.h"
#include "tree.h"

#define MOUNT_CACHE_DEFAULT (256 * MIB)
#define MOUNT_CACHE_MIN (8 * MIB)
#define MOUNT_READAHEAD_DEFAULT (1 * MIB)
#define MOUNT_READAHEAD_MAX (64 * MIB)

struct mount_options {
	bool by_mount; /* called by mount(8), which always says "rw" */
	bool sloppy;   /* ignore unknown options */
	bool allow_other, allow_root, noexec;
	uid_t uid; /* owner of everything shown */
	gid_t gid;
	uint32_t umask;	      /* permission bits taken away */
	const char *snapshot; /* the only one shown, "source/time"; or NULL */
	enum tree_views views;
	uint64_t cache_size; /* bytes of decoded frames */
	uint64_t readahead;  /* bytes that the kernel reads ahead */
	struct repository_options repository;
	char **texts; /* what the strings above point into */
	int text_count;
};

/* The defaults: owned by this process's user. */
void mount_options_init(struct mount_options *options);
void mount_options_clear(struct mount_options *options);

/* Takes over the options in LIST: separated by commas; "\," and "\\" stand for
 * the characters, "a,b" keeps commas together. If two contradict each other,
 * the later one wins. 0, -EINVAL with a text that says what was meant, or
 * -ENOMEM. */
int mount_options_parse(struct mount_options *options, const char *list);

/* After the last one: bounds. 0 or -EINVAL with a text. */
int mount_options_check(const struct mount_options *options);

#endif
