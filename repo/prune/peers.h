/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The living sessions other than our own, as prune needs to know them: whose
 * packs to leave alone, what they use, what they have acknowledged.
 */
#ifndef AMBERFS_PRUNE_PEERS_H
#define AMBERFS_PRUNE_PEERS_H

#include "repo/session/session.h"

#define PEER_TEXT_MAX 640

struct peer {
	char id[2 * SESSION_ID_SIZE + 1];
	bool readable; /* false: all but the id is empty */
	struct session_record record;
};

struct peers {
	struct peer *items;
	size_t count;
};

/* The living ones now, without OWN_ID. */
int peers_list(struct repository *repo, const char *own_id, struct peers *out);
/* The same; as long as a record can't be read it looks again, until SECONDS
 * have passed. */
int peers_list_readable(struct repository *repo, const char *own_id,
		double seconds, struct peers *out);
void peers_clear(struct peers *peers);

/* True if it may write packs, and so must acknowledge epochs. */
bool peers_writes(const struct peer *peer);
bool peers_has_root(const struct peer *peer, const struct id *root);
/* "the backup of web (process 12 on host since …)". Returns OUT. */
char *peers_text(char out[PEER_TEXT_MAX], const struct peer *peer);

#endif
