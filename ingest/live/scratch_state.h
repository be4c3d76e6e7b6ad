/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a backup of a running domain records about itself, for whoever has to
 * clean up after it. */
#ifndef AMBERFS_INGEST_LIVE_SCRATCH_STATE_H
#define AMBERFS_INGEST_LIVE_SCRATCH_STATE_H

#include <stdbool.h>

enum scratch_phase {
	SCRATCH_PREPARED,
	SCRATCH_FROZEN,	 /* the guest's filesystems may be frozen */
	SCRATCH_RUNNING, /* they are not frozen (any more) */
};

struct scratch_state {
	enum scratch_phase phase;
	char *repository;	 /* its id, hexadecimal */
	char *uri, *uuid, *name; /* of libvirt and the domain */
	int domain_id;		 /* libvirt's; changes when it is restarted */
	char *checkpoint;	 /* NULL: none */
	char *socket;		 /* NULL: in the directory */
	bool this_boot; /* when read: the host has not been rebooted since */
};
void scratch_state_clear(struct scratch_state *state);

/* Durable when it returns. 0 or -errno. */
int scratch_state_write(int fd, const struct scratch_state *state);

/* The file may be damaged: then (or if FD is -1) the phase is RUNNING and the
 * texts are NULL. To be cleared. */
void scratch_state_read(int fd, struct scratch_state *state);

#endif
