/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One thread walks the trees and collects what is to be copied in batches, in
 * order; the others read and write them. A chunk that some pack which stays
 * has after all (the sink finds it) is not stored again.
 *
 * The table of wanted chunks is written before the threads begin; then the
 * walk alone changes `queued`, and the one thread that has its batch changes
 * `copied`.
 */
#include "rewrite.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/base/report.h"
#include "repo/pack/chunk_read.h"
#include "repo/pack/id_hash.h"

#define BATCH_CHUNKS 128u
#define THREADS_MAX 256u
#define WARNINGS_MAX 10u
#define KEY_SIZE 16

struct wanted {
	uint8_t key[KEY_SIZE];	/* of the id; zeros: empty */
	uint32_t pack;		/* in mark->stored */
	bool queued, copied;
};

_Static_assert(sizeof(struct wanted) * 3 / 2 <= REWRITE_CHUNK_COST,
		"a chunk's cost");

struct item {
	struct id id;
	enum pack_kind kind;
	struct wanted *wanted;
};

struct batch {
	struct batch *next;
	unsigned count;
	struct item items[BATCH_CHUNKS];
};

struct copying {
	struct rewrite *w;
	struct wanted *places;
	size_t size;
	struct batch *filling;		/* of the walk */

	pthread_mutex_t mutex;
	pthread_cond_t changed;
	/* protected by mutex */
	struct batch *first, **end;
	unsigned queued, queue_max;
	bool closed;
	struct error_copy error;	/* .err != 0: all end */
};

static int no_memory(void)
{
	return fail_errno(-ENOMEM, "copying chunks");
}

/* --- the table --- */

static struct wanted *place_of(struct copying *c, const struct id *id)
{
	size_t i = (size_t)(((unsigned __int128)id_hash(id) * c->size) >> 64);
	while (!bytes_are_zero(c->places[i].key, KEY_SIZE)
			&& memcmp(c->places[i].key, id->b, KEY_SIZE) != 0)
		i = i + 1 == c->size ? 0 : i + 1;
	return &c->places[i];
}

static int want_pack(struct copying *c, uint32_t number)
{
	struct rewrite *w = c->w;
	const struct stored_pack *p = &w->mark->stored->packs[number];
	struct trailer *t;
	int err = pack_cache_peek(w->repo->packs, &p->id, &t);
	if (err < 0)
		return err;
	for (uint32_t i = 0; i < t->chunk_count && i < p->chunks; i++) {
		if (!stored_is_live(p, i))
			continue;
		struct wanted *at = place_of(c, &t->chunks[i].id);
		memcpy(at->key, t->chunks[i].id.b, KEY_SIZE);
		at->pack = number;
		w->total += t->chunks[i].len;
	}
	trailer_free(t);
	return 0;
}

static bool is_to_copy(const struct stored_pack *p)
{
	return p->doomed && !p->spared && p->live != 0;
}

/* *COUNT: the chunks wanted. */
static int make_table(struct copying *c, uint64_t *count)
{
	struct stored *s = c->w->mark->stored;
	int err = 0;
	*count = 0;
	for (size_t i = 0; i < s->count; i++)
		if (is_to_copy(&s->packs[i]))
			*count += s->packs[i].live;
	c->size = (size_t)(*count + *count / 2 + 16);
	c->places = calloc(c->size, sizeof(*c->places));
	if (c->places == NULL)
		return no_memory();
	for (size_t i = 0; err == 0 && i < s->count; i++)
		if (is_to_copy(&s->packs[i]))
			err = want_pack(c, (uint32_t)i);
	return err;
}

/* --- the threads --- */

static void stop_with(struct copying *c, int err)
{
	struct error_copy why;
	error_save(&why, err);
	LOCK_SCOPE(&c->mutex);
	if (c->error.err == 0)
		c->error = why;
	pthread_cond_broadcast(&c->changed);
}

/* A chunk that can't be read stays where it is: what can be saved of it may be
 * saved by other means. */
static void note_failed(struct rewrite *w, int err)
{
	if (w->failed++ < WARNINGS_MAX)
		report_warning("a chunk in use can't be copied, so its pack stays: "
			       "%s",
				error_text(err));
}

