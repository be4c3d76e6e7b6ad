/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One pack as it is written, front to back: header, frames, trailer, footer.
 * Frames first reserve their places, in any order of threads, and are then
 * appended in the order of these.
 *
 * Threading: the caller serialises reserving, and appending; one thread may
 * reserve while another appends.
 */
#ifndef AMBERFS_PACK_OPEN_PACK_H
#define AMBERFS_PACK_OPEN_PACK_H

#include "frame_codec.h"
#include "repo/format/config.h"
#include "repo/store/store.h"

/* Where packs go and how they are sealed. All of it outlives its users. */
struct pack_target {
	struct store *store;
	const struct seal *seal;
	const struct config *config;
	const char *session; /* the writer's id, which names its packs */
};

/* A compressed frame on its way into a pack. */
struct packed_frame {
	/* LEN compressed bytes after room for the nonce (SEAL_NONCE_SIZE), with
	 * room for the tag behind (SEAL_OVERHEAD in all). */
	uint8_t *box;
	size_t len;
	enum frame_compression compression;
	uint32_t plain_len;
	const struct chunk_entry *chunks; /* their `frame` is not set yet */
	uint32_t chunk_count;
};

struct open_pack {
	const struct pack_target *target;
	struct trailer trailer; /* grows with each reservation */
	uint64_t size;		/* bytes, those reserved included */
	/* The rest belongs to open_pack.c. */
	struct store_put *put;
	uint32_t frames_room, chunks_room;
	void *checksum; /* XXH3 state over all that was appended */
};

/* Begins a pack of KIND in the store. 0 or -errno of the store; -ENOMEM. */
int open_pack_new(struct open_pack **out, const struct pack_target *target,
		enum pack_kind kind);
/* Gives the pack up unless it was finished. NULL allowed. */
void open_pack_free(struct open_pack *pack);

/* True if the next frame may not fit, whatever it holds. */
bool open_pack_is_full(const struct open_pack *pack);

/* The next place in the pack for FRAME: its *NUMBER. 0 or -ENOMEM. */
int open_pack_reserve(struct open_pack *pack, const struct packed_frame *frame,
		uint32_t *number);
/* Encrypts FRAME's box for its place. */
void open_pack_seal(const struct open_pack *pack,
		const struct packed_frame *frame, uint32_t number);
/* Writes the sealed FRAME; in the order of their numbers. 0 or -errno. */
int open_pack_append(struct open_pack *pack, const struct packed_frame *frame);

/* Trailer, fsync, name: once this returns 0 the pack is durable. The trailer
 * stays the pack's. 0 or -errno. */
int open_pack_finish(struct open_pack *pack);

#endif
