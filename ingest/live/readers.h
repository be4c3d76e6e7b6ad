/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who reads from a job's exports, as its watchdog knows it: the backup's
 * connections, and the hook that runs.
 *
 * qemu's main loop waits for its readers when a job ends: if one of them has
 * stopped reading, the guest stands still until it goes on. So they are cut off
 * before a job is ended.
 *
 * Threading: one thread per struct.
 */
#ifndef AMBERFS_INGEST_LIVE_READERS_H
#define AMBERFS_INGEST_LIVE_READERS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct readers {
	int *sockets;
	size_t count, room;
	pid_t hook; /* its process group; 0: none runs */
};

/* Takes over SOCKET, and closes those that have been shut down. 0, -ENOMEM. */
int readers_add(struct readers *readers, int socket);

/* Cuts off all sockets, kills the hook with whatever it has started, and
 * forgets them. Returns whether there were any. What was read up to now must
 * not be relied on: tell the backup before. */
bool readers_cut_off(struct readers *readers);

#endif
