/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "readers.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "ingest/source/nbd_client.h"

static bool is_shut_down(int socket)
{
	struct pollfd p = { .fd = socket, .events = 0 };
	return poll(&p, 1, 0) > 0 && (p.revents & POLLHUP) != 0;
}

static void close_those_shut_down(struct readers *readers)
{
	size_t kept = 0;
	for (size_t i = 0; i < readers->count; i++) {
		int socket = readers->sockets[i];
		if (is_shut_down(socket))
			close(socket);
		else
			readers->sockets[kept++] = socket;
	}
	readers->count = kept;
}

int readers_add(struct readers *readers, int socket)
{
	close_those_shut_down(readers);
	if (readers->count == readers->room) {
		size_t room = readers->room ? 2 * readers->room : 16;
		int *sockets = realloc(readers->sockets,
				room * sizeof(*sockets));
		if (sockets == NULL) {
			close(socket);
			return -ENOMEM;
		}
		readers->sockets = sockets;
		readers->room = room;
	}
	readers->sockets[readers->count++] = socket;
	return 0;
}

bool readers_cut_off(struct readers *readers)
{
	bool any = readers->count > 0 || readers->hook > 0;
	if (readers->hook > 0)
		kill(-readers->hook, SIGKILL);
	for (size_t i = 0; i < readers->count; i++) {
		nbd_client_cut_off(readers->sockets[i]);
		close(readers->sockets[i]);
	}
	free(readers->sockets);
	*readers = (struct readers){ 0 };
	return any;
}