/* 1 copied, 0 it can't be read, -errno nothing can be written. */
static int copy_chunk(struct rewrite *w, struct chunk_stream *stream,
		enum pack_kind kind, const struct id *id)
{
	struct frame *frame;
	const uint8_t *data;
	uint32_t len;
	int err = chunk_read(w->repo->packs, w->mark->frames, kind, id, 0,
			UINT32_MAX, &frame, &data, &len);
	if (err == -ENOMEM || err == -ECANCELED)
		return err;
	if (err < 0) {
		note_failed(w, err);
		return 0;
	}
	err = chunk_stream_put(stream, kind, id, data, len);
	frame_cache_unpin(frame);
	w->done += len;
	return err < 0 ? err : 1;
}

static int copy_batch(struct rewrite *w, struct chunk_stream *stream,
		struct batch *b)
{
	for (unsigned i = 0; i < b->count; i++) {
		struct item *it = &b->items[i];
		if (interrupt_flag)
			return fail(-ECANCELED, "interrupted");
		int err = copy_chunk(w, stream, it->kind, &it->id);
		if (err < 0)
			return err;
		it->wanted->copied = err == 1;
	}
	return 0;
}

/* NULL: that was all. */
static struct batch *next_batch(struct copying *c)
{
	LOCK_SCOPE(&c->mutex);
	while (c->first == NULL && !c->closed && c->error.err == 0)
		pthread_cond_wait(&c->changed, &c->mutex);
	struct batch *b = c->error.err ? NULL : c->first;
	if (b == NULL)
		return NULL;
	c->first = b->next;
	if (c->first == NULL)
		c->end = &c->first;
	c->queued--;
	pthread_cond_broadcast(&c->changed);
	return b;
}

static void *copier(void *arg)
{
	struct copying *c = arg;
	struct chunk_stream *stream = NULL;
	struct batch *b;
	int err = chunk_stream_new(c->w->sink, &stream);
	while (err == 0 && (b = next_batch(c)) != NULL) {
		err = copy_batch(c->w, stream, b);
		free(b);
	}
	if (err == 0)
		err = chunk_stream_flush(stream);
	if (err < 0)
		stop_with(c, err);
	chunk_stream_free(stream);
	return NULL;
}

/* --- the walk --- */

static int submit(struct copying *c)
{
	struct batch *b = take_ptr(c->filling);
	if (b == NULL)
		return 0;
	LOCK_SCOPE(&c->mutex);
	while (c->queued >= c->queue_max && c->error.err == 0)
		pthread_cond_wait(&c->changed, &c->mutex);
	if (c->error.err != 0) {
		free(b);
		return error_load(&c->error);
	}
	*c->end = b;
	c->end = &b->next;
	c->queued++;
	pthread_cond_broadcast(&c->changed);
	return 0;
}

static int visit(struct copying *c, enum pack_kind kind, const struct id *id)
{
	struct wanted *at = place_of(c, id);
	if (at->queued || bytes_are_zero(at->key, KEY_SIZE))
		return 0;
	if (c->filling == NULL)
		c->filling = calloc(1, sizeof(*c->filling));
	if (c->filling == NULL)
		return no_memory();
	at->queued = true;
	c->filling->items[c->filling->count++] =
			(struct item){ .id = *id, .kind = kind, .wanted = at };
	return c->filling->count == BATCH_CHUNKS ? submit(c) : 0;
}

static int visit_node(void *ctx, const struct id *id)
{
	return visit(ctx, PACK_TREE, id);
}

static int visit_chunk(void *ctx, const struct id *id)
{
	return visit(ctx, PACK_DATA, id);
}

static int walk(struct copying *c)
{
	const struct mark_visitor v = { .node = visit_node,
		.chunk = visit_chunk, .ctx = c };
	int err = mark_revisit(c->w->mark, &v);
	if (err == 0)
		err = submit(c);
	if (err < 0)
		stop_with(c, err);
	LOCK_SCOPE(&c->mutex);
	c->closed = true;
	pthread_cond_broadcast(&c->changed);
	return err;
}

