/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inside restoring, and for who plans it: where a file goes, what is there now,
 * and whether that may be replaced. Links are followed as foreign_path.h says.
 */
#ifndef AMBERFS_SNAPSHOT_RESTORE_PLACE_H
#define AMBERFS_SNAPSHOT_RESTORE_PLACE_H

#include <stdbool.h>
#include <sys/stat.h>

struct restore_place {
	const char *path; /* as given, borrowed */
	int directory;	  /* open; what PATH leads to is LEAF in it */
	char *leaf;
	bool exists;
	struct stat st; /* if it exists; a file or a block device */
};

/* 0; -ENOENT: there is no such directory; -EINVAL: neither a file nor a block
 * device is there; -ELOOP: links that others can change; -errno; with a text.
 * Then PLACE is empty, and may be cleared. */
int restore_place_open(struct restore_place *place, const char *path);
void restore_place_clear(struct restore_place *place);
static inline void restore_place_cleanup(struct restore_place *place)
{
	restore_place_clear(place);
}
#define CLEANUP_RESTORE_PLACE CLEANUP(restore_place_cleanup)

/* -EEXIST with the text that PATH exists. */
int restore_place_fail_exists(const char *path);

/* Opens what exists there. A descriptor, or -errno with a text. */
int restore_place_open_existing(const struct restore_place *place, int flags);

/* -EBUSY with a text if a process such as qemu has locked what is there. */
int restore_place_check_unused(const struct restore_place *place);
/* The same for a device that was opened. */
int restore_place_check_unlocked(int fd, const char *path);

/* -ENOENT with a text if a new file can't be made there, as it is below /dev,
 * where devices are and files are lost. */
int restore_place_check_file(const struct restore_place *place);

#endif
