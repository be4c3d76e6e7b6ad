/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The cache of decoded frames. Sixteen shards, each a chained hash and a list
 * by last use. A frame object is in one of two states:
 *
 *	loading		one thread decodes it; others wait on the shard's
 *			condition; not on the list
 *	ready		data[0 … valid) can be read; on the list
 *
 * A frame never changes once ready: one that is wanted beyond its valid part
 * is replaced by a new object, decoded whole; who has the old one pinned keeps
 * it until unpinned. A failed load leaves nothing behind, its waiters try by
 * themselves.
 */
#include "frame_cache.h"

#include <stdlib.h>

#include "buffer_pool.h"
#include "frame_codec.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/format/checksum.h"

#define SHARDS 16u
#define BUCKETS 256u
#define SPARE_BUFFERS ((size_t)8 << 20)

struct cached_frame {
	struct frame public; /* first: frame_cache_unpin gets its address */
	struct shard *shard;
	struct pack_id pack;
	uint32_t number, plain_len;
	/* protected by shard->mutex */
	unsigned pins;
	bool loading, hashed;
	struct cached_frame *next;	    /* in the bucket */
	struct cached_frame *newer, *older; /* by last use */
	uint8_t *buffer;
	uint8_t *bad; /* or NULL */
};

struct shard {
	pthread_mutex_t mutex;
	pthread_cond_t loaded;
	struct cached_frame *buckets[BUCKETS] GUARDED_BY(mutex);
	struct cached_frame *newest GUARDED_BY(mutex);
	struct cached_frame *oldest GUARDED_BY(mutex);
	uint64_t bytes GUARDED_BY(mutex); /* of buffers */
	uint64_t bytes_max;		  /* constant */
	struct buffer_pool *buffers;	  /* constant */
};

/* What a decoding thread needs; a few are kept for the next one. */
struct decode_buffers {
	struct frame_decoder *decoder;
	uint8_t *box;
	size_t box_size;
	struct decode_buffers *next;
};

struct frame_cache {
	struct pack_cache *packs;
	struct buffer_pool *buffers;
	uint64_t seed; /* of checksums */
	struct shard shards[SHARDS];
	pthread_mutex_t idle_buffers_mutex;
	struct decode_buffers *idle_buffers GUARDED_BY(idle_buffers_mutex);
};

struct frame_cache *frame_cache_new(struct pack_cache *packs, uint64_t size)
{
	struct frame_cache *cache = calloc(1, sizeof(*cache));
	if (cache == NULL)
		return NULL;
	cache->buffers = buffer_pool_new(SPARE_BUFFERS);
	if (cache->buffers == NULL) {
		free(cache);
		return NULL;
	}
	cache->packs = packs;
	cache->seed = seal_cut_seed(pack_cache_seal(packs));
	pthread_mutex_init(&cache->idle_buffers_mutex, NULL);
	for (unsigned i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&cache->shards[i].mutex, NULL);
		pthread_cond_init(&cache->shards[i].loaded, NULL);
		cache->shards[i].bytes_max = size / SHARDS;
		cache->shards[i].buffers = cache->buffers;
	}
	return cache;
}

static void frame_destroy(struct cached_frame *frame)
{
	buffer_pool_give(frame->shard->buffers, frame->buffer,
			frame->plain_len);
	free(frame->bad);
	free(frame);
}

static void decode_buffers_free(struct decode_buffers *buffers)
{
	if (buffers == NULL)
		return;
	frame_codec_decoder_free(buffers->decoder);
	free(buffers->box);
	free(buffers);
}

void frame_cache_free(struct frame_cache *cache)
{
	if (cache == NULL)
		return;
	not_shared(&cache->idle_buffers_mutex);
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *shard = &cache->shards[i];
		not_shared(&shard->mutex);
		while (shard->newest != NULL) {
			struct cached_frame *frame = shard->newest;
			shard->newest = frame->older;
			frame_destroy(frame);
		}
		pthread_mutex_destroy(&shard->mutex);
		pthread_cond_destroy(&shard->loaded);
	}
	while (cache->idle_buffers != NULL) {
		struct decode_buffers *buffers = cache->idle_buffers;
		cache->idle_buffers = buffers->next;
		decode_buffers_free(buffers);
	}
	pthread_mutex_destroy(&cache->idle_buffers_mutex);
	buffer_pool_free(cache->buffers);
	free(cache);
}

