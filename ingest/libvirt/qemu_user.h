/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The user that the qemu processes of a libvirt run as, who must be able to
 * read and write what a guest boots from. */
#ifndef AMBERFS_INGEST_LIBVIRT_QEMU_USER_H
#define AMBERFS_INGEST_LIBVIRT_QEMU_USER_H

#include <sys/types.h>

#include "connection.h"

/* Read from libvirt's capabilities. A session daemon, whose capabilities do not
 * say, starts them as its own user: the owner of its socket. CONN NULL: this
 * process's user. 0, -EIO, -ENOMEM. */
int qemu_user(struct connection *conn, uid_t *uid, gid_t *gid);

/* The user of the session daemon that URI names: the owner of its socket
 * ("…?socket=/path"), else this process's user. */
void qemu_user_of_session(const char *uri, uid_t *uid, gid_t *gid);

/* Makes that user the owner of the file open as FD, at PATH, if this process is
 * root; else does nothing. 0 or -errno with a text. */
int qemu_user_chown(int fd, const char *path, uid_t uid, gid_t gid);

#endif
