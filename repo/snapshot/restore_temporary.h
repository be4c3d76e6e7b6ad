/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The temporary files that restored files grow in. A restore holds a lock
 * (flock) on its own; one that nobody holds was left by a restore that was
 * killed.
 */
#ifndef AMBERFS_SNAPSHOT_RESTORE_TEMPORARY_H
#define AMBERFS_SNAPSHOT_RESTORE_TEMPORARY_H

#define RESTORE_TEMPORARY_MAX 64

/* Makes one in DIRECTORY, mode 0600, locked as long as it is open, and puts its
 * name into NAME. A descriptor, or -errno. */
int restore_temporary_make(int directory, char name[RESTORE_TEMPORARY_MAX]);

/* Removes what killed restores left in DIRECTORY, which is PATH's, and says so.
 * What can't be removed is named by a warning. */
void restore_temporary_sweep(int directory, const char *path);

#endif
