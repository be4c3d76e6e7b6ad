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

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/base/report.h"
#include "repo/format/checksum.h"
#include "repo/pack/chunk_read.h"
#include "repo/pack/id_hash.h"

#define BATCH_CHUNKS 128u
#define THREADS_MAX 256u
#define WARNINGS_MAX 10u
#define KEY_SIZE 16

struct wanted {
	uint8_t key[KEY_SIZE]; /* of the id; zeros: empty */
	uint32_t pack;	       /* in mark->stored */
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
	struct rewrite *rewrite;
	struct wanted *places;
	size_t size;
	struct batch *filling; /* of the walk */

	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct batch *first GUARDED_BY(mutex);
	struct batch **end GUARDED_BY(mutex);
	unsigned queued GUARDED_BY(mutex);
	unsigned queue_max; /* constant */
	bool closed GUARDED_BY(mutex);
	struct error_copy error GUARDED_BY(mutex); /* .err != 0: all end */
};

/* --- the table --- */

static struct wanted *place_of(struct copying *copying, const struct id *id)
{
	size_t i = (size_t)(((unsigned __int128)id_hash(id) * copying->size)
			>> 64);
	while (!bytes_are_zero(copying->places[i].key, KEY_SIZE)
			&& memcmp(copying->places[i].key, id->b, KEY_SIZE) != 0)
		i = i + 1 == copying->size ? 0 : i + 1;
	return &copying->places[i];
}

static int want_pack(struct copying *copying, uint32_t number)
{
	struct rewrite *rewrite = copying->rewrite;
	const struct stored *stored = rewrite->mark->stored;
	const struct stored_pack *pack = &stored->packs[number];
	struct trailer *trailer;
	int err = pack_cache_peek(rewrite->repo->packs, &pack->id, &trailer);
	if (err < 0)
		return err;
	for (uint32_t i = 0; i < trailer->chunk_count && i < pack->chunks;
			i++) {
		if (!stored_is_live(pack, i))
			continue;
		struct wanted *wanted =
				place_of(copying, &trailer->chunks[i].id);
		memcpy(wanted->key, trailer->chunks[i].id.b, KEY_SIZE);
		wanted->pack = number;
		rewrite->total += trailer->chunks[i].len;
	}
	trailer_free(trailer);
	return 0;
}

static bool is_to_copy(const struct stored_pack *pack)
{
	return pack->doomed && !pack->spared && pack->live != 0;
}

/* *COUNT: the chunks wanted. */
static int make_table(struct copying *copying, uint64_t *count)
{
	const struct mark *mark = copying->rewrite->mark;
	struct stored *stored = mark->stored;
	int err = 0;
	*count = 0;
	for (size_t i = 0; i < stored->count; i++)
		if (is_to_copy(&stored->packs[i]))
			*count += stored->packs[i].live;
	copying->size = (size_t)(*count + *count / 2 + 16);
	copying->places = calloc(copying->size, sizeof(*copying->places));
	if (copying->places == NULL)
		return fail_no_memory("copying chunks");
	for (size_t i = 0; err == 0 && i < stored->count; i++)
		if (is_to_copy(&stored->packs[i]))
			err = want_pack(copying, (uint32_t)i);
	return err;
}

/* --- the threads --- */

static void stop_with(struct copying *copying, int err)
{
	struct error_copy why;
	error_save(&why, err);
	LOCK_SCOPE(&copying->mutex);
	if (copying->error.err == 0)
		copying->error = why;
	pthread_cond_broadcast(&copying->changed);
}

/* A chunk that can't be read stays where it is: it may still be saved by other
 * means. */
static void note_failed(struct rewrite *rewrite, int err)
{
	if (rewrite->failed++ < WARNINGS_MAX)
		report_warning("a chunk in use can't be copied, so its pack "
			       "is kept: %s",
				error_text(err));
}

/* The checksum goes with the chunk. One that has none, from a pack of version 1,
 * gets one if its bytes are those of its id. 0 or -EBADMSG. */
static int ensure_checksum(const struct repository *repo, enum pack_kind kind,
		struct chunk_entry *chunk, const uint8_t *data)
{
	struct id id;
	if (chunk->checksum != 0)
		return 0;
	chunk->checksum = checksum_chunk(seal_cut_seed(repo->seal), data,
			chunk->len);
	seal_id(repo->seal, kind == PACK_TREE ? ID_NODE : ID_CHUNK, &id, data,
			chunk->len);
	return id_equal(&id, &chunk->id)
			? 0
			: fail(-EBADMSG, "its contents do not match its id");
}

