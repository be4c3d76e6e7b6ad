/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The folder that holds the folders of booted snapshots, one of the name of
 * each domain. Whoever works on one of these holds its lock.
 */
#ifndef AMBERFS_INGEST_RECOVERY_BOOT_BOOT_ROOT_H
#define AMBERFS_INGEST_RECOVERY_BOOT_BOOT_ROOT_H

#include <sys/types.h>

#include "boot_state.h"

/* PATH (--overlay-dir), or NULL: /var/lib/amberfs/boot, of a user who is not
 * root ~/.local/share/amberfs/boot. To free. 0 or -errno. */
int boot_dir_find(const char *path, char **out);

/* Makes it, passable for all, with the folders that it is in if it is the
 * usual one; refuses one that is in memory only (a guest's writes must stay). */
int boot_dir_prepare(const char *dir);

/* Warns of folders on the way to DIR through which that user can't pass. */
void boot_dir_check_way(const char *dir, uid_t uid, gid_t gid);

/* DIR/NAME, for a raw name. To free; NULL without memory. */
char *boot_dir_place(const char *dir, const char *name);

/* Locks FOLDER (or DIR itself); closing the descriptor unlocks. Returns it;
 * -EBUSY: somebody else has it (not with WAIT); -ENOENT; … */
int boot_dir_lock(const char *folder, bool wait);

/* Calls FN for each folder in DIR that has a boot.json, by name; FOLDER is
 * absolute; STATE NULL with ERR: it can't be read. Stops at what is not 0, and
 * returns that. No DIR: 0. */
typedef int boot_dir_fn(void *ctx, const char *folder,
		const struct boot_state *state, int err);
int boot_dir_each(const char *dir, boot_dir_fn *fn, void *ctx);

#endif
