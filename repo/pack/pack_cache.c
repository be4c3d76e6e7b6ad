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
 * Nothing here believes the index: it only says which trailers to load.
 */
#include "pack_cache.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"
#include "repo/base/interrupt.h"
#include "id_hash.h"

#define NONE UINT32_MAX
#define PACKS_CACHED_MAX 16384u
#define PACK_HASH_SIZE 4096u
#define CANDIDATES_MAX 16
/* One read mostly gets footer and trailer together. */
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
	struct cached_pack *newer, *older;	/* by last use */
	struct cached_pack *next_by_id;
};

struct pack_cache {
	struct store *store;
	const struct seal *seal;
	const uint8_t *repo_id;
	struct index *index;
	struct exclusions *exclusions;
	bool quiet;		/* of what is missing */

	pthread_mutex_t mutex;
	/* all below protected by mutex */
	struct cached_pack *by_id[PACK_HASH_SIZE];
	struct cached_pack **slots;
	uint32_t slots_used;		/* high-water mark */
	uint32_t *free_slots, free_slot_count;
	struct cached_pack *newest, *oldest;
	uint32_t *heads, head_mask;
	struct chunk_node *nodes;
	uint32_t free_node, chunks, chunks_max;

	pthread_mutex_t heal_mutex;	/* taken before mutex */
	bool rebuilt;			/* protected by heal_mutex */
};

/* --- making and freeing --- */

static int cache_alloc(struct pack_cache *p, uint32_t chunks_max)
{
	/* A single pack must fit with room for another. */
	p->chunks_max = chunks_max < 2 * PACK_CHUNKS_MAX ? 2 * PACK_CHUNKS_MAX
							 : chunks_max;
	uint32_t heads = 1;
	while (heads < p->chunks_max)
		heads *= 2;
	p->head_mask = heads - 1;
	p->heads = malloc(heads * sizeof(*p->heads));
	p->nodes = malloc(p->chunks_max * sizeof(*p->nodes));
	p->slots = calloc(PACKS_CACHED_MAX, sizeof(struct cached_pack *));
	p->free_slots = malloc(PACKS_CACHED_MAX * sizeof(*p->free_slots));
	if (!p->heads || !p->nodes || !p->slots || !p->free_slots)
		return -ENOMEM;
	memset(p->heads, 0xff, heads * sizeof(*p->heads));
	p->free_node = NONE;
	return 0;
}

struct pack_cache *pack_cache_new(struct store *store, const struct seal *seal,
		const uint8_t *repo_id, struct exclusions *exclusions,
		uint32_t chunks_max)
{
	struct pack_cache *p = calloc(1, sizeof(*p));
	if (p == NULL)
		return NULL;
	pthread_mutex_init(&p->mutex, NULL);
	pthread_mutex_init(&p->heal_mutex, NULL);
	p->store = store;
	p->seal = seal;
	p->repo_id = repo_id;
	p->exclusions = exclusions;
	if (cache_alloc(p, chunks_max) < 0) {
		pack_cache_free(p);
		return NULL;
	}
	return p;
}

void pack_cache_set_index(struct pack_cache *p, struct index *index)
{
	p->index = index;
}

static void pack_free(struct cached_pack *pack)
{
	trailer_free(pack->pack.trailer);
	free(pack);
}

void pack_cache_free(struct pack_cache *p)
{
	if (p == NULL)
		return;
	for (struct cached_pack *k = p->newest; k != NULL;) {
		struct cached_pack *older = k->older;
		pack_free(k);
		k = older;
	}
	free(p->slots);
	free(p->free_slots);
	free(p->heads);
	free(p->nodes);
	pthread_mutex_destroy(&p->mutex);
	pthread_mutex_destroy(&p->heal_mutex);
	free(p);
}

/* --- the cache; every function here needs p->mutex --- */

