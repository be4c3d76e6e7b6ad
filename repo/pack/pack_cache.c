/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Trailers in memory and the way from an id to its place.
 *
 * The locality cache: `slots` holds the cached packs, `by_id` finds a pack,
 * and a chained hash over all chunks of all cached packs (`heads`, `nodes`)
 * finds a chunk. A node is (slot, chunk number); the id itself is compared in
 * the trailer. Packs leave the cache in the order of their last use; whoever
 * holds a reference keeps the trailer alive beyond that.
 *
 * Nothing here trusts the index: it only says which trailers to load.
 */
#include "pack_cache.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "id_hash.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"
#include "repo/base/interrupt.h"

#define NONE 0u /* no node: they count from 1 */
#define PACKS_CACHED_MAX 16384u
#define PACK_HASH_SIZE 4096u
#define CANDIDATES_MAX 16
/* One read usually gets footer and trailer together. */
#define TAIL_GUESS (192u << 10)

struct chunk_node {
	uint32_t next, slot, chunk, tag;
};

/* What the cache knows of a pack beside what its users see, which is all that
 * they are given. */
struct cached_pack {
	struct pack pack;
	struct pack_cache *owner;
	/* all below protected by owner->mutex */
	unsigned refs;
	bool cached;
	uint32_t slot;
	struct cached_pack *newer, *older; /* by last use */
	struct cached_pack *next_by_id;
};

struct pack_cache {
	struct store *store;
	const struct seal *seal;
	const uint8_t *repo_id;
	struct index *index;
	struct exclusions *exclusions;
	bool quiet; /* of what is missing */

	pthread_mutex_t mutex;
	struct cached_pack *by_id[PACK_HASH_SIZE] GUARDED_BY(mutex);
	struct cached_pack **slots GUARDED_BY(mutex);
	uint32_t slots_used GUARDED_BY(mutex); /* high-water mark */
	uint32_t *free_slots GUARDED_BY(mutex);
	uint32_t free_slot_count GUARDED_BY(mutex);
	struct cached_pack *newest GUARDED_BY(mutex);
	struct cached_pack *oldest GUARDED_BY(mutex);
	uint32_t *heads GUARDED_BY(mutex);
	uint32_t head_mask GUARDED_BY(mutex);
	struct chunk_node *nodes GUARDED_BY(mutex);
	uint32_t free_node GUARDED_BY(mutex);
	uint32_t chunks GUARDED_BY(mutex);
	uint32_t chunks_max GUARDED_BY(mutex);

	pthread_mutex_t heal_mutex; /* taken before mutex */
	bool rebuilt GUARDED_BY(heal_mutex);
};

/* --- making and freeing --- */

static int cache_alloc(struct pack_cache *cache, uint32_t chunks_max)
		REQUIRES(cache->mutex)
{
	/* A single pack must fit with room for another. */
	cache->chunks_max = chunks_max < 2 * PACK_CHUNKS_MAX
			? 2 * PACK_CHUNKS_MAX
			: chunks_max;
	uint32_t heads = 1;
	while (heads < cache->chunks_max)
		heads *= 2;
	cache->head_mask = heads - 1;
	/* Zeros that nobody touched cost neither memory nor time. */
	cache->heads = calloc(heads, sizeof(*cache->heads));
	cache->nodes = malloc((cache->chunks_max + (size_t)1)
			* sizeof(*cache->nodes));
	cache->slots = calloc(PACKS_CACHED_MAX, sizeof(struct cached_pack *));
	cache->free_slots =
			malloc(PACKS_CACHED_MAX * sizeof(*cache->free_slots));
	if (cache->heads == NULL || cache->nodes == NULL || cache->slots == NULL
			|| cache->free_slots == NULL)
		return -ENOMEM;
	return 0;
}

struct pack_cache *pack_cache_new(struct store *store, const struct seal *seal,
		const uint8_t *repo_id, struct exclusions *exclusions,
		uint32_t chunks_max)
{
	struct pack_cache *cache = calloc(1, sizeof(*cache));
	if (cache == NULL)
		return NULL;
	pthread_mutex_init(&cache->mutex, NULL);
	pthread_mutex_init(&cache->heal_mutex, NULL);
	cache->store = store;
	cache->seal = seal;
	cache->repo_id = repo_id;
	cache->exclusions = exclusions;
	if (cache_alloc(cache, chunks_max) < 0) {
		pack_cache_free(cache);
		return NULL;
	}
	return cache;
}

