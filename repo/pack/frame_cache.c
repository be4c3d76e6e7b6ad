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

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "buffer_pool.h"
#include "frame_codec.h"

#define SHARDS 16u
#define BUCKETS 256u
#define SPARE_BUFFERS ((size_t)8 << 20)

struct cached_frame {
	struct frame public;	/* first: frame_cache_unpin gets its address */
	struct shard *shard;
	struct pack_id pack;
	uint32_t number, plain_len;
	/* protected by shard->mutex */
	unsigned pins;
	bool loading, hashed;
	struct cached_frame *next;		/* in the bucket */
	struct cached_frame *newer, *older;	/* by last use */
	uint8_t *buffer;
};

struct shard {
	pthread_mutex_t mutex;
	pthread_cond_t loaded;
	/* protected by mutex */
	struct cached_frame *buckets[BUCKETS];
	struct cached_frame *newest, *oldest;
	uint64_t bytes, bytes_max;	/* of buffers */
	struct buffer_pool *buffers;	/* constant */
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
	struct shard shards[SHARDS];
	pthread_mutex_t idle_buffers_mutex;
	struct decode_buffers *idle_buffers;	/* protected by idle_buffers_mutex */
};

struct frame_cache *frame_cache_new(struct pack_cache *packs, uint64_t size)
{
	struct frame_cache *f = calloc(1, sizeof(*f));
	if (f == NULL)
		return NULL;
	f->buffers = buffer_pool_new(SPARE_BUFFERS);
	if (f->buffers == NULL) {
		free(f);
		return NULL;
	}
	f->packs = packs;
	pthread_mutex_init(&f->idle_buffers_mutex, NULL);
	for (unsigned i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&f->shards[i].mutex, NULL);
		pthread_cond_init(&f->shards[i].loaded, NULL);
		f->shards[i].bytes_max = size / SHARDS;
		f->shards[i].buffers = f->buffers;
	}
	return f;
}

static void frame_destroy(struct cached_frame *c)
{
	buffer_pool_give(c->shard->buffers, c->buffer, c->plain_len);
	free(c);
}

static void decode_buffers_free(struct decode_buffers *w)
{
	if (w == NULL)
		return;
	frame_codec_decoder_free(w->decoder);
	free(w->box);
	free(w);
}

void frame_cache_free(struct frame_cache *f)
{
	if (f == NULL)
		return;
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *s = &f->shards[i];
		while (s->newest != NULL) {
			struct cached_frame *c = s->newest;
			s->newest = c->older;
			frame_destroy(c);
		}
		pthread_mutex_destroy(&s->mutex);
		pthread_cond_destroy(&s->loaded);
	}
	while (f->idle_buffers != NULL) {
		struct decode_buffers *w = f->idle_buffers;
		f->idle_buffers = w->next;
		decode_buffers_free(w);
	}
	pthread_mutex_destroy(&f->idle_buffers_mutex);
	buffer_pool_free(f->buffers);
	free(f);
}

/* --- hash and list; shard->mutex held --- */

static uint32_t key_hash(const struct pack_id *pack, uint32_t number)
{
	return get_le32(pack->b + 4) ^ number * 2654435761u;
}

static struct shard *shard_of(
		struct frame_cache *f, const struct pack_id *pack, uint32_t number)
{
	return &f->shards[(key_hash(pack, number) >> 16) % SHARDS];
}

static struct cached_frame **bucket_of(
		struct shard *s, const struct pack_id *pack, uint32_t number)
{
	return &s->buckets[key_hash(pack, number) % BUCKETS];
}

static struct cached_frame *shard_get(
		struct shard *s, const struct pack_id *pack, uint32_t number)
{
	struct cached_frame *c = *bucket_of(s, pack, number);
	while (c && (c->number != number
			|| memcmp(c->pack.b, pack->b, PACK_ID_SIZE) != 0))
		c = c->next;
	return c;
}

static void list_remove(struct shard *s, struct cached_frame *c)
{
	*(c->newer ? &c->newer->older : &s->newest) = c->older;
	*(c->older ? &c->older->newer : &s->oldest) = c->newer;
	c->newer = c->older = NULL;
}

static void list_push(struct shard *s, struct cached_frame *c)
{
	c->older = s->newest;
	c->newer = NULL;
	*(s->newest ? &s->newest->newer : &s->oldest) = c;
	s->newest = c;
}

static void unhash(struct shard *s, struct cached_frame *c)
{
	struct cached_frame **at = bucket_of(s, &c->pack, c->number);
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->hashed = false;
}

/* Takes a ready frame out; frees it unless pinned. */
static void evict(struct shard *s, struct cached_frame *c)
{
	unhash(s, c);
	list_remove(s, c);
	s->bytes -= buffer_pool_capacity(c->plain_len);
	if (c->pins == 0)
		frame_destroy(c);
}

static void make_room(struct shard *s, uint32_t len)
{
	struct cached_frame *c = s->oldest;
	size_t need = buffer_pool_capacity(len);
	while (c != NULL && s->bytes + need > s->bytes_max) {
		struct cached_frame *newer = c->newer;
		if (c->pins == 0)
			evict(s, c);
		c = newer;
	}
}

/* --- decoding --- */