static uint32_t pack_hash(const struct pack_id *id)
{
	return get_le32(id->b) % PACK_HASH_SIZE;
}

static struct cached_pack *cache_get(struct pack_cache *p, const struct pack_id *id)
{
	struct cached_pack *k = p->by_id[pack_hash(id)];
	while (k && memcmp(k->pack.trailer->pack.b, id->b, PACK_ID_SIZE) != 0)
		k = k->next_by_id;
	return k;
}

static void list_remove(struct pack_cache *p, struct cached_pack *k)
{
	*(k->newer ? &k->newer->older : &p->newest) = k->older;
	*(k->older ? &k->older->newer : &p->oldest) = k->newer;
	k->newer = k->older = NULL;
}

static void list_push(struct pack_cache *p, struct cached_pack *k)
{
	k->older = p->newest;
	k->newer = NULL;
	*(p->newest ? &p->newest->newer : &p->oldest) = k;
	p->newest = k;
}

static void touch(struct pack_cache *p, struct cached_pack *k)
{
	if (p->newest != k) {
		list_remove(p, k);
		list_push(p, k);
	}
}

static uint32_t *chunk_head(struct pack_cache *p, const struct id *id)
{
	return &p->heads[id_hash(id) & p->head_mask];
}

static void unlink_chunk(struct pack_cache *p, uint32_t slot, const struct id *id,
		uint32_t chunk)
{
	uint32_t *at = chunk_head(p, id);
	while (*at != NONE) {
		struct chunk_node *n = &p->nodes[*at];
		if (n->slot == slot && n->chunk == chunk) {
			uint32_t freed = *at;
			*at = n->next;
			n->next = p->free_node;
			p->free_node = freed;
			return;
		}
		at = &n->next;
	}
}

static void cache_remove(struct pack_cache *p, struct cached_pack *k)
{
	const struct trailer *t = k->pack.trailer;
	for (uint32_t i = 0; i < t->chunk_count; i++)
		unlink_chunk(p, k->slot, &t->chunks[i].id, i);
	p->chunks -= t->chunk_count;
	struct cached_pack **at = &p->by_id[pack_hash(&t->pack)];
	while (*at != k)
		at = &(*at)->next_by_id;
	*at = k->next_by_id;
	list_remove(p, k);
	p->slots[k->slot] = NULL;
	p->free_slots[p->free_slot_count++] = k->slot;
	k->cached = false;
	if (k->refs == 0)
		pack_free(k);
}

static uint32_t take_slot(struct pack_cache *p)
{
	if (p->free_slot_count != 0)
		return p->free_slots[--p->free_slot_count];
	return p->slots_used++;
}

static uint32_t nodes_fresh(const struct pack_cache *p)
{
	return p->chunks; /* nodes 0 … chunks-1 were handed out at some time,
			     unless some are on the free list */
}

static uint32_t take_node(struct pack_cache *p)
{
	if (p->free_node != NONE) {
		uint32_t n = p->free_node;
		p->free_node = p->nodes[n].next;
		return n;
	}
	return nodes_fresh(p);
}

static void cache_insert(struct pack_cache *p, struct cached_pack *k)
{
	const struct trailer *t = k->pack.trailer;
	while (p->oldest && (p->chunks + t->chunk_count > p->chunks_max
			|| (p->free_slot_count == 0
					&& p->slots_used == PACKS_CACHED_MAX)))
		cache_remove(p, p->oldest);
	k->slot = take_slot(p);
	p->slots[k->slot] = k;
	/* Backwards, so that the first of equal ids comes first. */
	for (uint32_t i = t->chunk_count; i-- > 0;) {
		uint32_t n = take_node(p);
		uint32_t *head = chunk_head(p, &t->chunks[i].id);
		p->nodes[n] = (struct chunk_node){ .next = *head,
			.slot = k->slot, .chunk = i,
			.tag = get_le32(t->chunks[i].id.b + 8) };
		*head = n;
		p->chunks++;
	}
	struct cached_pack **bucket = &p->by_id[pack_hash(&t->pack)];
	k->next_by_id = *bucket;
	*bucket = k;
	k->cached = true;
	list_push(p, k);
}

