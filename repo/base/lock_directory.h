/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The directory of this user's lock files on this host: root's is /run/amberfs.
 * Others have a directory of the system's for their own files, or one in /tmp,
 * whoever starts them: the environment is not asked, as cron's differs from a
 * terminal's. Threading: no state.
 */
#ifndef AMBERFS_BASE_LOCK_DIRECTORY_H
#define AMBERFS_BASE_LOCK_DIRECTORY_H

#define LOCK_DIRECTORY_MAX 64

/* Makes it if it is missing. PATH is set to its name, for messages. A
 * descriptor (O_PATH); -EPERM: others could write there; -errno. */
int lock_directory_open(char path[LOCK_DIRECTORY_MAX]);

/* Opens NAME there, made if it is missing; it must be this user's alone. FLAGS
 * may be O_CLOEXEC. A descriptor, or -errno. */
int lock_directory_open_file(int directory, const char *name, int flags);

#endif
