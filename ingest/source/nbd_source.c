/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading a chain through qemu-nbd. The socket is made here, in a directory of
 * our own, and handed to qemu-nbd already listening: so nothing waits for it
 * to appear. Once all workers are connected, socket and directory are removed;
 * qemu-nbd is not told to persist, so it ends with its last client, and the
 * kernel kills it if this process dies even before that.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "ingest/libvirt/child.h"
#include "nbd_client.h"
#include "nbd_source.h"

struct nbd_source {
	struct child server;
	struct nbd_client *client;
};

/* --- the socket --- */

struct socket_place {
	char dir[64], path[80]; /* "": none */
	int fd;
};

static void place_clear(struct socket_place *p)
{
	cleanup_fd(&p->fd);
	if (p->path[0])
		unlink(p->path);
	if (p->dir[0])
		rmdir(p->dir);
	p->path[0] = p->dir[0] = '\0';
	p->fd = -1;
}

/* A socket's path ends at 107 bytes, so a long TMPDIR won't do. */
static int place_make(struct socket_place *p, int backlog)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *tmp = getenv("TMPDIR");

	*p = (struct socket_place){ .fd = -1 };
	if (!tmp || tmp[0] != '/' || strlen(tmp) > sizeof(p->dir) - 20)
		tmp = "/tmp";
	snprintf(p->dir, sizeof(p->dir), "%s/amberfs-XXXXXX", tmp);
	if (!mkdtemp(p->dir)) { /* 0700 */
		int err = -errno;

		p->dir[0] = '\0';
		return fail_errno(err, "no folder for a socket in %s", tmp);
	}
	snprintf(p->path, sizeof(p->path), "%s/nbd", p->dir);
	strcpy(addr.sun_path, p->path);
	p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->fd < 0 || bind(p->fd, (struct sockaddr *)&addr, sizeof(addr)) ||
			listen(p->fd, backlog))
		return fail_errno(-errno, "no socket %s", p->path);
	return 0;
}

void nbd_source_fill(struct nbd_source *s, struct image_source *source)
{
	nbd_client_fill(s->client, source);
}

/* --- opening --- */

static int start_server(struct nbd_source *s, const struct chain *chain,
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

	if (!node || asprintf(&image, "json:%s", node) < 0)
		return -ENOMEM;
	snprintf(shared, sizeof(shared), "--shared=%u", connections);
	if (bitmap && asprintf(&dirty, "--bitmap=%s", bitmap) < 0) {
		dirty = NULL;
		return -ENOMEM;
	}
	if (bitmap)
		argv[n++] = dirty;
	argv[n] = image;
	err = child_start(&s->server, argv, place->fd, false);
	/* From here on only qemu-nbd has the socket: if it dies, connecting
	 * fails and does not wait. */
	close(take_fd(&place->fd));
	return err;
}

/* What qemu-nbd has said. */
static void server_message(void *ctx, char *buf, size_t size)
{
	const struct nbd_source *s = ctx;
	char own[512];

	child_message(&s->server, own, sizeof(own));
	if (own[0])
		snprintf(buf, size, "qemu-nbd: %s", own);
}

int nbd_source_open(struct nbd_source **out, const struct chain *chain,
		const char *bitmap, unsigned workers)
{
	CLEANUP(place_clear) struct socket_place place = { .fd = -1 };
	struct nbd_client_options o = { .bitmap = bitmap,
		.workers = workers ? workers : 1, .message = server_message };
	unsigned connections = NBD_CLIENT_CONNECTIONS(o.workers);
	struct nbd_source *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->server = (struct child){ .out = -1, .err = -1 };
	err = place_make(&place, (int)connections);
	if (!err)
		err = start_server(s, chain, bitmap, connections, &place);
	if (!err) {
		o.socket = place.path;
		o.ctx = s;
		err = nbd_client_open(&s->client, &o);
	}
	if (err) {
		nbd_source_close(s);
		return err;
	}
	*out = s;
	return 0;
}

void nbd_source_close(struct nbd_source *s)
{
	if (!s)
		return;
	nbd_client_close(s->client);
	child_end(&s->server);
	free(s);
}