/* --- hash and list --- */

static uint32_t key_hash(const struct pack_id *pack, uint32_t number)
{
	return get_le32(pack->b + 4) ^ number * 2654435761u;
}

static struct shard *shard_of(struct frame_cache *cache,
		const struct pack_id *pack, uint32_t number)
{
	return &cache->shards[(key_hash(pack, number) >> 16) % SHARDS];
}

static struct cached_frame **bucket_of(struct shard *shard,
		const struct pack_id *pack, uint32_t number)
		REQUIRES(shard->mutex)
{
	return &shard->buckets[key_hash(pack, number) % BUCKETS];
}

static struct cached_frame *shard_get(struct shard *shard,
		const struct pack_id *pack, uint32_t number)
		REQUIRES(shard->mutex)
{
	struct cached_frame *frame = *bucket_of(shard, pack, number);
	while (frame != NULL
			&& (frame->number != number
					|| memcmp(frame->pack.b, pack->b,
							   PACK_ID_SIZE)
							!= 0))
		frame = frame->next;
	return frame;
}

static void list_remove(struct shard *shard, struct cached_frame *frame)
		REQUIRES(shard->mutex)
{
	*(frame->newer != NULL ? &frame->newer->older : &shard->newest) =
			frame->older;
	*(frame->older != NULL ? &frame->older->newer : &shard->oldest) =
			frame->newer;
	frame->newer = frame->older = NULL;
}

static void list_push(struct shard *shard, struct cached_frame *frame)
		REQUIRES(shard->mutex)
{
	frame->older = shard->newest;
	frame->newer = NULL;
	*(shard->newest != NULL ? &shard->newest->newer : &shard->oldest) =
			frame;
	shard->newest = frame;
}

static void unhash(struct shard *shard, struct cached_frame *frame)
		REQUIRES(shard->mutex)
{
	struct cached_frame **at =
			bucket_of(shard, &frame->pack, frame->number);
	while (*at != frame)
		at = &(*at)->next;
	*at = frame->next;
	frame->hashed = false;
}

/* Takes a ready frame out; frees it unless pinned. */
static void evict(struct shard *shard, struct cached_frame *frame)
		REQUIRES(shard->mutex)
{
	unhash(shard, frame);
	list_remove(shard, frame);
	shard->bytes -= buffer_pool_capacity(frame->plain_len);
	if (frame->pins == 0)
		frame_destroy(frame);
}

static void make_room(struct shard *shard, uint32_t len) REQUIRES(shard->mutex)
{
	struct cached_frame *frame = shard->oldest;
	size_t need = buffer_pool_capacity(len);
	while (frame != NULL && shard->bytes + need > shard->bytes_max) {
		struct cached_frame *newer = frame->newer;
		if (frame->pins == 0)
			evict(shard, frame);
		frame = newer;
	}
}

/* --- decoding --- */

static struct decode_buffers *decode_buffers_take(struct frame_cache *cache,
		size_t box_size)
{
	struct decode_buffers *buffers;
	pthread_mutex_lock(&cache->idle_buffers_mutex);
	buffers = cache->idle_buffers;
	if (buffers != NULL)
		cache->idle_buffers = buffers->next;
	pthread_mutex_unlock(&cache->idle_buffers_mutex);
	if (buffers == NULL) {
		buffers = calloc(1, sizeof(*buffers));
		if (buffers == NULL)
			return NULL;
		buffers->decoder = frame_codec_decoder_new();
	}
	if (buffers->box_size < box_size) {
		free(buffers->box);
		buffers->box = malloc(box_size);
		buffers->box_size = buffers->box != NULL ? box_size : 0;
	}
	if (buffers->decoder == NULL || buffers->box == NULL) {
		decode_buffers_free(buffers);
		return NULL;
	}
	return buffers;
}

