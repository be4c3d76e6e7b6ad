/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The directory that holds the directories of booted snapshots, each named
 * after its domain. Whoever works on one of these holds its lock.
 */
#ifndef AMBERFS_INGEST_RECOVERY_BOOT_BOOT_ROOT_H
#define AMBERFS_INGEST_RECOVERY_BOOT_BOOT_ROOT_H

#include <sys/types.h>

#include "boot_state.h"

/* PATH (--overlay-dir), or if NULL /var/lib/amberfs/boot, for users other than
 * root ~/.local/share/amberfs/boot. To free. 0 or -errno. */
int boot_root_find(const char *path, char **out);

/* Makes it, so that anyone may pass, and its parents if it is the default one;
 * refuses one in memory (a guest's writes must be kept). */
int boot_root_prepare(const char *dir);

/* Warns of parents of DIR that this user can't pass. */
void boot_root_check_way(const char *dir, uid_t uid, gid_t gid);

/* DIR/NAME, for a raw name. To free; NULL without memory. */
char *boot_root_directory(const char *dir, const char *name);

/* Locks DIRECTORY (or DIR itself) and returns a descriptor, which unlocks when
 * closed; -EBUSY: somebody else has the lock (not with WAIT); -ENOENT; … */
int boot_root_lock(const char *directory, bool wait);

/* Calls FN for each directory in DIR that has a boot.json, in the order of
 * names; DIRECTORY is absolute; if the state can't be read, STATE is NULL and
 * ERR says why. Stops if FN returns other than 0, and returns that. 0 if there
 * is no DIR. */
typedef int boot_root_fn(void *ctx, const char *directory,
		const struct boot_state *state, int err);
int boot_root_each(const char *dir, boot_root_fn *fn, void *ctx);

#endif