static bool was_tried(const struct pack_cache_tried *tried, const struct pack_id *id)
{
	for (unsigned i = 0; tried && i < tried->count; i++)
		if (memcmp(tried->packs[i].b, id->b, PACK_ID_SIZE) == 0)
			return true;
	return false;
}

/* What makes a copy acceptable. */
struct wanted {
	enum pack_kind kind;
	const struct id *id;
	const struct pack_cache_tried *tried;
	bool for_writer;	/* neither condemned nor damaged */
	/* Why the first pack that might have it can't be read; NULL: unasked. */
	struct error_copy *unread;
};

static bool acceptable(struct pack_cache *p, const struct cached_pack *k, uint32_t chunk,
		const struct wanted *w)
{
	const struct trailer *t = k->pack.trailer;
	if (t->kind != w->kind || !id_equal(&t->chunks[chunk].id, w->id)
			|| was_tried(w->tried, &t->pack))
		return false;
	return !w->for_writer
			|| (!exclusions_damaged(p->exclusions, &t->pack,
					    t->chunks[chunk].frame)
					&& exclusions_use(p->exclusions,
							&t->pack));
}

static bool cache_find(struct pack_cache *p, const struct wanted *w,
		struct chunk_place *place)
{
	LOCK_SCOPE(&p->mutex);
	uint32_t tag = get_le32(w->id->b + 8);
	for (uint32_t n = *chunk_head(p, w->id); n != NONE;
			n = p->nodes[n].next) {
		if (p->nodes[n].tag != tag)
			continue;
		struct cached_pack *k = p->slots[p->nodes[n].slot];
		if (!acceptable(p, k, p->nodes[n].chunk, w))
			continue;
		k->refs++;
		touch(p, k);
		place->pack = &k->pack;
		place->chunk = p->nodes[n].chunk;
		return true;
	}
	return false;
}

/* --- loading a trailer --- */

static int damaged_pack(const char *name, const char *what)
{
	return fail(-EBADMSG,
			"pack %s: %s; run 'amberfs verify' to see what is affected",
			name, what);
}

/* Reads the footer and the trailer's box; the box is malloc'ed. */
static int read_tail(struct pack_cache *p, const char *name, uint64_t size,
		uint8_t **box, size_t *box_len)
{
	size_t guess = min_u64(size, TAIL_GUESS);
	CLEANUP_FREE uint8_t *tail = malloc(guess);
	if (tail == NULL)
		return fail_errno(-ENOMEM, "reading pack %s", name);
	ssize_t got = store_get_range(p->store, name, tail, guess, size - guess);
	if (got < 0)
		return (int)got;
	if ((size_t)got != guess)
		return damaged_pack(name, "it is shorter than it was");
	int64_t len = pack_footer_decode(tail + guess - PACK_FOOTER_SIZE);
	if (len < 0 || (uint64_t)len > size - PACK_HEADER_SIZE
					- PACK_FOOTER_SIZE)
		return damaged_pack(name, "its footer is damaged");
	uint8_t *out = malloc((size_t)len + 1);
	if (out == NULL)
		return fail_errno(-ENOMEM, "reading pack %s", name);
	if ((size_t)len + PACK_FOOTER_SIZE <= guess) {
		memcpy(out, tail + guess - PACK_FOOTER_SIZE - len, (size_t)len);
	} else {
		got = store_get_range(p->store, name, out, (size_t)len,
				size - PACK_FOOTER_SIZE - (uint64_t)len);
		if (got != len) {
			free(out);
			return got < 0 ? (int)got
				       : damaged_pack(name, "it is cut short");
		}
	}
	*box = out;
	*box_len = (size_t)len;
	return 0;
}