void pack_cache_set_index(struct pack_cache *cache, struct index *index)
{
	cache->index = index;
}

static void pack_free(struct cached_pack *pack)
{
	trailer_free(pack->pack.trailer);
	free(pack);
}

void pack_cache_free(struct pack_cache *cache)
{
	if (cache == NULL)
		return;
	not_shared(&cache->mutex);
	for (struct cached_pack *pack = cache->newest; pack != NULL;) {
		struct cached_pack *older = pack->older;
		pack_free(pack);
		pack = older;
	}
	free(cache->slots);
	free(cache->free_slots);
	free(cache->heads);
	free(cache->nodes);
	pthread_mutex_destroy(&cache->mutex);
	pthread_mutex_destroy(&cache->heal_mutex);
	free(cache);
}

/* --- the cache --- */

static uint32_t pack_hash(const struct pack_id *id)
{
	return get_le32(id->b) % PACK_HASH_SIZE;
}

static struct cached_pack *cache_get(struct pack_cache *cache,
		const struct pack_id *id) REQUIRES(cache->mutex)
{
	struct cached_pack *pack = cache->by_id[pack_hash(id)];
	while (pack != NULL
			&& memcmp(pack->pack.trailer->pack.b, id->b,
					   PACK_ID_SIZE)
					!= 0)
		pack = pack->next_by_id;
	return pack;
}

static void list_remove(struct pack_cache *cache, struct cached_pack *pack)
{
	*(pack->newer != NULL ? &pack->newer->older : &cache->newest) =
			pack->older;
	*(pack->older != NULL ? &pack->older->newer : &cache->oldest) =
			pack->newer;
	pack->newer = pack->older = NULL;
}

static void list_push(struct pack_cache *cache, struct cached_pack *pack)
		REQUIRES(cache->mutex)
{
	pack->older = cache->newest;
	pack->newer = NULL;
	*(cache->newest != NULL ? &cache->newest->newer : &cache->oldest) =
			pack;
	cache->newest = pack;
}

static void touch(struct pack_cache *cache, struct cached_pack *pack)
		REQUIRES(cache->mutex)
{
	if (cache->newest != pack) {
		list_remove(cache, pack);
		list_push(cache, pack);
	}
}

static uint32_t *chunk_head(struct pack_cache *cache, const struct id *id)
		REQUIRES(cache->mutex)
{
	return &cache->heads[id_hash(id) & cache->head_mask];
}

static void unlink_chunk(struct pack_cache *cache, uint32_t slot,
		const struct id *id, uint32_t chunk) REQUIRES(cache->mutex)
{
	uint32_t *at = chunk_head(cache, id);
	while (*at != NONE) {
		struct chunk_node *node = &cache->nodes[*at];
		if (node->slot == slot && node->chunk == chunk) {
			uint32_t freed = *at;
			*at = node->next;
			node->next = cache->free_node;
			cache->free_node = freed;
			return;
		}
		at = &node->next;
	}
}

static void cache_remove(struct pack_cache *cache, struct cached_pack *pack)
		REQUIRES(cache->mutex)
{
	const struct trailer *trailer = pack->pack.trailer;
	for (uint32_t i = 0; i < trailer->chunk_count; i++)
		unlink_chunk(cache, pack->slot, &trailer->chunks[i].id, i);
	cache->chunks -= trailer->chunk_count;
	struct cached_pack **at = &cache->by_id[pack_hash(&trailer->pack)];
	while (*at != pack)
		at = &(*at)->next_by_id;
	*at = pack->next_by_id;
	list_remove(cache, pack);
	cache->slots[pack->slot] = NULL;
	cache->free_slots[cache->free_slot_count++] = pack->slot;
	pack->cached = false;
	if (pack->refs == 0)
		pack_free(pack);
}

static uint32_t take_slot(struct pack_cache *cache) REQUIRES(cache->mutex)
{
	if (cache->free_slot_count != 0)
		return cache->free_slots[--cache->free_slot_count];
	return cache->slots_used++;
}

static uint32_t nodes_fresh(const struct pack_cache *cache)
		REQUIRES(cache->mutex)
{
	/* Nodes 1 … chunks are in use when none is on the free list. */
	return cache->chunks + 1;
}

static uint32_t take_node(struct pack_cache *cache) REQUIRES(cache->mutex)
{
	if (cache->free_node != NONE) {
		uint32_t n = cache->free_node;
		cache->free_node = cache->nodes[n].next;
		return n;
	}
	return nodes_fresh(cache);
}