static void decode_buffers_give(struct frame_cache *cache,
		struct decode_buffers *buffers)
{
	LOCK_SCOPE(&cache->idle_buffers_mutex);
	buffers->next = cache->idle_buffers;
	cache->idle_buffers = buffers;
}

/* False without memory. */
static bool note_bad(struct cached_frame *frame, uint32_t chunk, uint32_t count)
{
	if (frame->bad == NULL)
		frame->bad = calloc(count / 8 + 1, 1);
	if (frame->bad == NULL)
		return false;
	frame->bad[chunk / 8] |= (uint8_t)(1u << chunk % 8);
	frame->public.bad = frame->bad;
	return true;
}

/* The whole chunks of the VALID bytes against their checksums. Only these can be
 * read. 0, 1: some are bad; -ENOMEM. */
static int check_chunks(const struct frame_cache *cache,
		const struct trailer *trailer, struct cached_frame *frame,
		uint32_t valid)
{
	const struct frame_entry *entry = &trailer->frames[frame->number];
	frame->public.valid = valid;
	for (uint32_t i = 0; i < entry->chunk_count; i++) {
		const struct chunk_entry *chunk =
				&trailer->chunks[entry->first_chunk + i];
		if (chunk->offset + chunk->len > valid) {
			if (chunk->checksum != 0)
				frame->public.valid = chunk->offset;
			break;
		}
		if (!checksum_fits(cache->seed, chunk,
				    frame->buffer + chunk->offset)
				&& !note_bad(frame, i, entry->chunk_count))
			return fail_no_memory("decoding a frame");
	}
	return frame->bad != NULL;
}

/* 0; 1: some chunks are bad; -errno. */
static int read_and_decode(struct frame_cache *cache, const struct pack *pack,
		uint32_t upto, struct cached_frame *frame,
		struct decode_buffers *buffers)
{
	const struct frame_entry *entry = &pack->trailer->frames[frame->number];
	uint8_t *in;
	size_t in_len;
	int err = pack_cache_read_frame(cache->packs, pack, frame->number,
			buffers->box, &in, &in_len);
	if (err < 0)
		return err;
	ssize_t valid = frame_codec_decode(buffers->decoder, entry->compression,
			frame->buffer, entry->plain_len, upto, in, in_len);
	if (valid < 0) {
		char name[PACK_NAME_SIZE];
		pack_name(name, &pack->trailer->pack);
		return fail(-EBADMSG,
				"pack %s, frame %u can't be decoded; run "
				"'amberfs repair'",
				name, frame->number);
	}
	return check_chunks(cache, pack->trailer, frame, (uint32_t)valid);
}

/* What fails is read once more: a bit that flipped in memory on the way is right
 * then, and the pack is not to blame. */
static int decode(struct frame_cache *cache, const struct pack *pack,
		uint32_t upto, struct cached_frame *frame)
{
	const struct trailer *trailer = pack->trailer;
	struct decode_buffers *buffers = decode_buffers_take(cache,
			trailer->frames[frame->number].stored_len);
	if (buffers == NULL)
		return fail_no_memory("decoding a frame");
	int err = read_and_decode(cache, pack, upto, frame, buffers);
	if (err == 1 || err == -EBADMSG) {
		free(take_ptr(frame->bad));
		frame->public.bad = NULL;
		err = read_and_decode(cache, pack, upto, frame, buffers);
	}
	decode_buffers_give(cache, buffers);
	if (err == 1 || err == -EBADMSG || err == -EIO)
		exclusions_add_damaged(pack_cache_exclusions(cache->packs),
				&trailer->pack, frame->number);
	return err < 0 ? err : 0;
}

