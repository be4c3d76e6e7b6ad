/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a backup of a running domain notes of itself, for whoever has to clean
 * up after it. */
#ifndef AMBERFS_INGEST_LIVE_SCRATCH_STATE_H
#define AMBERFS_INGEST_LIVE_SCRATCH_STATE_H

#include <stdbool.h>

enum scratch_phase {
	SCRATCH_PREPARED,
	SCRATCH_FROZEN,	 /* the guest's filesystems may be frozen */
	SCRATCH_RUNNING, /* they are not, or no longer */
};

struct scratch_state {
	enum scratch_phase phase;
	char *repository;	 /* its id, hexadecimal */
	char *uri, *uuid, *name; /* of libvirt and the domain */
	int domain_id;		 /* of libvirt; another one when it was
				   started anew */
	char *checkpoint;	 /* NULL: none */
	bool this_boot;		 /* read: of the host as it runs now */
};
void scratch_state_clear(struct scratch_state *state);

/* Durable when it returns. 0 or -errno. */
int scratch_state_write(int fd, const struct scratch_state *state);

/* From a file that need not be sound: then (or FD -1) the phase is RUNNING and
 * the texts are NULL. To be cleared. */
void scratch_state_read(int fd, struct scratch_state *state);

#endif