static int read_trailer(struct pack_cache *p, const struct pack_id *id,
		struct trailer **out)
{
	char name[PACK_NAME_SIZE];
	uint8_t header[PACK_HEADER_SIZE], ad[PACK_AD_SIZE];
	CLEANUP_FREE uint8_t *box = NULL;
	size_t box_len = 0;
	uint64_t size;
	enum pack_kind kind;
	bool encrypted;
	pack_name(name, id);
	int err = store_size(p->store, name, &size);
	if (err < 0)
		return err;
	if (size < PACK_HEADER_SIZE + PACK_FOOTER_SIZE + SEAL_OVERHEAD
			|| size > PACK_SIZE_MAX)
		return damaged_pack(name, "its size is impossible");
	ssize_t got = store_get_range(p->store, name, header, sizeof(header), 0);
	if (got < 0)
		return (int)got;
	if (got != sizeof(header)
			|| pack_header_decode(header, p->repo_id, &kind,
					   &encrypted)
					< 0
			|| encrypted != seal_encrypts(p->seal))
		return damaged_pack(name, "its header is damaged");
	err = read_tail(p, name, size, &box, &box_len);
	if (err < 0)
		return err;
	pack_ad(ad, p->repo_id, id, kind, TRAILER_AD);
	if (box_len < SEAL_OVERHEAD
			|| seal_open(p->seal,
					   kind == PACK_TREE ? SEAL_TREE
							     : SEAL_DATA,
					   box + SEAL_NONCE_SIZE, box, box_len,
					   ad, sizeof(ad))
					< 0)
		return damaged_pack(name, "its trailer is damaged or forged");
	err = trailer_decode(out, id, kind, box + SEAL_NONCE_SIZE,
			box_len - SEAL_OVERHEAD,
			size - PACK_FOOTER_SIZE - box_len);
	if (err == -EBADMSG)
		return damaged_pack(name, "its trailer makes no sense");
	return err;
}

int pack_cache_load_for_index(void *ctx, const struct pack_id *id,
		struct index_pack *out)
{
	struct pack_cache *p = ctx;
	struct trailer *t;
	/* Bringing an index up to date may take minutes. */
	if (interrupt_flag)
		return fail(-ECANCELED, "interrupted");
	int err = read_trailer(p, id, &t);
	if (err < 0)
		return err;
	*out = (struct index_pack){ .pack = *id, .kind = t->kind,
		.count = t->chunk_count };
	out->prefixes = malloc((t->chunk_count + 1) * sizeof(uint64_t));
	if (out->prefixes == NULL)
		err = -ENOMEM;
	for (uint32_t i = 0; err == 0 && i < t->chunk_count; i++)
		out->prefixes[i] = id_prefix(&t->chunks[i].id);
	trailer_free(t);
	return err;
}

/* Puts T into the cache unless somebody was faster; takes T. With HOLD the
 * result carries a reference. NULL: no memory. */
static struct cached_pack *adopt(struct pack_cache *p, struct trailer *t, bool hold)
{
	struct cached_pack *fresh = calloc(1, sizeof(*fresh));
	if (fresh == NULL) {
		trailer_free(t);
		return NULL;
	}
	fresh->pack.trailer = t;
	fresh->owner = p;
	LOCK_SCOPE(&p->mutex);
	struct cached_pack *k = cache_get(p, &t->pack);
	if (k == NULL) {
		k = fresh;
		cache_insert(p, k);
	} else {
		pack_free(fresh);
	}
	if (hold)
		k->refs++;
	return k;
}

void pack_cache_adopt(struct pack_cache *p, struct trailer *t)
{
	adopt(p, t, false);
}

/* The pack's trailer could not be had. */
static void note_unreadable(struct pack_cache *p, const struct pack_id *id, int err)
{
	if (err == -EBADMSG)
		exclusions_add_damaged(p->exclusions, id, TRAILER_AD);
	else if (err == -EIO)
		exclusions_distrust(p->exclusions, id);
}

