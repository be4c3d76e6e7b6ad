/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A connection to this host's libvirt. libvirt itself never prints: its errors
 * become texts of repo/base/error.h.
 *
 * Threading: calls on one connection may run at once.
 */
#ifndef AMBERFS_INGEST_LIBVIRT_CONNECTION_H
#define AMBERFS_INGEST_LIBVIRT_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

struct connection;

enum connection_access {
	CONNECTION_READ,    /* read-only: enough to list and show */
	CONNECTION_SECRETS, /* read-write if permitted, to read secrets */
};

/*
 * URI NULL: LIBVIRT_DEFAULT_URI, else qemu:///system. A URI whose disks are not
 * on this host is refused before connecting. 0, -EREMOTE (not this host),
 * -ENOTCONN (no libvirt, or refused).
 */
int connection_open(struct connection **out, const char *uri,
		enum connection_access access);
void connection_close(struct connection *conn); /* NULL allowed */

const char *connection_uri(const struct connection *conn);
bool connection_writable(const struct connection *conn);

/* 0, or -EREMOTE with a text if URI names another host. */
int connection_check_uri(const char *uri);

/* Sets the text "MESSAGE: libvirt's last error in this thread"; returns ERR. */
int connection_fail(int err, const char *fmt, ...)
		__attribute__((format(printf, 2, 3), cold));

/* What it can do. */
struct connection_features {
	unsigned long libvirt, qemu; /* 1000000 * major + 1000 * minor + micro;
					0: unknown */
	bool incremental;	     /* backups with checkpoints work */
	bool modular;		     /* the daemon is virtqemud */
};
void connection_features(struct connection *conn,
		struct connection_features *out);

struct volume_facts {
	char *path;		       /* to free */
	uint64_t capacity, allocation; /* bytes */
	bool local;		       /* a file or block device on this host */
};
/* The volume VOLUME of the pool POOL. 0, -ENOENT, -EIO, -ENOMEM. */
int connection_volume(struct connection *conn, const char *pool,
		const char *volume, struct volume_facts *out);

struct _virConnect; /* libvirt's, for domain.c */
struct _virConnect *connection_handle(const struct connection *conn);

#endif