static void cache_insert(struct pack_cache *cache, struct cached_pack *pack)
		REQUIRES(cache->mutex)
{
	const struct trailer *trailer = pack->pack.trailer;
	while (cache->oldest != NULL
			&& (cache->chunks + trailer->chunk_count
							> cache->chunks_max
					|| (cache->free_slot_count == 0
							&& cache->slots_used
									== PACKS_CACHED_MAX)))
		cache_remove(cache, cache->oldest);
	pack->slot = take_slot(cache);
	cache->slots[pack->slot] = pack;
	/* Backwards, so that the first of equal ids comes first. */
	for (uint32_t i = trailer->chunk_count; i-- > 0;) {
		uint32_t n = take_node(cache);
		uint32_t *head = chunk_head(cache, &trailer->chunks[i].id);
		cache->nodes[n] = (struct chunk_node){ .next = *head,
			.slot = pack->slot,
			.chunk = i,
			.tag = get_le32(trailer->chunks[i].id.b + 8) };
		*head = n;
		cache->chunks++;
	}
	struct cached_pack **bucket = &cache->by_id[pack_hash(&trailer->pack)];
	pack->next_by_id = *bucket;
	*bucket = pack;
	pack->cached = true;
	list_push(cache, pack);
}

static bool was_tried(const struct pack_cache_tried *tried,
		const struct pack_id *id)
{
	for (unsigned i = 0; tried != NULL && i < tried->count; i++)
		if (memcmp(tried->packs[i].b, id->b, PACK_ID_SIZE) == 0)
			return true;
	return false;
}

/* What makes a copy acceptable. */
struct wanted {
	enum pack_kind kind;
	const struct id *id;
	const struct pack_cache_tried *tried;
	bool for_writer; /* neither condemned nor damaged */
	/* Why the first pack that might have it can't be read; NULL: unasked. */
	struct error_copy *unread;
};

static bool acceptable(struct pack_cache *cache, const struct cached_pack *pack,
		uint32_t chunk, const struct wanted *wanted)
{
	const struct trailer *trailer = pack->pack.trailer;
	if (trailer->kind != wanted->kind
			|| !id_equal(&trailer->chunks[chunk].id, wanted->id)
			|| was_tried(wanted->tried, &trailer->pack))
		return false;
	return !wanted->for_writer
			|| (!exclusions_damaged(cache->exclusions,
					    &trailer->pack,
					    trailer->chunks[chunk].frame)
					&& exclusions_use(cache->exclusions,
							&trailer->pack));
}

static bool cache_find(struct pack_cache *cache, const struct wanted *wanted,
		struct chunk_place *place)
{
	LOCK_SCOPE(&cache->mutex);
	uint32_t tag = get_le32(wanted->id->b + 8);
	for (uint32_t n = *chunk_head(cache, wanted->id); n != NONE;
			n = cache->nodes[n].next) {
		if (cache->nodes[n].tag != tag)
			continue;
		struct cached_pack *pack = cache->slots[cache->nodes[n].slot];
		if (!acceptable(cache, pack, cache->nodes[n].chunk, wanted))
			continue;
		pack->refs++;
		touch(cache, pack);
		place->pack = &pack->pack;
		place->chunk = cache->nodes[n].chunk;
		return true;
	}
	return false;
}

/* --- loading a trailer --- */

static int damaged_pack(const char *name, const char *what)
{
	return fail(-EBADMSG,
			"pack %s: %s; run 'amberfs verify' to see what is "
			"affected",
			name, what);
}

/* Reads the footer and the trailer's box; the box is malloc'ed. */
static int read_tail(struct pack_cache *cache, const char *name, uint64_t size,
		uint8_t **box, size_t *box_len)
{
	size_t guess = min_u64(size, TAIL_GUESS);
	CLEANUP_FREE uint8_t *tail = malloc(guess);
	if (tail == NULL)
		return fail_errno(-ENOMEM, "reading pack %s", name);
	ssize_t got = store_get_range(cache->store, name, tail, guess,
			size - guess);
	if (got < 0)
		return (int)got;
	if ((size_t)got != guess)
		return damaged_pack(name, "it has become shorter");
	int64_t len = pack_footer_decode(tail + guess - PACK_FOOTER_SIZE);
	if (len < 0
			|| (uint64_t)len > size - PACK_HEADER_SIZE
							- PACK_FOOTER_SIZE)
		return damaged_pack(name, "its footer is damaged");
	uint8_t *out = malloc((size_t)len + 1);
	if (out == NULL)
		return fail_errno(-ENOMEM, "reading pack %s", name);
	if ((size_t)len + PACK_FOOTER_SIZE <= guess) {
		memcpy(out, tail + guess - PACK_FOOTER_SIZE - len, (size_t)len);
	} else {
		got = store_get_range(cache->store, name, out, (size_t)len,
				size - PACK_FOOTER_SIZE - (uint64_t)len);
		if (got != len) {
			free(out);
			return got < 0 ? (int)got
				       : damaged_pack(name, "it is truncated");
		}
	}
	*box = out;
	*box_len = (size_t)len;
	return 0;
}

