/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A guest that runs only for us: transient, and tied to the connection, so that
 * libvirt destroys it when this process ends, however it ends.
 * Threading: one thread per guest.
 */
#ifndef AMBERFS_INGEST_LIBVIRT_TRANSIENT_GUEST_H
#define AMBERFS_INGEST_LIBVIRT_TRANSIENT_GUEST_H

#include <stddef.h>
#include <stdint.h>

#include "connection.h"

struct transient_guest;

enum guest_state {
	GUEST_RUNS,
	GUEST_ENDED, /* it is gone by itself */
	GUEST_STUCK, /* it can't go on: paused or crashed */
};

/* CONN is writable. 0; -EIO with libvirt's reason; -ENOMEM with a text: it
 * needs more memory than this host has available. */
int transient_guest_start(struct transient_guest **out, struct connection *conn,
		const char *xml);
/* Destroys it if it still runs. 0: it is gone; -EIO. Frees GUEST (NULL
 * allowed). */
int transient_guest_end(struct transient_guest *guest);

/* *WHY: for GUEST_STUCK, why it can't go on, static. -EIO: unknown to
 * libvirt. */
int transient_guest_state(struct transient_guest *guest, const char **why);

/* 1: the guest agent answered; 0: not yet; -ENOTSUP: this guest has no channel
 * for it. Takes a few seconds if the agent hangs. */
int transient_guest_agent(struct transient_guest *guest);

/* A screenshot of the first screen, as a PNG or PPM file. To free. -ENODATA: it
 * has no screen, or not now. */
int transient_guest_screen(struct transient_guest *guest, uint8_t **file,
		size_t *len);

/* Bytes that it has read from its disks, 0 if unknown. */
uint64_t transient_guest_read(struct transient_guest *guest);

#endif
