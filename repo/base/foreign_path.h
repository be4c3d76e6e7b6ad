/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Paths in directories of other users, who may put a link in place of anything
 * at any moment: of guests' NVRAM and TPMs, and of where files are restored to.
 *
 * A path is walked one component at a time, each opened in the directory
 * before it. A symbolic link is followed only where none but root and this
 * process's user can have made it: all directories on the way belong to them
 * and can't be written by others (in a sticky one, the link must be theirs).
 * After the first directory of another user no link is followed at all. So what
 * others can do is to make a call fail. Threading: no state.
 */
#ifndef AMBERFS_BASE_FOREIGN_PATH_H
#define AMBERFS_BASE_FOREIGN_PATH_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

/*
 * The directory that PATH's last component is in; where that component is a
 * link that may be followed, the directory that it leads to. *LEAF, to free: the
 * component's name there, which need not exist. A descriptor; -ELOOP: a link
 * that others can change; -ENOENT: a directory is missing; -errno; with a text.
 */
int foreign_path_parent(const char *path, char **leaf);

/* Opens PATH, which is there, with FLAGS. A descriptor; -ELOOP as above, -EPERM
 * as below; -errno; with a text. */
int foreign_path_open(const char *path, int flags);

/* Opens PATH, a socket, for connecting to what ALIAS says, a path that leads to
 * this very socket as long as the descriptor is open. As foreign_path_open. */
#define FOREIGN_PATH_ALIAS_MAX 40
int foreign_path_socket(const char *path, char alias[FOREIGN_PATH_ALIAS_MAX]);

/*
 * Opens the file PATH for reading, whose contents we obey: none but root and
 * this process's user can change it, or what its path leads to. A descriptor;
 * -EPERM: others can; -ELOOP as above; -EINVAL: it is no regular file; -ENOENT,
 * -errno; with a text.
 */
int foreign_path_open_ours(const char *path);

/* What is at PATH, never a link. 0, -ENOENT …, -ELOOP, with a text. */
int foreign_path_stat(const char *path, struct stat *st);

/*
 * Opens NAME, one component, in DIRECTORY (MODE is used with O_CREAT). A
 * descriptor; -ELOOP: it is a link; -EPERM: it is, in another user's directory,
 * a further name of a file that is not that user's; -errno; with a text.
 */
int foreign_path_openat(int directory, const char *name, int flags,
		mode_t mode);

/*
 * The same for a directory, which is made if it is missing: in a directory of
 * another user as that user, mode 0700; else ours, and if we are root passable
 * (0711). A descriptor, or -errno with a text.
 */
int foreign_path_make_directory(int directory, const char *name);

/* True if none but root and this process's user can change what PATH leads to,
 * as far as it is there, or replace what we make there. */
bool foreign_path_is_ours(const char *path);

#endif