/* 1 copied, 0 it can't be read, -errno nothing can be written. */
static int copy_chunk(struct rewrite *rewrite, struct chunk_stream *stream,
		enum pack_kind kind, const struct id *id)
{
	struct frame *frame;
	const uint8_t *data;
	struct chunk_entry chunk;
	int err = chunk_read(rewrite->repo->packs, rewrite->mark->frames, kind,
			id, 0, UINT32_MAX, &frame, &data, &chunk);
	if (err == -ENOMEM || err == -ECANCELED)
		return err;
	if (err == 0) {
		err = ensure_checksum(rewrite->repo, kind, &chunk, data);
		if (err < 0)
			frame_cache_unpin(frame);
	}
	if (err < 0) {
		note_failed(rewrite, err);
		return 0;
	}
	err = chunk_stream_put(stream, kind, &chunk, data);
	frame_cache_unpin(frame);
	rewrite->done += chunk.len;
	return err < 0 ? err : 1;
}

static int copy_batch(struct rewrite *rewrite, struct chunk_stream *stream,
		struct batch *batch)
{
	for (unsigned i = 0; i < batch->count; i++) {
		struct item *item = &batch->items[i];
		if (interrupt_flag)
			return fail(-ECANCELED, "interrupted");
		int err = copy_chunk(rewrite, stream, item->kind, &item->id);
		if (err < 0)
			return err;
		item->wanted->copied = err == 1;
	}
	return 0;
}

/* NULL: that was all. */
static struct batch *next_batch(struct copying *copying)
{
	LOCK_SCOPE(&copying->mutex);
	while (copying->first == NULL && !copying->closed
			&& copying->error.err == 0)
		pthread_cond_wait(&copying->changed, &copying->mutex);
	struct batch *batch = copying->error.err ? NULL : copying->first;
	if (batch == NULL)
		return NULL;
	copying->first = batch->next;
	if (copying->first == NULL)
		copying->end = &copying->first;
	copying->queued--;
	pthread_cond_broadcast(&copying->changed);
	return batch;
}

static void *copier(void *arg)
{
	struct copying *copying = arg;
	struct chunk_stream *stream = NULL;
	struct batch *batch;
	int err = chunk_stream_new(copying->rewrite->sink, &stream);
	while (err == 0 && (batch = next_batch(copying)) != NULL) {
		err = copy_batch(copying->rewrite, stream, batch);
		free(batch);
	}
	if (err == 0)
		err = chunk_stream_flush(stream);
	if (err < 0)
		stop_with(copying, err);
	chunk_stream_free(stream);
	return NULL;
}

/* --- the walk --- */

static int submit(struct copying *copying)
{
	struct batch *batch = take_ptr(copying->filling);
	if (batch == NULL)
		return 0;
	LOCK_SCOPE(&copying->mutex);
	while (copying->queued >= copying->queue_max && copying->error.err == 0)
		pthread_cond_wait(&copying->changed, &copying->mutex);
	if (copying->error.err != 0) {
		free(batch);
		return error_load(&copying->error);
	}
	*copying->end = batch;
	copying->end = &batch->next;
	copying->queued++;
	pthread_cond_broadcast(&copying->changed);
	return 0;
}

static int visit(struct copying *copying, enum pack_kind kind,
		const struct id *id)
{
	struct wanted *wanted = place_of(copying, id);
	if (wanted->queued || bytes_are_zero(wanted->key, KEY_SIZE))
		return 0;
	if (copying->filling == NULL)
		copying->filling = calloc(1, sizeof(*copying->filling));
	if (copying->filling == NULL)
		return fail_no_memory("copying chunks");
	wanted->queued = true;
	copying->filling->items[copying->filling->count++] =
			(struct item){ .id = *id,
				.kind = kind,
				.wanted = wanted };
	return copying->filling->count == BATCH_CHUNKS ? submit(copying) : 0;
}

static int visit_node(void *ctx, const struct id *id)
{
	return visit(ctx, PACK_TREE, id);
}

static int visit_chunk(void *ctx, const struct id *id)
{
	return visit(ctx, PACK_DATA, id);
}

static int walk(struct copying *copying)
{
	const struct mark_visitor v = { .node = visit_node,
		.chunk = visit_chunk,
		.ctx = copying };
	int err = mark_revisit(copying->rewrite->mark, &v);
	if (err == 0)
		err = submit(copying);
	if (err < 0)
		stop_with(copying, err);
	LOCK_SCOPE(&copying->mutex);
	copying->closed = true;
	pthread_cond_broadcast(&copying->changed);
	return err;
}

static int run(struct copying *copying)
{
	pthread_t threads[THREADS_MAX];
	unsigned started = 0,
		 jobs = copying->rewrite->jobs < THREADS_MAX
			? copying->rewrite->jobs
			: THREADS_MAX;
	not_shared(&copying->mutex);
	copying->end = &copying->first;
	copying->queue_max = 2 * jobs;
	pthread_mutex_init(&copying->mutex, NULL);
	pthread_cond_init(&copying->changed, NULL);
	while (started < jobs
			&& pthread_create(&threads[started], NULL, copier,
					   copying)
					== 0)
		started++;
	if (started == 0)
		stop_with(copying, fail_no_memory("copying chunks"));
	walk(copying);
	while (started > 0)
		pthread_join(threads[--started], NULL);
	pthread_mutex_destroy(&copying->mutex);
	pthread_cond_destroy(&copying->changed);
	return copying->error.err ? error_load(&copying->error) : 0;
}

