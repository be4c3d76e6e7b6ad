/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A connection to the libvirt of this host. libvirt itself never prints: its
 * errors become texts of repo/base/error.h.
 *
 * Threading: calls on one connection may run at once.
 */
#ifndef AMBERFS_INGEST_LIBVIRT_CONNECTION_H
#define AMBERFS_INGEST_LIBVIRT_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

struct connection;

enum connection_access {
	CONNECTION_READ,    /* read-only: enough to look */
	CONNECTION_SECRETS, /* read-write if this user may, so that secrets
				   can be asked for; else read-only */
};

/*
 * URI NULL: LIBVIRT_DEFAULT_URI, else qemu:///system. A URI whose disks are
 * not on this host is refused before anything is dialled.
 * 0, -EREMOTE (not this host), -ENOTCONN (no libvirt there, or refused).
 */
int connection_open(struct connection **out, const char *uri,
		enum connection_access access);
void connection_close(struct connection *conn); /* NULL allowed */

const char *connection_uri(const struct connection *conn);
bool connection_writable(const struct connection *conn);

/* 0, or -EREMOTE with a text if URI names another host. */
int connection_check_uri(const char *uri);

/* Sets "MESSAGE: what libvirt said last in this thread" and returns ERR. */
int connection_fail(int err, const char *fmt, ...)
		__attribute__((format(printf, 2, 3), cold));

struct volume_facts {
	char *path;		       /* to free */
	uint64_t capacity, allocation; /* bytes */
	bool local;		       /* a file or block device of this host */
};
/* The volume VOLUME of the pool POOL. 0, -ENOENT, -EIO, -ENOMEM. */
int connection_volume(struct connection *conn, const char *pool,
		const char *volume, struct volume_facts *out);

struct _virConnect; /* libvirt's, for domain.c */
struct _virConnect *connection_handle(const struct connection *conn);

#endif