static struct cached_frame *frame_make(struct shard *shard,
		const struct pack *pack, uint32_t number)
{
	struct cached_frame *frame = calloc(1, sizeof(*frame));
	if (frame == NULL)
		return NULL;
	frame->plain_len = pack->trailer->frames[number].plain_len;
	frame->buffer = buffer_pool_take(shard->buffers, frame->plain_len);
	if (frame->buffer == NULL) {
		free(frame);
		return NULL;
	}
	frame->public.data = frame->buffer;
	frame->shard = shard;
	frame->pack = pack->trailer->pack;
	frame->number = number;
	return frame;
}

/* Decodes a new object that is already in the hash as "loading". */
static int load(struct frame_cache *cache, struct pack *pack,
		struct cached_frame *frame, uint32_t upto)
{
	struct shard *shard = frame->shard;
	int err = decode(cache, pack, upto, frame);
	LOCK_SCOPE(&shard->mutex);
	frame->loading = false;
	pthread_cond_broadcast(&shard->loaded);
	if (err < 0) {
		unhash(shard, frame);
		frame_destroy(frame);
		return err;
	}
	shard->bytes += buffer_pool_capacity(frame->plain_len);
	list_push(shard, frame);
	return 0;
}

/* A frame that can be used at once, pinned; or a new one for the caller to
 * load (*MINE), pinned; or NULL without memory. */
static struct cached_frame *find_or_claim(struct frame_cache *cache,
		struct pack *pack, uint32_t number, uint32_t *upto, bool *mine)
{
	const struct trailer *trailer = pack->trailer;
	struct shard *shard = shard_of(cache, &trailer->pack, number);
	struct cached_frame *frame;
	*mine = false;
	LOCK_SCOPE(&shard->mutex);
	while ((frame = shard_get(shard, &trailer->pack, number)) != NULL
			&& frame->loading)
		pthread_cond_wait(&shard->loaded, &shard->mutex);
	if (frame != NULL && frame->public.valid >= *upto) {
		frame->pins++;
		if (shard->newest != frame) {
			list_remove(shard, frame);
			list_push(shard, frame);
		}
		return frame;
	}
	if (frame != NULL) {
		evict(shard, frame);
		*upto = trailer->frames[number].plain_len;
	}
	make_room(shard, trailer->frames[number].plain_len);
	frame = frame_make(shard, pack, number);
	if (frame == NULL)
		return NULL;
	frame->loading = frame->hashed = *mine = true;
	frame->pins = 1;
	struct cached_frame **bucket = bucket_of(shard, &trailer->pack, number);
	frame->next = *bucket;
	*bucket = frame;
	return frame;
}

int frame_cache_get(struct frame_cache *cache, struct pack *pack,
		uint32_t frame, uint32_t upto, struct frame **out)
{
	bool mine;
	struct cached_frame *c =
			find_or_claim(cache, pack, frame, &upto, &mine);
	if (c == NULL)
		return fail_no_memory("reading a frame");
	if (mine) {
		int err = load(cache, pack, c, upto);
		if (err < 0)
			return err;
	}
	*out = &c->public;
	return 0;
}

bool frame_cache_is_bad(const struct frame *frame, uint32_t chunk)
{
	return frame->bad != NULL
			&& (frame->bad[chunk / 8] >> chunk % 8 & 1) != 0;
}

void frame_cache_unpin(struct frame *frame)
{
	if (frame == NULL)
		return;
	struct cached_frame *c = (struct cached_frame *)frame;
	struct shard *shard = c->shard;
	LOCK_SCOPE(&shard->mutex);
	if (--c->pins == 0 && !c->hashed)
		frame_destroy(c);
}

bool frame_cache_has(struct frame_cache *cache, const struct pack *pack,
		uint32_t frame)
{
	struct shard *shard = shard_of(cache, &pack->trailer->pack, frame);
	LOCK_SCOPE(&shard->mutex);
	struct cached_frame *c = shard_get(shard, &pack->trailer->pack, frame);
	return c != NULL && (c->loading || c->public.valid == c->plain_len);
}