/* --- the whole --- */

static int open_sink(struct rewrite *rewrite)
{
	struct repository *repo = rewrite->repo;
	if (rewrite->sink != NULL)
		return 0;
	const struct pack_target target = { .store = repo->store,
		.seal = repo->seal,
		.config = &repo->config,
		.session = rewrite->own_id };
	int err = chunk_sink_new(&rewrite->sink, &target, repo->packs,
			repo->index, repo->config.zstd_level);
	if (err == 0)
		chunk_sink_proofread(rewrite->sink);
	return err;
}

static void close_sink(struct rewrite *rewrite)
{
	struct chunk_sink_stats st = { .stored_bytes = 0 };
	if (rewrite->sink == NULL)
		return;
	chunk_stream_free(take_ptr(rewrite->stream));
	chunk_sink_stats(rewrite->sink, &st);
	rewrite->written_bytes += st.stored_bytes;
	chunk_sink_free(take_ptr(rewrite->sink));
}

static void spare_uncopied(struct copying *copying)
{
	const struct mark *mark = copying->rewrite->mark;
	struct stored *stored = mark->stored;
	for (size_t i = 0; i < copying->size; i++) {
		const struct wanted *wanted = &copying->places[i];
		if (!wanted->copied && !bytes_are_zero(wanted->key, KEY_SIZE))
			stored->packs[wanted->pack].spared = true;
	}
}

static void spare_all(struct stored *stored)
{
	for (size_t i = 0; i < stored->count; i++)
		if (is_to_copy(&stored->packs[i]))
			stored->packs[i].spared = true;
}

static void free_queue(struct copying *copying)
{
	not_shared(&copying->mutex);
	free(copying->filling);
	while (copying->first != NULL) {
		struct batch *batch = copying->first;
		copying->first = batch->next;
		free(batch);
	}
	free(copying->places);
}

int rewrite_doomed(struct rewrite *rewrite)
{
	struct copying c = { .rewrite = rewrite };
	uint64_t count;
	assert(rewrite->mark != NULL && rewrite->own_id != NULL);
	assert(rewrite->sink == NULL);
	rewrite->done = rewrite->total = 0;
	int err = make_table(&c, &count);
	if (err == 0 && count != 0) {
		err = open_sink(rewrite);
		if (err == 0)
			err = run(&c);
		if (err == 0)
			err = chunk_sink_barrier(rewrite->sink, false);
	}
	if (err == 0)
		spare_uncopied(&c);
	free_queue(&c);
	if (err == -ENOSPC || err == -EDQUOT) {
		close_sink(rewrite);
		spare_all(rewrite->mark->stored);
	}
	return err;
}

/* --- what is new --- */

static int ensure(struct rewrite *rewrite, enum pack_kind kind,
		const struct id *id)
{
	struct chunk_place place;
	int err = pack_cache_find(rewrite->repo->packs, kind, id, &place);
	if (err == 1)
		pack_cache_release(place.pack);
	if (err != 0)
		return err < 0 ? err : 0;
	err = open_sink(rewrite);
	if (err < 0)
		return err;
	if (rewrite->stream == NULL)
		err = chunk_stream_new(rewrite->sink, &rewrite->stream);
	if (err < 0)
		return err;
	err = copy_chunk(rewrite, rewrite->stream, kind, id);
	if (err < 0)
		return err;
	if (err == 0)
		return fail(-EBADMSG,
				"a chunk of a new snapshot can't be read; "
				"condemned packs are left for the next run");
	return 0;
}

static int ensure_node(void *ctx, const struct id *id)
{
	return ensure(ctx, PACK_TREE, id);
}

static int ensure_chunk(void *ctx, const struct id *id)
{
	return ensure(ctx, PACK_DATA, id);
}

int rewrite_unseen(struct rewrite *rewrite)
{
	const struct mark_visitor v = { .node = ensure_node,
		.chunk = ensure_chunk,
		.ctx = rewrite };
	assert(rewrite->mark != NULL && rewrite->own_id != NULL);
	int err = mark_unseen(rewrite->mark, &v);
	if (err != 0)
		return err;
	if (rewrite->stream != NULL)
		err = chunk_stream_flush(rewrite->stream);
	if (err != 0)
		return err;
	if (rewrite->sink != NULL)
		err = chunk_sink_barrier(rewrite->sink, true);
	return err;
}

void rewrite_clear(struct rewrite *rewrite)
{
	close_sink(rewrite);
}
