/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Packs as they are read: authenticated trailers, kept in memory within a
 * bound, and the way from a chunk's id to its place (locality cache: a look-up
 * that had to ask the index pulls in the whole trailer of the pack it found,
 * and the neighbours are then answered from memory; Zhu, Li, Patterson,
 * FAST 2008).
 *
 * Threading: all calls may run at once.
 */
#ifndef AMBERFS_PACK_PACK_CACHE_H
#define AMBERFS_PACK_PACK_CACHE_H

#include "exclusions.h"
#include "repo/index/index.h"

struct pack_cache;

/* A loaded trailer, counted; immutable. */
struct pack {
	struct trailer *trailer;
};

struct chunk_place {
	struct pack *pack; /* a reference: pack_cache_release */
	uint32_t chunk;	   /* index in the trailer */
};

/* CHUNKS_MAX: the most chunk entries kept (about 76 bytes each). All that is
 * given outlives the cache; its index is set later, with pack_cache_set_index (the
 * two need each other). NULL without memory. */
struct pack_cache *pack_cache_new(struct store *store, const struct seal *seal,
		const uint8_t *repo_id, struct exclusions *exclusions,
		uint32_t chunks_max);
void pack_cache_set_index(struct pack_cache *cache, struct index *index);
void pack_cache_free(struct pack_cache *cache);
struct exclusions *pack_cache_exclusions(const struct pack_cache *cache);
const struct seal *pack_cache_seal(const struct pack_cache *cache);

/* Loads and authenticates one pack's trailer: from memory, else from the
 * store. 0 and a reference; -ENOENT, -EBADMSG (with a text), -EIO, -ENOMEM. */
int pack_cache_load(struct pack_cache *cache, const struct pack_id *id,
		struct pack **out);
/* The same, freshly read: neither from the cache nor into it; trailer_free. */
int pack_cache_peek(struct pack_cache *cache, const struct pack_id *id,
		struct trailer **out);
void pack_cache_release(struct pack *pack); /* NULL allowed */
/* Another reference to PACK. */
struct pack *pack_cache_hold(struct pack *pack);

/* An index_load_fn; CTX is the struct pack_cache. Does not fill the cache. */
int pack_cache_load_for_index(void *ctx, const struct pack_id *id,
		struct index_pack *out);

/* Puts a trailer that this process just wrote into the cache (takes it). */
void pack_cache_adopt(struct pack_cache *cache, struct trailer *trailer);

/* For writers: a stored, uncondemned, undamaged copy of the chunk. 1 found
 * (place filled; the pack counts as used from then on), 0 not known, -errno.
 * Never reconciles: a miss costs a duplicate. */
int pack_cache_find(struct pack_cache *cache, enum pack_kind kind,
		const struct id *id, struct chunk_place *place);

/* Packs whose copy of a chunk turned out unreadable. */
#define PACK_CACHE_TRIED_MAX 8
struct pack_cache_tried {
	unsigned count;
	struct pack_id packs[PACK_CACHE_TRIED_MAX];
};
void pack_cache_tried_add(struct pack_cache_tried *tried,
		const struct pack_id *id);

/* For readers: a copy of the chunk outside TRIED (may be NULL). Before a miss
 * is trusted, the index is reconciled with the packs that exist, then rebuilt
 * once. 0 or -ENOENT (with a text), -errno. */
int pack_cache_locate(struct pack_cache *cache, enum pack_kind kind,
		const struct id *id, const struct pack_cache_tried *tried,
		struct chunk_place *place);

/* Reads and opens frame FRAME's box into BUF (room: stored_len). *PLAIN points
 * into BUF at *LEN bytes of compressed form. 0, -EBADMSG, -ENOENT, -EIO. */
int pack_cache_read_frame(struct pack_cache *cache, const struct pack *pack,
		uint32_t frame, uint8_t *buf, uint8_t **plain, size_t *len);

/* A pack is missing (deleted by prune): forgets it everywhere. */
void pack_cache_drop(struct pack_cache *cache, const struct pack_id *id);

/* pack_cache_locate records in the exclusions that something is lost when it
 * finds a chunk nowhere. Callers that ask for what may have been forgotten and
 * pruned meanwhile turn that off, before other threads use CACHE, and record or
 * clear it once they know. */
void pack_cache_silence_missing(struct pack_cache *cache);

#endif
