/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * amberfs umount, and the helper that umount(8) runs: unlike the system call
 * they return when the program that served the mount has ended, so that what
 * the repository is on can be unmounted next.
 */
#ifndef AMBERFS_FS_UNMOUNT_H
#define AMBERFS_FS_UNMOUNT_H

#include <stdbool.h>

/* An attribute of a mount's root: the process that serves it, a number. */
#define UNMOUNT_SERVED_BY "user.amberfs.served_by"

/* HELPER: as umount(8) calls it. Returns an exit status. */
int unmount_main(int argc, char **argv, bool helper);

#endif
