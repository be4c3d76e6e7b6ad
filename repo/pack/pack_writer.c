/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From chunks to durable packs.
 *
 * A worker's stream collects new chunks in a plain frame, compresses it, and
 * then takes a ticket (the frame's number and place) in the open pack of its
 * kind. It seals the frame with that place as associated data and writes it
 * when its turn comes, so that a pack is written front to back and its checksum
 * needs no second reading. A pack that is full is closed; after its last
 * frame is written it goes to the sealer thread, which adds the trailer and
 * makes it durable while the workers go on with the next one.
 *
 *	open → closed (no more tickets) → complete (all written) → sealed
 *
 * New ids are in `fresh` from the moment a worker claims one until the index
 * knows the sealed pack: two workers never store the same chunk twice. From the
 * claim to the end of the put the stream's own mutex is held, so the barrier,
 * which takes each stream's in turn to end its frames, finds every claimed
 * chunk in a frame.
 *
 * Order of locks: streams_mutex, a stream's, the sink's.
 *
 * A tree pack that fills in the middle of a run is sealed behind the data packs
 * closed before it, not behind chunks that still wait in a worker's open
 * frame. That is harmless: no reader comes to a node but from a snapshot, no
 * writer takes a node's chunks for granted because the node exists, and a
 * snapshot is written only after chunk_sink_barrier.
 */
#include "pack_writer.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "frame_codec.h"
#include "id_set.h"

/* Packs waiting for the sealer before workers wait too. */
#define UNSEALED_MAX 2
/* Chunks in sealed packs that the index gets in one go. */
#define INDEX_BATCH (128u << 10)
/* Chunks that are remembered while the index can't be given them, some 100
 * bytes each. Beyond that the oldest are forgotten: found again, they are
 * stored twice. */
#define UNINDEXED_MAX (4u << 20)

/* A pack being written. */
struct open_pack {
	struct store_put *put;
	struct trailer trailer;
	uint32_t frames_room, chunks_room;
	uint64_t size;		/* tickets given out up to here */
	/* protected by sink->mutex */
	uint32_t next_write;	/* the frame whose turn it is */
	bool closed;
	uint64_t closing_number;	/* packs are counted as they close */
	XXH3_state_t *checksum;	/* of what is written; by turn */
	struct open_pack *next;	/* in the sealer's queue, or in `closing` */
};

struct chunk_sink {
	struct store *store;
	const struct seal *seal;
	const struct config *config;
	struct packs *packs;
	struct index *index;
	int zstd_level;
	const char *session;	/* the writer's id; outlives the sink */

	pthread_mutex_t mutex;
	pthread_cond_t changed;	/* turns, queue, errors */
	/* all below protected by mutex */
	struct open_pack *open[3];	/* by pack kind */
	struct open_pack *closing;	/* closed, not complete */
	struct open_pack *queue, **queue_end;
	struct open_pack *sealing;	/* out of the queue, in the sealer */
	unsigned unsealed;		/* closed but not sealed */
	uint64_t closed_count;		/* so far */
	bool stop;
	struct error_copy error;	/* .err != 0: sticky */
	struct id_set *fresh;
	struct index_pack *unindexed;
	size_t unindexed_count, unindexed_room;
	uint64_t unindexed_chunks;
	uint64_t feed_at;		/* of those, so many: time to feed */
	struct id **unindexed_ids;	/* beside unindexed: their full ids */
	bool feeding;			/* the index is being given some */
	struct chunk_sink_stats stats;
	struct error_copy index_error;	/* .err != 0: the index lags */

	pthread_mutex_t streams_mutex;
	struct chunk_stream *streams;	/* protected by streams_mutex */

	pthread_t sealer;
	bool sealer_started;
};

/* A frame under construction. */
struct open_frame {
	uint8_t *plain;
	uint32_t len, room;
	struct chunk_entry *chunks;
	uint32_t count, chunks_room;
};

struct chunk_stream {
	struct chunk_sink *sink;
	struct chunk_stream *next;	/* protected by sink->streams_mutex */
	struct chunk_sink_stats stats;	/* protected by sink->mutex */
	pthread_mutex_t mutex;
	/* all below protected by mutex */
	struct frame_encoder *encoder;
	struct open_frame frames[3];	/* by pack kind */
	uint8_t *box;			/* nonce, compressed, tag */
	size_t box_room;
};

/* --- errors --- */

/* Remembers the first failure, with mutex held; returns it. */
static int stick(struct chunk_sink *s, int err)
{
	if (s->error.err == 0)
		error_save(&s->error, err);
	pthread_cond_broadcast(&s->changed);
	return err;
}

static int stuck(struct chunk_sink *s)
{
	return s->error.err ? error_load(&s->error) : 0;
}

/* --- packs --- */

static void open_pack_free(struct open_pack *k)
{
	if (k == NULL)
		return;
	store_put_abort(k->put);
	free(k->trailer.frames);
	free(k->trailer.chunks);
	XXH3_freeState(k->checksum);
	free(k);
}

/* Every byte of a pack passes here, in order. */
static int pack_append(struct open_pack *k, const void *data, size_t len)
{
	XXH3_128bits_update(k->checksum, data, len);
	return store_put_write(k->put, data, len);
}

static int open_pack_new(struct chunk_sink *s, enum pack_kind kind,
		struct open_pack **out)
{
	uint8_t header[PACK_HEADER_SIZE];
	char name[PACK_NAME_SIZE];
	struct open_pack *k = calloc(1, sizeof(*k));
	if (k == NULL)
		return fail_errno(-ENOMEM, "starting a pack");
	pack_id_make(&k->trailer.pack, s->session);
	k->trailer.kind = kind;
	k->checksum = XXH3_createState();
	pack_name(name, &k->trailer.pack);
	int r = k->checksum ? store_put_begin(s->store, &k->put, name)
			    : fail_errno(-ENOMEM, "starting a pack");
	if (r == 0) {
		XXH3_128bits_reset(k->checksum);
		pack_header_encode(header, s->config->repo_id, kind,
				s->config->encrypted);
		r = pack_append(k, header, sizeof(header));
	}
	if (r < 0) {
		open_pack_free(k);
		return r;
	}
	k->size = PACK_HEADER_SIZE;
	*out = k;
	return 0;
}

static int grow(void **array, uint32_t *room, uint32_t need, size_t size)
{
	if (need <= *room)
		return 0;
	uint32_t more = *room ? 2 * *room : 1024;
	while (more < need)
		more *= 2;
	void *bigger = realloc(*array, more * size);
	if (bigger == NULL)
		return fail_errno(-ENOMEM, "writing a pack");
	*array = bigger;
	*room = more;
	return 0;
}

/* Gives FRAME (compressed to LEN bytes of box) the next place in the pack. */
static int take_ticket(struct open_pack *k, const struct open_frame *frame,
		size_t box_len, enum frame_compression compression,
		uint32_t *number)
{
	struct trailer *t = &k->trailer;
	int r = grow((void **)&t->frames, &k->frames_room, t->frame_count + 1,
			sizeof(*t->frames));
	if (r == 0)
		r = grow((void **)&t->chunks, &k->chunks_room,
				t->chunk_count + frame->count,
				sizeof(*t->chunks));
	if (r < 0)
		return r;
	*number = t->frame_count++;
	t->frames[*number] = (struct frame_entry){ .offset = k->size,
		.stored_len = (uint32_t)box_len,
		.plain_len = frame->len,
		.first_chunk = t->chunk_count,
		.chunk_count = frame->count,
		.compression = compression };
	for (uint32_t i = 0; i < frame->count; i++) {
		struct chunk_entry *c = &t->chunks[t->chunk_count++];
		*c = frame->chunks[i];
		c->frame = *number;
	}
	k->size += box_len;
	return 0;
}

static bool pack_is_full(const struct chunk_sink *s, const struct open_pack *k)
{
	/* The next frame must fit whatever it holds. */
	return k->size >= s->config->pack_size
			|| k->trailer.frame_count == PACK_FRAMES_MAX
			|| k->trailer.chunk_count
					> PACK_CHUNKS_MAX - FRAME_CHUNKS_MAX;
}

/* Moves K to the sealer's queue once it is closed and complete; mutex held. */
static void queue_if_complete(struct chunk_sink *s, struct open_pack *k)
{
	if (!k->closed || k->next_write != k->trailer.frame_count)
		return;
	struct open_pack **at = &s->closing;
	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
	k->next = NULL;
	*s->queue_end = k;
	s->queue_end = &k->next;
	pthread_cond_broadcast(&s->changed);
}

/* No more tickets for the open pack of KIND; mutex held. */
static void close_pack(struct chunk_sink *s, enum pack_kind kind)
{
	struct open_pack *k = s->open[kind];
	if (k == NULL)
		return;
	s->open[kind] = NULL;
	k->closed = true;
	k->closing_number = ++s->closed_count;
	k->next = s->closing;
	s->closing = k;
	s->unsealed++;
	queue_if_complete(s, k);
}

/* --- the sealer --- */

static int write_trailer(struct chunk_sink *s, struct open_pack *k)
{
	const struct trailer *t = &k->trailer;
	CLEANUP_FREE uint8_t *plain = NULL;
	CLEANUP_FREE uint8_t *box = NULL;
	uint8_t ad[PACK_AD_SIZE], footer[PACK_FOOTER_SIZE];
	size_t len;
	int r = trailer_encode(t, &plain, &len);
	if (r < 0)
		return fail_errno(r, "ending a pack");
	box = malloc(len + SEAL_OVERHEAD);
	if (box == NULL)
		return fail_errno(-ENOMEM, "ending a pack");
	pack_ad(ad, s->config->repo_id, &t->pack, t->kind, TRAILER_AD);
	seal_box(s->seal, t->kind == PACK_TREE ? SEAL_TREE : SEAL_DATA, box,
			plain, len, ad, sizeof(ad));
	r = pack_append(k, box, len + SEAL_OVERHEAD);
	pack_footer_encode(footer, (uint32_t)(len + SEAL_OVERHEAD));
	size_t head = PACK_FOOTER_SIZE - PACK_CHECKSUM_SIZE;
	if (r == 0)
		r = pack_append(k, footer, head);
	if (r < 0)
		return r;
	XXH128_canonicalFromHash((XXH128_canonical_t *)(footer + head),
			XXH3_128bits_digest(k->checksum));
	k->size += len + SEAL_OVERHEAD + PACK_FOOTER_SIZE;
	return store_put_write(k->put, footer + head, PACK_CHECKSUM_SIZE);
}

/* Prepares what the index and `fresh` need to know of the sealed pack. */
static int note_unindexed(struct chunk_sink *s, const struct trailer *t)
{
	if (s->unindexed_count == s->unindexed_room) {
		size_t room = s->unindexed_room ? 2 * s->unindexed_room : 16;
		void *a = realloc(s->unindexed, room * sizeof(*s->unindexed));
		if (a != NULL)
			s->unindexed = a;
		void *b = realloc(s->unindexed_ids,
				room * sizeof(*s->unindexed_ids));
		if (b != NULL)
			s->unindexed_ids = b;
		if (a == NULL || b == NULL)
			return -ENOMEM;
		s->unindexed_room = room;
	}
	uint64_t *prefixes = malloc((t->chunk_count + 1) * sizeof(*prefixes));
	struct id *ids = malloc((t->chunk_count + 1) * sizeof(*ids));
	if (prefixes == NULL || ids == NULL) {
		free(prefixes);
		free(ids);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < t->chunk_count; i++) {
		ids[i] = t->chunks[i].id;
		prefixes[i] = id_prefix(&ids[i]);
	}
	s->unindexed_ids[s->unindexed_count] = ids;
	s->unindexed[s->unindexed_count++] = (struct index_pack){
		.pack = t->pack, .kind = t->kind, .count = t->chunk_count,
		.prefixes = prefixes
	};
	s->unindexed_chunks += t->chunk_count;
	return 0;
}

static void forget_unindexed(struct chunk_sink *s, size_t count, bool from_fresh)
{
	if (count == 0)
		return;
	for (size_t i = 0; i < count; i++) {
		struct index_pack *k = &s->unindexed[i];
		for (uint32_t c = 0; from_fresh && c < k->count; c++)
			id_set_remove(s->fresh, &s->unindexed_ids[i][c]);
		s->unindexed_chunks -= k->count;
		free(k->prefixes);
		free(s->unindexed_ids[i]);
	}
	s->unindexed_count -= count;
	memmove(s->unindexed, s->unindexed + count,
			s->unindexed_count * sizeof(*s->unindexed));
	memmove(s->unindexed_ids, s->unindexed_ids + count,
			s->unindexed_count * sizeof(*s->unindexed_ids));
}

/* Gives the sealed packs to the index. A held lock or a failing index only
 * delays that: the next session's reconciliation finds the packs. Called by
 * the sealer and by barriers, one at a time; mutex held. */
static void feed_index(struct chunk_sink *s)
{
	while (s->feeding)
		pthread_cond_wait(&s->changed, &s->mutex);
	size_t count = s->unindexed_count;
	struct index_pack *copy = malloc((count + 1) * sizeof(*copy));
	if (count == 0 || copy == NULL) {
		free(copy);
		return;
	}
	memcpy(copy, s->unindexed, count * sizeof(*copy));
	s->feeding = true;
	pthread_mutex_unlock(&s->mutex);
	int r = index_add(s->index, copy, count);
	free(copy);
	pthread_mutex_lock(&s->mutex);
	s->feeding = false;
	pthread_cond_broadcast(&s->changed);
	error_save(&s->index_error, r);
	if (r == 0)
		forget_unindexed(s, count, true);
	while (s->unindexed_chunks > UNINDEXED_MAX)
		forget_unindexed(s, 1, true);
	/* An index that can't be had (its lock is waited for) must not be asked
	 * at every pack. */
	s->feed_at = s->unindexed_chunks + INDEX_BATCH;
}

/* Trailer, fsync, name: after this the pack is durable. */
static int seal_pack(struct chunk_sink *s, struct open_pack *k)
{
	int r = write_trailer(s, k);
	if (r < 0)
		return r;
	r = store_put_commit(take_ptr(k->put), true);
	if (r < 0)
		return r;
	struct trailer *t = malloc(sizeof(*t));
	LOCK_SCOPE(&s->mutex);
	s->stats.stored_bytes += k->size;
	if (t == NULL || note_unindexed(s, &k->trailer) < 0) {
		free(t);
		return fail_errno(-ENOMEM, "ending a pack");
	}
	*t = k->trailer;
	k->trailer.frames = NULL;
	k->trailer.chunks = NULL;
	packs_adopt(s->packs, t);
	return 0;
}

static void *sealer_main(void *arg)
{
	struct chunk_sink *s = arg;
	pthread_mutex_lock(&s->mutex);
	for (;;) {
		while (s->queue == NULL && !s->stop)
			pthread_cond_wait(&s->changed, &s->mutex);
		struct open_pack *k = s->queue;
		if (k == NULL)
			break;
		s->queue = k->next;
		if (s->queue == NULL)
			s->queue_end = &s->queue;
		s->sealing = k;
		int r = s->error.err;
		if (r == 0) {
			pthread_mutex_unlock(&s->mutex);
			r = seal_pack(s, k);
			pthread_mutex_lock(&s->mutex);
			if (r < 0)
				stick(s, r);
		}
		s->sealing = NULL;
		open_pack_free(k);
		if (r == 0 && s->unindexed_chunks >= s->feed_at)
			feed_index(s);
		s->unsealed--;
		pthread_cond_broadcast(&s->changed);
	}
	pthread_mutex_unlock(&s->mutex);
	return NULL;
}

/* --- the sink --- */

int chunk_sink_new(struct chunk_sink **out, struct store *store,
		const struct seal *seal, const struct config *config,
		struct packs *packs, struct index *index, int zstd_level,
		const char *session)
{
	struct chunk_sink *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return fail_errno(-ENOMEM, "starting to write");
	s->store = store;
	s->seal = seal;
	s->config = config;
	s->packs = packs;
	s->index = index;
	s->zstd_level = zstd_level;
	s->session = session;
	s->queue_end = &s->queue;
	s->feed_at = INDEX_BATCH;
	pthread_mutex_init(&s->mutex, NULL);
	pthread_mutex_init(&s->streams_mutex, NULL);
	pthread_cond_init(&s->changed, NULL);
	s->fresh = id_set_new();
	if (s->fresh == NULL
			|| pthread_create(&s->sealer, NULL, sealer_main, s)) {
		chunk_sink_free(s);
		return fail_errno(-ENOMEM, "starting to write");
	}
	s->sealer_started = true;
	*out = s;
	return 0;
}

void chunk_sink_free(struct chunk_sink *s)
{
	if (s == NULL)
		return;
	if (s->sealer_started) {
		pthread_mutex_lock(&s->mutex);
		s->stop = true;
		pthread_cond_broadcast(&s->changed);
		pthread_mutex_unlock(&s->mutex);
		pthread_join(s->sealer, NULL);
	}
	open_pack_free(s->open[PACK_DATA]);
	open_pack_free(s->open[PACK_TREE]);
	while (s->closing != NULL) { /* after a failed write */
		struct open_pack *k = s->closing;
		s->closing = k->next;
		open_pack_free(k);
	}
	forget_unindexed(s, s->unindexed_count, false);
	free(s->unindexed);
	free(s->unindexed_ids);
	id_set_free(s->fresh);
	pthread_mutex_destroy(&s->mutex);
	pthread_mutex_destroy(&s->streams_mutex);
	pthread_cond_destroy(&s->changed);
	free(s);
}

void chunk_sink_stats(struct chunk_sink *s, struct chunk_sink_stats *out)
{
	LOCK_SCOPE(&s->mutex);
	*out = s->stats;
}

bool chunk_sink_failed(struct chunk_sink *s)
{
	LOCK_SCOPE(&s->mutex);
	return s->error.err != 0;
}

int chunk_sink_index_error(struct chunk_sink *s)
{
	LOCK_SCOPE(&s->mutex);
	return s->index_error.err ? error_load(&s->index_error) : 0;
}

/* True if a pack that was closed as number UPTO or before is not sealed yet;
 * mutex held. */
static bool any_unsealed(const struct chunk_sink *s, uint64_t upto)
{
	const struct open_pack *const lists[] = { s->sealing, s->queue,
		s->closing };
	if (s->sealing != NULL && s->sealing->closing_number <= upto)
		return true;
	for (size_t i = 1; i < sizeof(lists) / sizeof(lists[0]); i++)
		for (const struct open_pack *k = lists[i]; k; k = k->next)
			if (k->closing_number <= upto)
				return true;
	return false;
}

/* Closes KIND's pack and waits until all that are closed by now are sealed;
 * mutex held. */
static int seal_all(struct chunk_sink *s, enum pack_kind kind)
{
	close_pack(s, kind);
	uint64_t upto = s->closed_count;
	while (any_unsealed(s, upto) && s->error.err == 0)
		pthread_cond_wait(&s->changed, &s->mutex);
	return stuck(s);
}

/* Ends the open frames of all streams of the sink. */
static int flush_streams(struct chunk_sink *s)
{
	int r = 0;
	LOCK_SCOPE(&s->streams_mutex);
	for (struct chunk_stream *st = s->streams; r == 0 && st != NULL;
			st = st->next)
		r = chunk_stream_flush(st);
	return r;
}

int chunk_sink_barrier(struct chunk_sink *s, bool last)
{
	int r = flush_streams(s);
	LOCK_SCOPE(&s->mutex);
	if (r == 0)
		r = stuck(s);
	/* 1 data packs durable */
	if (r == 0)
		r = seal_all(s, PACK_DATA);
	/* 2 tree packs durable */
	if (r == 0)
		r = seal_all(s, PACK_TREE);
	if (r == 0 && (last || s->unindexed_chunks >= s->feed_at))
		feed_index(s);
	return r;
}

/* --- streams --- */

static void enlist(struct chunk_stream *st)
{
	LOCK_SCOPE(&st->sink->streams_mutex);
	st->next = st->sink->streams;
	st->sink->streams = st;
}

static void unlist(struct chunk_stream *st)
{
	LOCK_SCOPE(&st->sink->streams_mutex);
	struct chunk_stream **at = &st->sink->streams;
	while (*at != st)
		at = &(*at)->next;
	*at = st->next;
}

int chunk_stream_new(struct chunk_sink *s, struct chunk_stream **out)
{
	struct chunk_stream *st = calloc(1, sizeof(*st));
	if (st == NULL)
		return fail_errno(-ENOMEM, "starting to write");
	st->sink = s;
	pthread_mutex_init(&st->mutex, NULL);
	uint32_t room = s->config->frame_size + s->config->chunk_max;
	if (room < LEAF_SIZE_MAX + s->config->frame_size)
		room = LEAF_SIZE_MAX + s->config->frame_size;
	st->box_room = frame_encode_bound(room) + SEAL_OVERHEAD;
	st->box = malloc(st->box_room);
	st->encoder = frame_encoder_new(s->zstd_level);
	bool ok = st->box && st->encoder;
	for (enum pack_kind k = PACK_DATA; k <= PACK_TREE; k++) {
		struct open_frame *f = &st->frames[k];
		f->room = room;
		f->plain = malloc(room);
		f->chunks_room = FRAME_CHUNKS_MAX;
		f->chunks = malloc(FRAME_CHUNKS_MAX * sizeof(*f->chunks));
		ok = ok && f->plain && f->chunks;
	}
	enlist(st);
	if (!ok) {
		chunk_stream_free(st);
		return fail_errno(-ENOMEM, "starting to write");
	}
	*out = st;
	return 0;
}

void chunk_stream_free(struct chunk_stream *st)
{
	if (st == NULL)
		return;
	unlist(st);
	pthread_mutex_destroy(&st->mutex);
	frame_encoder_free(st->encoder);
	free(st->box);
	for (enum pack_kind k = PACK_DATA; k <= PACK_TREE; k++) {
		free(st->frames[k].plain);
		free(st->frames[k].chunks);
	}
	free(st);
}

/* The open pack of KIND with room for another frame; mutex held (and dropped
 * while waiting for the sealer). */
static int pack_for(struct chunk_sink *s, enum pack_kind kind,
		struct open_pack **out)
{
	for (;;) {
		int r = stuck(s);
		if (r < 0)
			return r;
		if (s->open[kind] != NULL && pack_is_full(s, s->open[kind])) {
			if (kind == PACK_TREE)
				close_pack(s, PACK_DATA);
			close_pack(s, kind);
		}
		if (s->unsealed <= UNSEALED_MAX)
			break;
		pthread_cond_wait(&s->changed, &s->mutex);
	}
	int r = s->open[kind] ? 0 : open_pack_new(s, kind, &s->open[kind]);
	*out = s->open[kind];
	return r;
}

/* Seals and writes the compressed frame in st->box when its turn comes. */
static int write_in_turn(struct chunk_stream *st, struct open_pack *k,
		uint32_t number, size_t len)
{
	struct chunk_sink *s = st->sink;
	uint8_t ad[PACK_AD_SIZE];
	enum pack_kind kind = k->trailer.kind;
	pack_ad(ad, s->config->repo_id, &k->trailer.pack, kind, number);
	seal_box(s->seal, kind == PACK_TREE ? SEAL_TREE : SEAL_DATA, st->box,
			st->box + SEAL_NONCE_SIZE, len, ad, sizeof(ad));
	pthread_mutex_lock(&s->mutex);
	while (k->next_write != number && s->error.err == 0)
		pthread_cond_wait(&s->changed, &s->mutex);
	int r = stuck(s);
	pthread_mutex_unlock(&s->mutex);
	if (r == 0)
		r = pack_append(k, st->box, len + SEAL_OVERHEAD);
	LOCK_SCOPE(&s->mutex);
	if (r < 0)
		return stick(s, r);
	k->next_write++;
	queue_if_complete(s, k);
	pthread_cond_broadcast(&s->changed);
	return 0;
}

static int flush_frame(struct chunk_stream *st, enum pack_kind kind)
{
	struct chunk_sink *s = st->sink;
	struct open_frame *f = &st->frames[kind];
	struct open_pack *k;
	enum frame_compression compression;
	uint32_t number = 0;
	if (f->count == 0)
		return 0;
	size_t len = frame_encode(st->encoder, st->box + SEAL_NONCE_SIZE,
			f->plain, f->len, &compression);
	pthread_mutex_lock(&s->mutex);
	int r = pack_for(s, kind, &k);
	if (r == 0)
		r = take_ticket(k, f, len + SEAL_OVERHEAD, compression,
				&number);
	if (r < 0)
		stick(s, r);
	else
		st->stats.stored_bytes += len + SEAL_OVERHEAD;
	pthread_mutex_unlock(&s->mutex);
	f->len = f->count = 0;
	return r < 0 ? r : write_in_turn(st, k, number, len);
}

static void count_chunk(struct chunk_sink_stats *stats, bool known,
		uint32_t len)
{
	if (known) {
		stats->known_bytes += len;
		return;
	}
	stats->new_bytes += len;
	stats->new_chunks++;
}

/* 1: this stream is the first to have the id and must store it. */
static int claim(struct chunk_stream *st, enum pack_kind kind,
		const struct id *id, uint32_t len)
{
	struct chunk_sink *s = st->sink;
	struct chunk_place place;
	pthread_mutex_lock(&s->mutex);
	int r = stuck(s);
	bool known = r == 0 && id_set_contains(s->fresh, id);
	pthread_mutex_unlock(&s->mutex);
	if (r < 0)
		return r;
	if (!known) {
		r = packs_find(s->packs, kind, id, &place);
		if (r < 0)
			return r;
		known = r == 1;
		if (known)
			packs_release(place.pack);
	}
	LOCK_SCOPE(&s->mutex);
	if (!known) {
		r = id_set_add(s->fresh, id);
		if (r < 0)
			return stick(s, fail_errno(r, "remembering new chunks"));
		known = r == 0;
	}
	if (kind == PACK_DATA) {
		count_chunk(&s->stats, known, len);
		count_chunk(&st->stats, known, len);
	}
	return known ? 0 : 1;
}

int chunk_stream_put(struct chunk_stream *st, enum pack_kind kind,
		const struct id *id, const void *data, uint32_t len)
{
	struct open_frame *f = &st->frames[kind];
	LOCK_SCOPE(&st->mutex);
	int r = claim(st, kind, id, len);
	if (r <= 0)
		return r;
	if (f->count != 0 && f->len + len > st->sink->config->frame_size) {
		r = flush_frame(st, kind);
		if (r < 0)
			return r;
	}
	memcpy(f->plain + f->len, data, len);
	f->chunks[f->count++] = (struct chunk_entry){ .id = *id,
		.offset = f->len, .len = len };
	f->len += len;
	if (f->len >= st->sink->config->frame_size
			|| f->count == FRAME_CHUNKS_MAX)
		return flush_frame(st, kind);
	return 0;
}

int chunk_stream_flush(struct chunk_stream *st)
{
	LOCK_SCOPE(&st->mutex);
	int r = flush_frame(st, PACK_DATA);
	return r < 0 ? r : flush_frame(st, PACK_TREE);
}

void chunk_stream_stats(struct chunk_stream *st, struct chunk_sink_stats *out)
{
	LOCK_SCOPE(&st->sink->mutex);
	*out = st->stats;
}