static int read_trailer(struct pack_cache *cache, const struct pack_id *id,
		struct trailer **out)
{
	char name[PACK_NAME_SIZE];
	uint8_t header[PACK_HEADER_SIZE], ad[PACK_AD_SIZE];
	CLEANUP_FREE uint8_t *box = NULL;
	size_t box_len = 0;
	struct pack_header h;
	uint64_t size;
	pack_name(name, id);
	int err = store_size(cache->store, name, &size);
	if (err < 0)
		return err;
	if (size < PACK_HEADER_SIZE + PACK_FOOTER_SIZE + SEAL_OVERHEAD
			|| size > PACK_SIZE_MAX)
		return damaged_pack(name, "it has an impossible size");
	ssize_t got = store_get_range(cache->store, name, header,
			sizeof(header), 0);
	if (got < 0)
		return (int)got;
	if (got != sizeof(header)
			|| pack_header_decode(header, cache->repo_id, &h) < 0
			|| h.encrypted != seal_encrypts(cache->seal))
		return damaged_pack(name, "its header is damaged");
	err = read_tail(cache, name, size, &box, &box_len);
	if (err < 0)
		return err;
	pack_ad(ad, cache->repo_id, id, h.kind, TRAILER_AD);
	if (box_len < SEAL_OVERHEAD
			|| seal_open(cache->seal,
					   h.kind == PACK_TREE ? SEAL_TREE
							       : SEAL_DATA,
					   box + SEAL_NONCE_SIZE, box, box_len,
					   ad, sizeof(ad))
					< 0)
		return damaged_pack(name, "its trailer is damaged or forged");
	err = trailer_decode(out, id, h.kind, box + SEAL_NONCE_SIZE,
			box_len - SEAL_OVERHEAD,
			size - PACK_FOOTER_SIZE - box_len);
	if (err == 0 && (*out)->version != h.version) {
		trailer_free(take_ptr(*out));
		err = -EBADMSG;
	}
	if (err == -EBADMSG)
		return damaged_pack(name, "its trailer is inconsistent");
	return err;
}

int pack_cache_load_for_index(void *ctx, const struct pack_id *id,
		struct index_pack *out)
{
	struct pack_cache *cache = ctx;
	struct trailer *trailer;
	/* Bringing an index up to date may take minutes. */
	if (interrupt_flag)
		return fail(-ECANCELED, "interrupted");
	int err = read_trailer(cache, id, &trailer);
	if (err < 0)
		return err;
	*out = (struct index_pack){ .pack = *id,
		.kind = trailer->kind,
		.count = trailer->chunk_count };
	out->prefixes = malloc((trailer->chunk_count + 1) * sizeof(uint64_t));
	if (out->prefixes == NULL)
		err = -ENOMEM;
	for (uint32_t i = 0; err == 0 && i < trailer->chunk_count; i++)
		out->prefixes[i] = id_prefix(&trailer->chunks[i].id);
	trailer_free(trailer);
	return err;
}

/* Puts TRAILER into the cache unless somebody was faster; takes TRAILER. With HOLD the
 * result carries a reference. NULL: no memory. */
static struct cached_pack *adopt(struct pack_cache *cache,
		struct trailer *trailer, bool hold)
{
	struct cached_pack *fresh = calloc(1, sizeof(*fresh));
	if (fresh == NULL) {
		trailer_free(trailer);
		return NULL;
	}
	fresh->pack.trailer = trailer;
	fresh->owner = cache;
	LOCK_SCOPE(&cache->mutex);
	struct cached_pack *pack = cache_get(cache, &trailer->pack);
	if (pack == NULL) {
		pack = fresh;
		cache_insert(cache, pack);
	} else {
		pack_free(fresh);
	}
	if (hold)
		pack->refs++;
	return pack;
}

void pack_cache_adopt(struct pack_cache *cache, struct trailer *trailer)
{
	adopt(cache, trailer, false);
}

