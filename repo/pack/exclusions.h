/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What writers must not count as stored: condemned packs (prune deletes them)
 * and damaged frames (found unreadable). Read from condemned/ and damaged/;
 * damage that this process finds is added and recorded there.
 *
 * A pack once seen condemned stays so for this process, also when its object
 * is gone: the pack then is too, but its trailer may still be in memory.
 * Threading: all calls may run at once.
 */
#ifndef AMBERFS_PACK_EXCLUSIONS_H
#define AMBERFS_PACK_EXCLUSIONS_H

#include "repo/format/trailer.h"
#include "repo/store/store.h"

struct exclusions;

struct exclusions *exclusions_new(struct store *store, const struct seal *seal,
		const uint8_t *repo_id);
void exclusions_free(struct exclusions *exclusions); /* NULL allowed */

/* Lists both again. 0 or -errno. */
int exclusions_load(struct exclusions *exclusions);
/* The same; *HELD (malloc'ed, *COUNT of them) are the condemned packs that
 * exclusions_use has counted on. From then on it counts on no pack that was
 * listed, so no other pack will become held. */
int exclusions_refresh(struct exclusions *exclusions, struct pack_id **held,
		size_t *count);
/* Treats these as condemned: for the process that is about to condemn them. */
int exclusions_set_aside(struct exclusions *exclusions,
		const struct pack_id *packs, size_t count);

bool exclusions_condemned(struct exclusions *exclusions,
		const struct pack_id *pack);
/* For a writer that wants to count on a chunk's being stored in PACK: true,
 * and remembered as counted on, unless it is condemned. */
bool exclusions_use(struct exclusions *exclusions, const struct pack_id *pack);
bool exclusions_damaged(struct exclusions *exclusions,
		const struct pack_id *pack, uint32_t frame);
bool exclusions_any_damaged(struct exclusions *exclusions);

/* Remembers, and records durably where the repository can be written, that
 * FRAME of PACK can't be read (TRAILER_AD: the pack's trailer). Once each. */
void exclusions_add_damaged(struct exclusions *exclusions,
		const struct pack_id *pack, uint32_t frame);

/* This process counts on nothing in PACK from now on; not recorded, as the
 * failure (EIO) may be transient. */
void exclusions_distrust(struct exclusions *exclusions,
		const struct pack_id *pack);

/* The same for a chunk that is in no pack any more: recorded under a pack id of
 * zeros, as it is not known which pack is lost. From then on writers check that
 * everything they take over unread is stored. */
void exclusions_add_missing(struct exclusions *exclusions);

/* All that are known to be damaged; *OUT is malloc'ed. 0 or -ENOMEM. */
struct damaged_frame {
	struct pack_id pack; /* zeros: some chunk is in no pack */
	uint32_t frame;	     /* TRAILER_AD: the whole pack */
};
int exclusions_list_damaged(struct exclusions *exclusions,
		struct damaged_frame **out, size_t *count);
/* Takes back exclusions_add_missing, here and (best effort) on disk. */
void exclusions_clear_missing(struct exclusions *exclusions);

/* For repair, when the damage is gone: forgets it here and, with DURABLY,
 * deletes the record. 0 or -errno. */
int exclusions_clear_damaged(struct exclusions *exclusions,
		const struct damaged_frame *frame, bool durably);

#endif
