/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The other hosts that backups of this one depend on. */
#ifndef AMBERFS_DOCTOR_PEERS_H
#define AMBERFS_DOCTOR_PEERS_H

#include "doctor.h"

/* HOST (a name or an address), where something listens on PORT; WHY: what it is
 * needed for. A host with a port is there once. */
void peers_add(struct doctor *doctor, const char *host, unsigned port,
		const char *why);
/* The same of "HOST", "HOST:PORT", "[IPv6]:PORT"; PORT: if none is given. */
bool peers_is_valid(const char *given);
void peers_add_given(struct doctor *doctor, const char *given, unsigned port,
		const char *why);
/* The server of the filesystem that PATH, absolute, is on, if it has one. */
void peers_add_path(struct doctor *doctor, const char *path, const char *why);

/* Those of --peer, of the repository's and the images' filesystems, and of the
 * iSCSI sessions. */
void peers_find(struct doctor *doctor);

/* The next one at or after *NUMBER, which becomes the next to look at. */
struct peer {
	const char *host, *why; /* borrowed */
	unsigned port;
};
bool peers_next(const struct doctor *doctor, size_t *number, struct peer *out);

#endif