/* The pack's trailer could not be loaded. */
static void note_unreadable(struct pack_cache *cache, const struct pack_id *id,
		int err)
{
	if (err == -EBADMSG)
		exclusions_add_damaged(cache->exclusions, id, TRAILER_AD);
	else if (err == -EIO)
		exclusions_distrust(cache->exclusions, id);
}

/* pack_cache_load, as the cache knows it. */
static int load(struct pack_cache *cache, const struct pack_id *id,
		struct cached_pack **out)
{
	{
		LOCK_SCOPE(&cache->mutex);
		struct cached_pack *pack = cache_get(cache, id);
		if (pack != NULL) {
			pack->refs++;
			touch(cache, pack);
			*out = pack;
			return 0;
		}
	}
	struct trailer *trailer;
	int err = read_trailer(cache, id, &trailer);
	note_unreadable(cache, id, err);
	if (err < 0)
		return err;
	*out = adopt(cache, trailer, true);
	return *out != NULL ? 0 : fail_no_memory("loading a pack's trailer");
}

int pack_cache_load(struct pack_cache *cache, const struct pack_id *id,
		struct pack **out)
{
	struct cached_pack *pack;
	int err = load(cache, id, &pack);
	if (err != 0)
		return err;
	*out = &pack->pack;
	return 0;
}

int pack_cache_peek(struct pack_cache *cache, const struct pack_id *id,
		struct trailer **out)
{
	int err = read_trailer(cache, id, out);
	note_unreadable(cache, id, err);
	return err;
}

/* PACK is the first member of what the cache made. */
static struct cached_pack *cached_of(struct pack *pack)
{
	return (struct cached_pack *)pack;
}

static void release(struct cached_pack *pack)
{
	LOCK_SCOPE(&pack->owner->mutex);
	assert(pack->refs != 0);
	if (--pack->refs == 0 && !pack->cached)
		pack_free(pack);
}

void pack_cache_release(struct pack *pack)
{
	if (pack != NULL)
		release(cached_of(pack));
}

struct pack *pack_cache_hold(struct pack *pack)
{
	struct cached_pack *k = cached_of(pack);
	LOCK_SCOPE(&k->owner->mutex);
	assert(k->refs != 0);
	k->refs++;
	return pack;
}

void pack_cache_drop(struct pack_cache *cache, const struct pack_id *id)
{
	char name[PACK_NAME_SIZE];
	pack_name(name, id);
	store_forget(cache->store, name);
	LOCK_SCOPE(&cache->mutex);
	struct cached_pack *pack = cache_get(cache, id);
	if (pack != NULL)
		cache_remove(cache, pack);
}

/* --- finding --- */

static bool trailer_find(struct pack_cache *cache, struct cached_pack *pack,
		const struct wanted *wanted, uint32_t *chunk)
{
	for (uint32_t i = 0; i < pack->pack.trailer->chunk_count; i++)
		if (acceptable(cache, pack, i, wanted)) {
			*chunk = i;
			return true;
		}
	return false;
}

/* Loads what the index proposes. 1 found, 0 not, -ENOMEM. */
static int find_through_index(struct pack_cache *cache,
		const struct wanted *wanted, struct chunk_place *place)
{
	struct pack_id candidates[CANDIDATES_MAX];
	int n = index_candidates(cache->index, id_prefix(wanted->id),
			wanted->for_writer, candidates, CANDIDATES_MAX);
	for (int i = 0; i < n; i++) {
		struct cached_pack *pack;
		if (was_tried(wanted->tried, &candidates[i])
				|| (wanted->for_writer
						&& exclusions_condemned(
								cache->exclusions,
								&candidates[i])))
			continue;
		int err = load(cache, &candidates[i], &pack);
		if (err == -ENOMEM)
			return err;
		if (err != -ENOENT && err < 0 && wanted->unread != NULL
				&& !wanted->unread->err)
			error_save(wanted->unread, err);
		if (err < 0) /* gone or unreadable: as if not listed */
			continue;
		if (trailer_find(cache, pack, wanted, &place->chunk)) {
			place->pack = &pack->pack;
			return 1;
		}
		release(pack);
	}
	return 0;
}

/* 1 found, 0 not, -ENOMEM. */
static int find_anywhere(struct pack_cache *cache, const struct wanted *wanted,
		struct chunk_place *place)
{
	return cache_find(cache, wanted, place)
			? 1
			: find_through_index(cache, wanted, place);
}