static int run(struct copying *c)
{
	pthread_t threads[THREADS_MAX];
	unsigned started = 0, jobs = c->w->jobs < THREADS_MAX ? c->w->jobs
							     : THREADS_MAX;
	c->end = &c->first;
	c->queue_max = 2 * jobs;
	pthread_mutex_init(&c->mutex, NULL);
	pthread_cond_init(&c->changed, NULL);
	while (started < jobs
			&& pthread_create(&threads[started], NULL, copier, c)
					== 0)
		started++;
	if (started == 0)
		stop_with(c, no_memory());
	walk(c);
	while (started > 0)
		pthread_join(threads[--started], NULL);
	pthread_mutex_destroy(&c->mutex);
	pthread_cond_destroy(&c->changed);
	return c->error.err ? error_load(&c->error) : 0;
}

/* --- the whole --- */

static int open_sink(struct rewrite *w)
{
	struct repository *r = w->repo;
	if (w->sink != NULL)
		return 0;
	const struct pack_target target = { .store = r->store, .seal = r->seal,
		.config = &r->config, .session = w->own_id };
	return chunk_sink_new(&w->sink, &target, r->packs, r->index,
			r->config.zstd_level);
}

static void close_sink(struct rewrite *w)
{
	struct chunk_sink_stats st = { .stored_bytes = 0 };
	if (w->sink == NULL)
		return;
	chunk_stream_free(take_ptr(w->stream));
	chunk_sink_stats(w->sink, &st);
	w->written_bytes += st.stored_bytes;
	chunk_sink_free(take_ptr(w->sink));
}

static void spare_uncopied(struct copying *c)
{
	for (size_t i = 0; i < c->size; i++) {
		const struct wanted *k = &c->places[i];
		if (!k->copied && !bytes_are_zero(k->key, KEY_SIZE))
			c->w->mark->stored->packs[k->pack].spared = true;
	}
}

static void spare_all(struct stored *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (is_to_copy(&s->packs[i]))
			s->packs[i].spared = true;
}

static void free_queue(struct copying *c)
{
	free(c->filling);
	while (c->first != NULL) {
		struct batch *b = c->first;
		c->first = b->next;
		free(b);
	}
	free(c->places);
}

int rewrite_doomed(struct rewrite *w)
{
	struct copying c = { .w = w };
	uint64_t count;
	w->done = w->total = 0;
	int err = make_table(&c, &count);
	if (err == 0 && count != 0) {
		err = open_sink(w);
		if (err == 0)
			err = run(&c);
		if (err == 0)
			err = chunk_sink_barrier(w->sink, false);
	}
	if (err == 0)
		spare_uncopied(&c);
	free_queue(&c);
	if (err == -ENOSPC || err == -EDQUOT) {
		close_sink(w);
		spare_all(w->mark->stored);
	}
	return err;
}

/* --- what is new --- */

static int ensure(struct rewrite *w, enum pack_kind kind, const struct id *id)
{
	struct chunk_place place;
	int err = pack_cache_find(w->repo->packs, kind, id, &place);
	if (err == 1)
		pack_cache_release(place.pack);
	if (err != 0)
		return err < 0 ? err : 0;
	err = open_sink(w);
	if (err == 0 && w->stream == NULL)
		err = chunk_stream_new(w->sink, &w->stream);
	if (err < 0)
		return err;
	err = copy_chunk(w, w->stream, kind, id);
	if (err == 0)
		err = fail(-EBADMSG, "a chunk of a new snapshot can't be read; what "
				   "is condemned stays for the next run");
	return err < 0 ? err : 0;
}

static int ensure_node(void *ctx, const struct id *id)
{
	return ensure(ctx, PACK_TREE, id);
}

static int ensure_chunk(void *ctx, const struct id *id)
{
	return ensure(ctx, PACK_DATA, id);
}

int rewrite_unseen(struct rewrite *w)
{
	const struct mark_visitor v = { .node = ensure_node,
		.chunk = ensure_chunk, .ctx = w };
	int err = mark_unseen(w->mark, &v);
	if (err == 0 && w->stream != NULL)
		err = chunk_stream_flush(w->stream);
	if (err == 0 && w->sink != NULL)
		err = chunk_sink_barrier(w->sink, true);
	return err;
}

void rewrite_clear(struct rewrite *w)
{
	close_sink(w);
}
