/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who the qemu processes of a libvirt run as, and so who must be able to read
 * and write what a guest boots from. */
#ifndef AMBERFS_INGEST_LIBVIRT_QEMU_USER_H
#define AMBERFS_INGEST_LIBVIRT_QEMU_USER_H

#include <sys/types.h>

#include "connection.h"

/* What libvirt's capabilities say of it; a session daemon, which says nothing,
 * starts them as itself: the owner of its socket. CONN NULL: this process's user.
 * 0, -EIO, -ENOMEM. */
int qemu_user(struct connection *conn, uid_t *uid, gid_t *gid);

/* Hands the file open as FD, at PATH, to that user, if this process may (root);
 * another's files stay as they are. 0 or -errno with a text. */
int qemu_user_chown(int fd, const char *path, uid_t uid, gid_t gid);

#endif