int pack_cache_find(struct pack_cache *cache, enum pack_kind kind,
		const struct id *id, struct chunk_place *place)
{
	struct wanted w = { .kind = kind, .id = id, .for_writer = true };
	return find_anywhere(cache, &w, place);
}

void pack_cache_tried_add(struct pack_cache_tried *tried,
		const struct pack_id *id)
{
	if (tried->count < PACK_CACHE_TRIED_MAX)
		tried->packs[tried->count++] = *id;
}

/* A miss is trusted only from an index that knows the packs that exist: one
 * thread updates it while others wait, then all look again. */
static int find_after_healing(struct pack_cache *cache,
		const struct wanted *wanted, struct chunk_place *place)
{
	LOCK_SCOPE(&cache->heal_mutex);
	int err = find_anywhere(cache, wanted, place);
	if (err != 0)
		return err;
	err = index_reconcile(cache->index);
	if (err < 0)
		return err;
	err = find_anywhere(cache, wanted, place);
	if (err != 0 || cache->rebuilt)
		return err;
	cache->rebuilt = true;
	err = index_rebuild(cache->index);
	return err < 0 ? err : find_anywhere(cache, wanted, place);
}

static int not_found(struct pack_cache *cache, const struct wanted *wanted)
{
	const char *what = wanted->kind == PACK_TREE ? "tree node" : "chunk";
	const char *other = wanted->tried != NULL && wanted->tried->count
			? "other "
			: "";
	char hex[2 * ID_SIZE + 1];
	hex_encode(hex, wanted->id->b, ID_SIZE);
	if (wanted->unread->err != 0)
		return fail(-ENOENT, "%s %.16s… is in no %sreadable pack: %s",
				what, hex, other, wanted->unread->text);
	if (index_unreadable(cache->index) != 0)
		return fail(-ENOENT,
				"%s %.16s… is in no %sreadable pack (%" PRIu64
				" can't be read; 'amberfs verify' "
				"lists them)",
				what, hex, other,
				index_unreadable(cache->index));
	return fail(-ENOENT, "%s %.16s… is in no %spack of the repository",
			what, hex, other);
}

int pack_cache_locate(struct pack_cache *cache, enum pack_kind kind,
		const struct id *id, const struct pack_cache_tried *tried,
		struct chunk_place *place)
{
	struct error_copy unread = { .err = 0 };
	struct wanted w = { .kind = kind,
		.id = id,
		.tried = tried,
		.unread = &unread };
	int err = find_anywhere(cache, &w, place);
	if (err == 0)
		err = find_after_healing(cache, &w, place);
	if (err != 0)
		return err < 0 ? err : 0;
	err = not_found(cache, &w);
	if (!cache->quiet && (tried == NULL || tried->count == 0))
		exclusions_add_missing(cache->exclusions);
	return err;
}

int pack_cache_read_frame(struct pack_cache *cache, const struct pack *pack,
		uint32_t frame, uint8_t *buf, uint8_t **plain, size_t *len)
{
	const struct trailer *trailer = pack->trailer;
	const struct frame_entry *entry = &trailer->frames[frame];
	uint8_t ad[PACK_AD_SIZE];
	char name[PACK_NAME_SIZE];
	pack_name(name, &trailer->pack);
	ssize_t got = store_get_range(cache->store, name, buf,
			entry->stored_len, entry->offset);
	if (got < 0)
		return (int)got;
	pack_ad(ad, cache->repo_id, &trailer->pack, trailer->kind, frame);
	if ((size_t)got != entry->stored_len
			|| seal_open(cache->seal,
					   trailer->kind == PACK_TREE
							   ? SEAL_TREE
							   : SEAL_DATA,
					   buf + SEAL_NONCE_SIZE, buf,
					   entry->stored_len, ad, sizeof(ad))
					< 0)
		return fail(-EBADMSG,
				"pack %s, frame %u (at byte %llu, %u bytes) is "
				"damaged; run 'amberfs repair'",
				name, frame, (unsigned long long)entry->offset,
				entry->stored_len);
	*plain = buf + SEAL_NONCE_SIZE;
	*len = entry->stored_len - SEAL_OVERHEAD;
	return 0;
}

/* --- what is asked of others --- */

struct exclusions *pack_cache_exclusions(const struct pack_cache *cache)
{
	return cache->exclusions;
}

const struct seal *pack_cache_seal(const struct pack_cache *cache)
{
	return cache->seal;
}

void pack_cache_silence_missing(struct pack_cache *cache)
{
	cache->quiet = true;
}
