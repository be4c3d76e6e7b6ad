/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The packs of the repository as one prune sees them: 128 bytes each and one
 * bit per chunk, 0.14 MB per million chunks in packs of 64 MiB.
 */
#ifndef AMBERFS_PRUNE_STORED_H
#define AMBERFS_PRUNE_STORED_H

#include "peers.h"

struct stored_pack {
	struct pack_id id;
	uint64_t size; /* bytes of the object */
	/* From the trailer. Shares: of its frame's box, each chunk in
	 * proportion to its length. */
	enum pack_kind kind; /* 0: not read yet */
	uint32_t chunks, live;
	uint64_t shares, live_shares;
	uint64_t *live_bits; /* by chunk: this is the copy that counts */
	bool condemned;
	bool alone;	 /* left alone: of a living writer, or young */
	bool fresh;	 /* came after the listing: left alone as well */
	bool unreadable; /* its trailer: left alone */
	bool gone;	 /* condemned, but no longer there */
	bool damaged;	 /* has frames known to be damaged */
	/* A chunk in a damaged frame is live and nowhere else: what can be
	 * saved of it must not be deleted. */
	bool irreplaceable;
	bool doomed; /* plan: to be condemned and deleted */
	bool spared; /* rewrite: could not be copied, so not doomed */
};

struct stored {
	struct stored_pack *packs; /* sorted by id */
	size_t count, room;
};

/* Lists packs, then condemned (a condemned one that is no longer there gets an
 * entry, gone); with ONLY_NEW it adds, marked fresh, those not known yet. */
int stored_list(struct stored *stored, struct repository *repo, bool only_new);
/* Marks the packs of the living (PEERS and OWN_ID) and those of the last
 * YOUNG seconds. To be called with peers listed after the packs. */
int stored_leave_alone(struct stored *stored, struct repository *repo,
		const struct peers *peers, const char *own_id, int64_t young);
void stored_clear(struct stored *stored);

struct stored_pack *stored_find(const struct stored *stored,
		const struct pack_id *id);

/* Bytes of the object that its live chunks take, their part of header and
 * trailer included. */
uint64_t stored_live_bytes(const struct stored_pack *pack);
bool stored_is_live(const struct stored_pack *pack, uint32_t chunk);

#endif