static struct decode_buffers *decode_buffers_take(struct frame_cache *f, size_t box_size)
{
	struct decode_buffers *w;
	pthread_mutex_lock(&f->idle_buffers_mutex);
	w = f->idle_buffers;
	if (w != NULL)
		f->idle_buffers = w->next;
	pthread_mutex_unlock(&f->idle_buffers_mutex);
	if (w == NULL) {
		w = calloc(1, sizeof(*w));
		if (w == NULL)
			return NULL;
		w->decoder = frame_codec_decoder_new();
	}
	if (w->box_size < box_size) {
		free(w->box);
		w->box = malloc(box_size);
		w->box_size = w->box ? box_size : 0;
	}
	if (w->decoder == NULL || w->box == NULL) {
		decode_buffers_free(w);
		return NULL;
	}
	return w;
}

static void decode_buffers_give(struct frame_cache *f, struct decode_buffers *w)
{
	LOCK_SCOPE(&f->idle_buffers_mutex);
	w->next = f->idle_buffers;
	f->idle_buffers = w;
}

static int decode(struct frame_cache *f, struct pack *pack, uint32_t number,
		uint32_t upto, struct cached_frame *c)
{
	const struct frame_entry *e = &pack->trailer->frames[number];
	struct decode_buffers *w = decode_buffers_take(f, e->stored_len);
	uint8_t *in;
	size_t in_len;
	if (w == NULL)
		return fail_errno(-ENOMEM, "decoding a frame");
	int err = pack_cache_read_frame(f->packs, pack, number, w->box, &in, &in_len);
	if (err == 0) {
		ssize_t valid = frame_codec_decode(w->decoder, e->compression,
				c->buffer, e->plain_len, upto, in, in_len);
		if (valid < 0) {
			char name[PACK_NAME_SIZE];
			pack_name(name, &pack->trailer->pack);
			err = fail(-EBADMSG, "pack %s, frame %u does not decode",
					name, number);
		} else {
			c->public.valid = (uint32_t)valid;
		}
	}
	decode_buffers_give(f, w);
	if (err == -EBADMSG || err == -EIO)
		exclusions_add_damaged(packs_exclusions(f->packs),
				&pack->trailer->pack, number);
	return err;
}

static struct cached_frame *frame_make(struct shard *s, const struct pack *pack,
		uint32_t number)
{
	struct cached_frame *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return NULL;
	c->plain_len = pack->trailer->frames[number].plain_len;
	c->buffer = buffer_pool_take(s->buffers, c->plain_len);
	if (c->buffer == NULL) {
		free(c);
		return NULL;
	}
	c->public.data = c->buffer;
	c->shard = s;
	c->pack = pack->trailer->pack;
	c->number = number;
	return c;
}

/* Decodes a new object that is already in the hash as "loading". */
static int load(struct frame_cache *f, struct pack *pack, struct cached_frame *c,
		uint32_t upto)
{
	struct shard *s = c->shard;
	int err = decode(f, pack, c->number, upto, c);
	LOCK_SCOPE(&s->mutex);
	c->loading = false;
	pthread_cond_broadcast(&s->loaded);
	if (err < 0) {
		unhash(s, c);
		frame_destroy(c);
		return err;
	}
	s->bytes += buffer_pool_capacity(c->plain_len);
	list_push(s, c);
	return 0;
}

/* A frame that can be used at once, pinned; or a new one for the caller to
 * load (*MINE), pinned; or NULL without memory. */
static struct cached_frame *find_or_claim(struct frame_cache *f, struct pack *pack,
		uint32_t number, uint32_t *upto, bool *mine)
{
	const struct trailer *t = pack->trailer;
	struct shard *s = shard_of(f, &t->pack, number);
	struct cached_frame *c;
	*mine = false;
	LOCK_SCOPE(&s->mutex);
	while ((c = shard_get(s, &t->pack, number)) != NULL && c->loading)
		pthread_cond_wait(&s->loaded, &s->mutex);
	if (c != NULL && c->public.valid >= *upto) {
		c->pins++;
		if (s->newest != c) {
			list_remove(s, c);
			list_push(s, c);
		}
		return c;
	}
	if (c != NULL) {
		evict(s, c);
		*upto = t->frames[number].plain_len;
	}
	make_room(s, t->frames[number].plain_len);
	c = frame_make(s, pack, number);
	if (c == NULL)
		return NULL;
	c->loading = c->hashed = *mine = true;
	c->pins = 1;
	struct cached_frame **bucket = bucket_of(s, &t->pack, number);
	c->next = *bucket;
	*bucket = c;
	return c;
}

int frame_cache_get(struct frame_cache *f, struct pack *pack, uint32_t frame,
		uint32_t upto, struct frame **out)
{
	bool mine;
	struct cached_frame *c = find_or_claim(f, pack, frame, &upto, &mine);
	if (c == NULL)
		return fail_errno(-ENOMEM, "reading a frame");
	if (mine) {
		int err = load(f, pack, c, upto);
		if (err < 0)
			return err;
	}
	*out = &c->public;
	return 0;
}

void frame_cache_unpin(struct frame *frame)
{
	if (frame == NULL)
		return;
	struct cached_frame *c = (struct cached_frame *)frame;
	struct shard *s = c->shard;
	LOCK_SCOPE(&s->mutex);
	if (--c->pins == 0 && !c->hashed)
		frame_destroy(c);
}

bool frame_cache_has(struct frame_cache *f, const struct pack *pack, uint32_t frame)
{
	struct shard *s = shard_of(f, &pack->trailer->pack, frame);
	LOCK_SCOPE(&s->mutex);
	struct cached_frame *c = shard_get(s, &pack->trailer->pack, frame);
	return c && (c->loading || c->public.valid == c->plain_len);
}