/* pack_cache_load, as the cache knows it. */
static int load(struct pack_cache *p, const struct pack_id *id,
		struct cached_pack **out)
{
	{
		LOCK_SCOPE(&p->mutex);
		struct cached_pack *k = cache_get(p, id);
		if (k != NULL) {
			k->refs++;
			touch(p, k);
			*out = k;
			return 0;
		}
	}
	struct trailer *t;
	int err = read_trailer(p, id, &t);
	note_unreadable(p, id, err);
	if (err < 0)
		return err;
	*out = adopt(p, t, true);
	return *out ? 0 : fail_errno(-ENOMEM, "loading a pack's trailer");
}

int pack_cache_load(struct pack_cache *p, const struct pack_id *id, struct pack **out)
{
	struct cached_pack *k;
	int err = load(p, id, &k);
	if (err == 0)
		*out = &k->pack;
	return err;
}

int pack_cache_peek(struct pack_cache *p, const struct pack_id *id, struct trailer **out)
{
	int err = read_trailer(p, id, out);
	note_unreadable(p, id, err);
	return err;
}

/* PACK is the first member of what the cache made. */
static struct cached_pack *cached_of(struct pack *pack)
{
	return (struct cached_pack *)pack;
}

static void release(struct cached_pack *k)
{
	LOCK_SCOPE(&k->owner->mutex);
	assert(k->refs != 0);
	if (--k->refs == 0 && !k->cached)
		pack_free(k);
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

void pack_cache_drop(struct pack_cache *p, const struct pack_id *id)
{
	char name[PACK_NAME_SIZE];
	pack_name(name, id);
	store_forget(p->store, name);
	LOCK_SCOPE(&p->mutex);
	struct cached_pack *k = cache_get(p, id);
	if (k != NULL)
		cache_remove(p, k);
}

/* --- finding --- */

static bool trailer_find(struct pack_cache *p, struct cached_pack *k,
		const struct wanted *w, uint32_t *chunk)
{
	for (uint32_t i = 0; i < k->pack.trailer->chunk_count; i++)
		if (acceptable(p, k, i, w)) {
			*chunk = i;
			return true;
		}
	return false;
}

/* Loads what the index proposes. 1 found, 0 not, -ENOMEM. */
static int find_through_index(struct pack_cache *p, const struct wanted *w,
		struct chunk_place *place)
{
	struct pack_id candidates[CANDIDATES_MAX];
	int n = index_candidates(p->index, id_prefix(w->id), w->for_writer,
			candidates, CANDIDATES_MAX);
	for (int i = 0; i < n; i++) {
		struct cached_pack *k;
		if (was_tried(w->tried, &candidates[i])
				|| (w->for_writer
						&& exclusions_condemned(
								p->exclusions,
								&candidates[i])))
			continue;
		int err = load(p, &candidates[i], &k);
		if (err == -ENOMEM)
			return err;
		if (err != -ENOENT && err < 0 && w->unread && !w->unread->err)
			error_save(w->unread, err);
		if (err < 0)	/* gone or unreadable: as if not listed */
			continue;
		if (trailer_find(p, k, w, &place->chunk)) {
			place->pack = &k->pack;
			return 1;
		}
		release(k);
	}
	return 0;
}

/* 1 found, 0 not, -ENOMEM. */
static int find_anywhere(struct pack_cache *p, const struct wanted *w,
		struct chunk_place *place)
{
	return cache_find(p, w, place) ? 1 : find_through_index(p, w, place);
}

int pack_cache_find(struct pack_cache *p, enum pack_kind kind, const struct id *id,
		struct chunk_place *place)
{
	struct wanted w = { .kind = kind, .id = id, .for_writer = true };
	return find_anywhere(p, &w, place);
}

void pack_cache_tried_add(struct pack_cache_tried *t, const struct pack_id *id)
{
	if (t->count < PACK_CACHE_TRIED_MAX)
		t->packs[t->count++] = *id;
}

/* A miss is believed only of an index that knows the packs that exist: one
 * thread brings it up to date while others wait, then all look again. */
static int find_after_healing(struct pack_cache *p, const struct wanted *w,
		struct chunk_place *place)
{
	LOCK_SCOPE(&p->heal_mutex);
	int err = find_anywhere(p, w, place);
	if (err != 0)
		return err;
	err = index_reconcile(p->index);
	if (err < 0)
		return err;
	err = find_anywhere(p, w, place);
	if (err != 0 || p->rebuilt)
		return err;
	p->rebuilt = true;
	err = index_rebuild(p->index);
	return err < 0 ? err : find_anywhere(p, w, place);
}

static int not_found(struct pack_cache *p, const struct wanted *w)
{
	const char *what = w->kind == PACK_TREE ? "tree node" : "chunk";
	const char *other = w->tried && w->tried->count ? "other " : "";
	char hex[2 * ID_SIZE + 1];
	hex_encode(hex, w->id->b, ID_SIZE);
	if (w->unread->err != 0)
		return fail(-ENOENT, "%s %.16s… is in no %spack that can be "
				"read: %s", what, hex, other, w->unread->text);
	if (index_unreadable(p->index) != 0)
		return fail(-ENOENT, "%s %.16s… is in no %spack that can be "
				"read (%" PRIu64 " can't; 'amberfs verify' "
				"names them)", what, hex, other,
				index_unreadable(p->index));
	return fail(-ENOENT, "%s %.16s… is in no %spack of the repository",
			what, hex, other);
}

int pack_cache_locate(struct pack_cache *p, enum pack_kind kind, const struct id *id,
		const struct pack_cache_tried *tried, struct chunk_place *place)
{
	struct error_copy unread = { .err = 0 };
	struct wanted w = { .kind = kind, .id = id, .tried = tried,
		.unread = &unread };
	int err = find_anywhere(p, &w, place);
	if (err == 0)
		err = find_after_healing(p, &w, place);
	if (err != 0)
		return err < 0 ? err : 0;
	err = not_found(p, &w);
	if (!p->quiet && (tried == NULL || tried->count == 0))
		exclusions_add_missing(p->exclusions);
	return err;
}

int pack_cache_read_frame(struct pack_cache *p, const struct pack *pack, uint32_t frame,
		uint8_t *buf, uint8_t **plain, size_t *len)
{
	const struct trailer *t = pack->trailer;
	const struct frame_entry *f = &t->frames[frame];
	uint8_t ad[PACK_AD_SIZE];
	char name[PACK_NAME_SIZE];
	pack_name(name, &t->pack);
	ssize_t got = store_get_range(
			p->store, name, buf, f->stored_len, f->offset);
	if (got < 0)
		return (int)got;
	pack_ad(ad, p->repo_id, &t->pack, t->kind, frame);
	if ((size_t)got != f->stored_len
			|| seal_open(p->seal,
					   t->kind == PACK_TREE ? SEAL_TREE
								: SEAL_DATA,
					   buf + SEAL_NONCE_SIZE, buf,
					   f->stored_len, ad, sizeof(ad))
					< 0)
		return fail(-EBADMSG,
				"pack %s, frame %u (at byte %llu, %u bytes) is damaged",
				name, frame, (unsigned long long)f->offset,
				f->stored_len);
	*plain = buf + SEAL_NONCE_SIZE;
	*len = f->stored_len - SEAL_OVERHEAD;
	return 0;
}

/* --- what is asked of others --- */

struct exclusions *packs_exclusions(const struct pack_cache *p)
{
	return p->exclusions;
}

void pack_cache_silence_missing(struct pack_cache *p)
{
	p->quiet = true;
}
