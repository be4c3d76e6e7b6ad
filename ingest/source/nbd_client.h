/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One export of an NBD server on a unix socket, as a source of an image's
 * bytes: what reads as zero is a hole, and, where the server has a dirty
 * bitmap, what is clean is the same as in the base. One connection per worker,
 * and one that they share for the bitmap.
 *
 * Block status is queried piece by piece as the workers get there, so memory
 * use does not grow with the image.
 *
 * Threading: read, extent, same and nbd_client_dirty may run at once for
 * different workers.
 */
#ifndef AMBERFS_INGEST_SOURCE_NBD_CLIENT_H
#define AMBERFS_INGEST_SOURCE_NBD_CLIENT_H

#include "repo/image/image_writer.h"

#define NBD_CLIENT_WORKERS_MAX 64u
/* A server must allow this many connections. (qemu's own limit is 100.) */
#define NBD_CLIENT_CONNECTIONS(workers) ((workers) + 1)

struct nbd_client;

struct nbd_client_options {
	const char *socket;	 /* path; NULL: HOST and PORT */
	const char *host, *port; /* of a server on the network */
	const char *export;	 /* name; NULL: the default one */
	/* The export's dirty bitmap: the part of its context's name after
	 * "qemu:dirty-bitmap:". NULL: none, all may be dirty. */
	const char *bitmap;
	unsigned workers;	  /* as many as the image writer has */
	unsigned connect_seconds; /* how long to wait; 0: a minute */
	/* Writes the server's own error message to BUF, or BUF[0] = '\0' if
	 * there is none. May be NULL. Called by any thread, one at a time. */
	void (*message)(void *ctx, char *buf, size_t size);
	/* Called for each connection with its socket, before it is used; who
	 * duplicates it may shut it down at any time. May be NULL. */
	void (*connected)(void *ctx, int fd);
	void *ctx;
};

/* 0; -ENOTSUP: the server does not know the bitmap; -EIO; -ENOMEM. The options
 * are not needed afterwards, but CTX is. */
int nbd_client_open(struct nbd_client **out,
		const struct nbd_client_options *options);
void nbd_client_close(struct nbd_client *client); /* NULL allowed */

/*
 * Ends a connection, whoever else holds its SOCKET. What was not read is thrown
 * away, as qemu's server (7.2) waits for room in the socket even if nobody will
 * read: until then it holds up its main loop, and the guest. Bytes that a
 * reader gets meanwhile are worth nothing.
 */
void nbd_client_cut_off(int socket);

uint64_t nbd_client_size(const struct nbd_client *client); /* bytes */

/* Fills SOURCE for image_writer_write, SAME only with a bitmap; valid until the
 * close. */
void nbd_client_fill(struct nbd_client *client, struct image_source *source);

/* With a bitmap: whether OFFSET is dirty and how far that goes, at most to
 * LIMIT. 0 or -errno. */
int nbd_client_dirty(struct nbd_client *client, unsigned worker,
		uint64_t offset, uint64_t limit, bool *dirty, uint64_t *end);

#endif
