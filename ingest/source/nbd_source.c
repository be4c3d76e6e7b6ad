/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading a chain through qemu-nbd. The socket is made here, in our own
 * directory, and passed to qemu-nbd already listening, so there is no wait for
 * it to appear. Once all workers are connected, socket and directory are
 * removed; qemu-nbd runs without --persistent, so it ends with its last client,
 * and the kernel kills it if this process dies before that.
 */
#include "nbd_source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ingest/libvirt/child.h"
#include "nbd_client.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"

struct nbd_source {
	struct child server;
	struct nbd_client *client;
};

/* --- the socket --- */

struct socket_place {
	char dir[64], path[80]; /* "": none */
	int fd;
};

static void place_clear(struct socket_place *place)
{
	cleanup_fd(&place->fd);
	if (place->path[0])
		unlink(place->path);
	if (place->dir[0])
		rmdir(place->dir);
	place->path[0] = place->dir[0] = '\0';
	place->fd = -1;
}

/* A socket's path is limited to 107 bytes, so a long TMPDIR can't be used. */
static int place_make(struct socket_place *place, int backlog)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *tmp = getenv("TMPDIR");
	*place = (struct socket_place){ .fd = -1 };
	if (tmp == NULL || tmp[0] != '/'
			|| strlen(tmp) > sizeof(place->dir) - 20)
		tmp = "/tmp";
	snprintf(place->dir, sizeof(place->dir), "%s/amberfs-XXXXXX", tmp);
	if (mkdtemp(place->dir) == NULL) { /* 0700 */
		int err = -errno;
		place->dir[0] = '\0';
		return fail_errno(err, "making a directory for a socket in %s",
				tmp);
	}
	snprintf(place->path, sizeof(place->path), "%s/nbd", place->dir);
	strcpy(addr.sun_path, place->path);
	place->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (place->fd < 0
			|| bind(place->fd, (struct sockaddr *)&addr,
					sizeof(addr))
			|| listen(place->fd, backlog))
		return fail_errno(-errno, "making the socket %s", place->path);
	return 0;
}

void nbd_source_fill(struct nbd_source *s, struct image_source *source)
{
	nbd_client_fill(s->client, source);
}

/* --- opening --- */

static int start_server(struct nbd_source *source, const struct chain *chain,
		const char *bitmap, unsigned connections,
		struct socket_place *place)
{
	CLEANUP_FREE char *node =
			chain_blockdev(chain, chain_allows_direct(chain));
	CLEANUP_FREE char *image = NULL;
	CLEANUP_FREE char *dirty = NULL;
	char shared[24];
	char *argv[] = { (char *)"qemu-nbd", (char *)"--read-only", shared,
		NULL, NULL, NULL };
	int err, n = 3;
	if (node == NULL || asprintf(&image, "json:%s", node) < 0)
		return -ENOMEM;
	snprintf(shared, sizeof(shared), "--shared=%u", connections);
	if (bitmap != NULL && asprintf(&dirty, "--bitmap=%s", bitmap) < 0) {
		dirty = NULL;
		return -ENOMEM;
	}
	if (bitmap != NULL)
		argv[n++] = dirty;
	argv[n] = image;
	err = child_start(&source->server, argv, place->fd, false);
	/* From here on only qemu-nbd has the socket: if it dies, connecting
	 * fails instead of waiting. */
	close(take_fd(&place->fd));
	return err;
}

/* The last error message of qemu-nbd. */
static void server_message(void *ctx, char *buf, size_t size)
{
	const struct nbd_source *source = ctx;
	char own[512];
	child_message(&source->server, own, sizeof(own));
	if (own[0])
		snprintf(buf, size, "qemu-nbd: %s", own);
}

int nbd_source_open(struct nbd_source **out, const struct chain *chain,
		const char *bitmap, unsigned workers)
{
	CLEANUP(place_clear) struct socket_place place = { .fd = -1 };
	struct nbd_client_options o = { .bitmap = bitmap,
		.workers = workers ? workers : 1,
		.message = server_message };
	unsigned connections = NBD_CLIENT_CONNECTIONS(o.workers);
	struct nbd_source *source = calloc(1, sizeof(*source));
	int err;
	if (source == NULL)
		return -ENOMEM;
	source->server = (struct child){ .out = -1, .err = -1 };
	err = place_make(&place, (int)connections);
	if (err == 0)
		err = start_server(source, chain, bitmap, connections, &place);
	if (err == 0) {
		o.socket = place.path;
		o.ctx = source;
		err = nbd_client_open(&source->client, &o);
	}
	if (err != 0) {
		nbd_source_close(source);
		return err;
	}
	*out = source;
	return 0;
}

void nbd_source_close(struct nbd_source *source)
{
	if (source == NULL)
		return;
	nbd_client_close(source->client);
	child_end(&source->server);
	free(source);
}
