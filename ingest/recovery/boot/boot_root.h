/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The directory that holds the directories of booted snapshots, one of the name of
 * each domain. Whoever works on one of these holds its lock.
 */
#ifndef AMBERFS_INGEST_RECOVERY_BOOT_BOOT_ROOT_H
#define AMBERFS_INGEST_RECOVERY_BOOT_BOOT_ROOT_H

#include <sys/types.h>

#include "boot_state.h"

/* PATH (--overlay-dir), or NULL: /var/lib/amberfs/boot, of a user who is not
 * root ~/.local/share/amberfs/boot. To free. 0 or -errno. */
int boot_root_find(const char *path, char **out);

/* Makes it, passable for all, with the directories that it is in if it is the
 * usual one; refuses one that is in memory only (a guest's writes must stay). */
int boot_root_prepare(const char *dir);

/* Warns of directories on the way to DIR through which that user can't pass. */
void boot_root_check_way(const char *dir, uid_t uid, gid_t gid);

/* DIR/NAME, for a raw name. To free; NULL without memory. */
char *boot_root_directory(const char *dir, const char *name);

/* Locks DIRECTORY (or DIR itself); closing the descriptor unlocks. Returns it;
 * -EBUSY: somebody else has it (not with WAIT); -ENOENT; … */
int boot_root_lock(const char *directory, bool wait);

/* Calls FN for each directory in DIR that has a boot.json, by name; DIRECTORY is
 * absolute; STATE NULL with ERR: it can't be read. Stops at what is not 0, and
 * returns that. No DIR: 0. */
typedef int boot_root_fn(void *ctx, const char *directory,
		const struct boot_state *state, int err);
int boot_root_each(const char *dir, boot_root_fn *fn, void *ctx);

#endif
