/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Worker threads that turn spans into leaves. A worker takes the next span
 * under the job's mutex (passing over all-hole spans in bulk there), reads it
 * into its own buffer, and marks blocks as zero or as cut points while they are
 * in the processor's cache. A span that the source says is the base's is not
 * even read. If an earlier image's leaf has a proof that equals
 * this span's, the leaf is taken over; else the span is cut, its chunks
 * go to the sink, and a new leaf is made.
 *
 * A stream has no offsets to go to: its workers take turns at reading the next
 * span from it, and store in parallel what they read.
 *
 * One image at a time per writer; the threads and their open frames stay from
 * one image to the next.
 */
#include "image_writer.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "../base/bytes.h"
#include "../base/cleanup.h"
#include "../base/error.h"
#include "../data/chunker.h"
#include "tree_builder.h"

/* Read and scanned at once: stays in the second-level cache. */
#define READ_SIZE (256u << 10)
/* Waited for at once under a bandwidth limit: an interruption is seen then. */
#define WAIT_SIZE (4u << 10)

struct job {
	const struct image_source *source;
	struct image *base;
	struct image_counts *counts;
	const _Atomic sig_atomic_t *cancel;
	struct tree_builder *builder;
	pthread_mutex_t mutex;
	/* protected by mutex */
	uint64_t next_span, spans;
	uint64_t size;		/* of a stream: so far */
	bool ended;		/* of a stream */
	struct error_copy error;
};

struct worker {
	struct image_writer *writer;
	unsigned number;
	pthread_t thread;
	bool started;
	struct chunk_stream *stream;
	uint8_t *span;		/* SPAN_SIZE bytes */
	uint8_t *marks;		/* SPAN_BLOCKS */
	struct piece *pieces;	/* SPAN_BLOCKS */
	struct leaf *leaf;	/* room for LEAF_ENTRIES_MAX */
	uint8_t *node;		/* LEAF_SIZE_MAX */
};

struct image_writer {
	const struct seal *seal;
	const struct config *config;
	struct image_reader *reader;
	struct chunker chunker;
	struct throttle *throttle;
	unsigned worker_count;
	struct worker *workers;

	pthread_mutex_t mutex;
	pthread_cond_t wake, idle;
	/* protected by mutex */
	struct job *job;
	uint64_t generation;	/* of the job */
	unsigned busy;
	bool stop;
};

/* --- one span --- */

struct span_work {
	struct worker *w;
	struct job *job;
	uint64_t span;
	uint32_t len;
	uint32_t scanned;	/* bytes marked so far */
	struct seal_proof proof;
	bool proving;
};

/* Feeds the runs of non-zero blocks in [from, to) to the proof. */
static void prove(struct span_work *s, uint32_t from, uint32_t to)
{
	const uint8_t *marks = s->w->marks;
	uint32_t run = from;
	for (uint32_t at = from; at < to; at += BLOCK_SIZE) {
		if (marks[at / BLOCK_SIZE] != BLOCK_ZERO)
			continue;
		if (at > run)
			seal_proof_update(&s->proof, s->w->span + run, at - run);
		run = at + BLOCK_SIZE;
	}
	if (to > run)
		seal_proof_update(&s->proof, s->w->span + run, to - run);
}

/* Marks the blocks that are complete below UPTO. */
static void scan(struct span_work *s, uint32_t upto)
{
	uint32_t to = upto == s->len ? upto : upto / BLOCK_SIZE * BLOCK_SIZE;
	if (to <= s->scanned)
		return;
	chunker_scan(&s->w->writer->chunker,
			s->w->marks + s->scanned / BLOCK_SIZE,
			s->w->span + s->scanned, to - s->scanned);
	if (s->proving)
		prove(s, s->scanned, to);
	s->scanned = to;
}

/* [from, to) of the span is hole: whole blocks are marked unseen, the rest
 * becomes zeros in the buffer. */
static void fill_hole(struct span_work *s, uint32_t from, uint32_t to)
{
	uint32_t first = (uint32_t)round_up(from, BLOCK_SIZE);
	uint32_t last = to == s->len ? to : to / BLOCK_SIZE * BLOCK_SIZE;
	if (first >= last || s->scanned != from / BLOCK_SIZE * BLOCK_SIZE) {
		memset(s->w->span + from, 0, to - from);
		scan(s, to);
		return;
	}
	if (first > from) {
		memset(s->w->span + from, 0, first - from);
		scan(s, first);
	}
	memset(s->w->marks + first / BLOCK_SIZE, BLOCK_ZERO,
			(last - first + BLOCK_SIZE - 1) / BLOCK_SIZE);
	s->scanned = last;
	if (to > last)
		memset(s->w->span + last, 0, to - last);
}

static bool cancelled(const struct job *job)
{
	return job->cancel && *job->cancel;
}

/* Until BYTES may be read. 0 or -ECANCELED. */
static int wait_for_turn(const struct worker *w, const struct job *job,
		uint32_t bytes)
{
	struct throttle *t = w->writer->throttle;
	for (uint32_t done = 0; t && done < bytes && !cancelled(job);
			done += WAIT_SIZE)
		throttle_wait(t, min_u64(WAIT_SIZE, bytes - done));
	return cancelled(job) ? fail(-ECANCELED, "interrupted") : 0;
}

static int read_data(struct span_work *s, uint32_t from, uint32_t to)
{
	struct job *job = s->job;
	const struct image_source *source = job->source;
	uint64_t base = s->span * SPAN_SIZE;
	while (from < to) {
		uint32_t n = (uint32_t)min_u64(READ_SIZE, to - from);
		int r = wait_for_turn(s->w, job, n);
		if (r < 0)
			return r;
		r = source->read(source->ctx, s->w->number,
				s->w->span + from, n, base + from);
		if (r < 0)
			return r;
		from += n;
		job->counts->read += n;
		job->counts->done += n;
		scan(s, from);
	}
	return 0;
}

static int read_span(struct span_work *s)
{
	const struct image_source *source = s->job->source;
	uint64_t base = s->span * SPAN_SIZE;
	for (uint32_t at = 0; at < s->len;) {
		bool hole = false;
		uint64_t end = base + s->len;
		int r = 0;
		if (source->extent != NULL)
			r = source->extent(source->ctx, s->w->number,
					base + at, end, &hole, &end);
		if (r < 0)
			return r;
		if (end <= base + at || end > base + s->len)
			return fail(-EIO,
					"the source's map of holes makes no sense");
		uint32_t to = (uint32_t)(end - base);
		if (hole) {
			fill_hole(s, at, to);
			s->job->counts->holes += to - at;
			s->job->counts->done += to - at;
		} else {
			r = read_data(s, at, to);
		}
		if (r < 0)
			return r;
		at = to;
	}
	return 0;
}

/* The proof over the whole span: the non-zero blocks, then which they were,
 * then the length. */
static void end_proof(struct span_work *s, uint8_t out[PROOF_SIZE])
{
	uint8_t map[SPAN_BLOCKS / 8] = { 0 }, len[8];
	for (uint32_t b = 0; b < (s->len + BLOCK_SIZE - 1) / BLOCK_SIZE; b++)
		if (s->w->marks[b] != BLOCK_ZERO)
			map[b / 8] |= (uint8_t)(1u << b % 8);
	seal_proof_update(&s->proof, map, sizeof(map));
	put_le64(len, s->len);
	seal_proof_update(&s->proof, len, sizeof(len));
	seal_proof_end(&s->proof, out);
}

/* False if a chunk of LEAF is missing, condemned or damaged as far as writers
 * know: then it must be stored anew. The span's bytes are at hand and the
 * trailers near, so this is asked each time: a pack that was lost is healed
 * though nobody has noticed the loss. */
static bool leaf_is_whole(struct image_writer *w, const struct leaf *leaf)
{
	for (uint32_t k = 0; k < leaf->count; k++)
		if (!leaf->entries[k].hole
				&& !image_reader_chunk_stored(w->reader,
						&leaf->entries[k].id))
			return false;
	return true;
}

static bool in_base(const struct span_work *s)
{
	const struct image *base = s->job->base;
	return base != NULL && s->span < span_count(image_size(base));
}

/* 1 if the base's leaf has this proof; CHILD is its entry. */
static int same_as_base(struct span_work *s, const uint8_t *proof,
		struct node_child *child)
{
	struct cached_node *n;
	if (!in_base(s))
		return 0;
	/* A base that can't be read costs a full store, nothing else. */
	if (image_leaf(s->job->base, s->span, &n, child) < 0 || n == NULL)
		return 0;
	const struct leaf *leaf = n->leaf;
	bool same = leaf->has_proof && leaf->span_len == s->len
			&& seal_equal(leaf->proof, proof, PROOF_SIZE)
			&& leaf_is_whole(s->w->writer, leaf);
	node_cache_release(n);
	return same;
}

/* 1 if the source says that all of the span is the base's. */
static int said_to_be_same(const struct span_work *s)
{
	const struct image_source *source = s->job->source;
	uint64_t at = s->span * SPAN_SIZE, limit = at + s->len;
	bool same = source->same != NULL;
	while (same && at < limit) {
		uint64_t end = limit;
		int r = source->same(source->ctx, s->w->number, at, limit,
				&same, &end);
		if (r < 0)
			return r;
		if (end <= at || end > limit)
			return fail(-EIO,
					"the source's map of changes makes no sense");
		at = end;
	}
	return same;
}

/* 1 if the source says that the span is the base's, and that is whole: then it
 * is taken over without being read. */
static int take_over(struct span_work *s)
{
	struct image_counts *counts = s->job->counts;
	struct cached_node *n;
	struct node_child child;
	int r = in_base(s) ? said_to_be_same(s) : 0;
	if (r <= 0)
		return r;
	if (image_leaf(s->job->base, s->span, &n, &child) < 0)
		return 0;
	bool whole = n == NULL || (n->leaf->span_len == s->len
			&& leaf_is_whole(s->w->writer, n->leaf));
	node_cache_release(n);
	if (!whole)
		return 0;
	counts->same += child.data_bytes;
	counts->done += s->len;
	r = tree_builder_add(s->job->builder, s->w->stream, s->span, &child);
	return r < 0 ? r : 1;
}

static int store_pieces(struct span_work *s, uint32_t count)
{
	struct worker *w = s->w;
	struct leaf *leaf = w->leaf;
	leaf->count = 0;
	for (uint32_t k = 0; k < count; k++) {
		const struct piece *p = &w->pieces[k];
		struct leaf_entry *e = &leaf->entries[leaf->count++];
		*e = (struct leaf_entry){ .offset = p->offset, .len = p->len,
			.hole = p->hole };
		if (p->hole)
			continue;
		const uint8_t *data = w->span + p->offset;
		seal_id(w->writer->seal, ID_CHUNK, &e->id, data, p->len);
		int r = chunk_stream_put(
				w->stream, PACK_DATA, &e->id, data, p->len);
		if (r < 0)
			return r;
	}
	return 0;
}

static int store_leaf(struct span_work *s, const uint8_t *proof,
		struct node_child *child)
{
	struct worker *w = s->w;
	struct leaf *leaf = w->leaf;
	leaf->span_len = s->len;
	leaf->has_proof = proof != NULL;
	memset(leaf->proof, 0, PROOF_SIZE);
	if (proof != NULL)
		memcpy(leaf->proof, proof, PROOF_SIZE);
	leaf_sum(leaf);
	*child = (struct node_child){ .data_bytes = leaf->data_bytes,
		.clusters = leaf->clusters };
	if (leaf->data_bytes == 0)
		return 0;
	size_t len = leaf_encode(w->node, leaf);
	seal_id(w->writer->seal, ID_NODE, &child->id, w->node, len);
	return chunk_stream_put(w->stream, PACK_TREE, &child->id, w->node,
			(uint32_t)len);
}

/* The span's bytes are in the buffer, its marks made. */
static int finish_span(struct span_work *s)
{
	struct worker *w = s->w;
	struct image_counts *counts = s->job->counts;
	uint8_t proof[PROOF_SIZE];
	struct node_child child;
	uint32_t count = chunker_cut(
			&w->writer->chunker, w->marks, s->len, w->pieces);
	if (s->proving)
		end_proof(s, proof);
	if (s->proving && same_as_base(s, proof, &child)) {
		counts->same += child.data_bytes;
	} else {
		int r = store_pieces(s, count);
		if (r == 0)
			r = store_leaf(s, s->proving ? proof : NULL, &child);
		if (r < 0)
			return r;
	}
	return tree_builder_add(s->job->builder, w->stream, s->span, &child);
}

static void span_work_begin(struct span_work *s, struct worker *w,
		struct job *job)
{
	*s = (struct span_work){ .w = w, .job = job,
		.proving = seal_encrypts(w->writer->seal) };
	if (s->proving)
		seal_proof_begin(w->writer->seal, &s->proof);
}

/* --- taking spans --- */

/* Passes over all-hole spans in one go; mutex held. */
static int skip_holes(struct worker *w, struct job *job)
{
	const struct image_source *source = job->source;
	uint64_t at = job->next_span * SPAN_SIZE, end = at;
	bool hole = false;
	int r = source->extent(source->ctx, w->number, at, job->size, &hole,
			&end);
	if (r == 0 && (end <= at || end > job->size))
		r = fail(-EIO, "the source's map of holes makes no sense");
	if (r < 0 || !hole)
		return r;
	uint64_t skipped = end >= job->size ? job->spans - job->next_span
					    : end / SPAN_SIZE - job->next_span;
	if (skipped == 0)
		return 0;
	r = tree_builder_skip(job->builder, w->stream, job->next_span, skipped);
	job->next_span += skipped;
	uint64_t bytes = min_u64(job->next_span * SPAN_SIZE, job->size) - at;
	job->counts->holes += bytes;
	job->counts->done += bytes;
	return r;
}

/* 1: S->span is to be done; 0: none is left. */
static int take_span(struct worker *w, struct job *job, struct span_work *s)
{
	LOCK_SCOPE(&job->mutex);
	if (job->error.err != 0)
		return 0;
	if (cancelled(job))
		return fail(-ECANCELED, "interrupted");
	if (job->next_span < job->spans && job->source->extent != NULL) {
		int r = skip_holes(w, job);
		if (r < 0)
			return r;
	}
	if (job->next_span >= job->spans)
		return 0;
	s->span = job->next_span++;
	s->len = (uint32_t)min_u64(
			SPAN_SIZE, job->size - s->span * SPAN_SIZE);
	return 1;
}

/* The same for a stream: reads the span as well. */
static int take_streamed(struct worker *w, struct job *job, struct span_work *s)
{
	const struct image_source *source = job->source;
	LOCK_SCOPE(&job->mutex);
	if (job->error.err != 0 || job->ended)
		return 0;
	uint32_t len = 0;
	while (len < SPAN_SIZE && !job->ended) {
		uint32_t n = (uint32_t)min_u64(READ_SIZE, SPAN_SIZE - len);
		int r = wait_for_turn(w, job, n);
		if (r < 0)
			return r;
		ssize_t got = source->next(source->ctx, w->span + len, n);
		if (got < 0)
			return (int)got;
		job->ended = got == 0;
		len += (uint32_t)got;
		job->counts->read += (uint64_t)got;
		job->counts->done += (uint64_t)got;
	}
	if (len == 0)
		return 0;
	if (job->size + len > IMAGE_SIZE_MAX)
		return fail(-EFBIG, "the stream is longer than an image may be");
	s->span = job->next_span++;
	s->len = len;
	job->size += len;
	job->spans = job->next_span;
	return 1;
}

static int do_span(struct worker *w, struct job *job)
{
	struct span_work s;
	span_work_begin(&s, w, job);
	if (job->source->next != NULL) {
		int r = take_streamed(w, job, &s);
		if (r <= 0)
			return r;
		scan(&s, s.len);
		r = finish_span(&s);
		return r < 0 ? r : 1;
	}
	int r = take_span(w, job, &s);
	if (r <= 0)
		return r;
	r = take_over(&s);
	if (r != 0)
		return r;
	r = read_span(&s);
	if (r == 0)
		r = finish_span(&s);
	return r < 0 ? r : 1;
}

static void do_job(struct worker *w, struct job *job)
{
	int r;
	do
		r = do_span(w, job);
	while (r == 1);
	if (r < 0) {
		LOCK_SCOPE(&job->mutex);
		if (job->error.err == 0)
			error_save(&job->error, r);
	}
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct image_writer *writer = w->writer;
	uint64_t done = 0;
	pthread_mutex_lock(&writer->mutex);
	for (;;) {
		while (!writer->stop && (writer->job == NULL
						|| writer->generation == done))
			pthread_cond_wait(&writer->wake, &writer->mutex);
		if (writer->stop)
			break;
		struct job *job = writer->job;
		done = writer->generation;
		pthread_mutex_unlock(&writer->mutex);
		do_job(w, job);
		pthread_mutex_lock(&writer->mutex);
		if (--writer->busy == 0)
			pthread_cond_signal(&writer->idle);
	}
	pthread_mutex_unlock(&writer->mutex);
	return NULL;
}

/* --- the writer --- */

static int worker_start(struct worker *w, struct chunk_sink *sink)
{
	w->span = mmap(NULL, SPAN_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (w->span == MAP_FAILED)
		w->span = NULL;
	w->marks = malloc(SPAN_BLOCKS);
	w->pieces = malloc(SPAN_BLOCKS * sizeof(*w->pieces));
	w->leaf = malloc(sizeof(*w->leaf)
			+ LEAF_ENTRIES_MAX * sizeof(w->leaf->entries[0]));
	w->node = malloc(LEAF_SIZE_MAX);
	if (!w->span || !w->marks || !w->pieces || !w->leaf || !w->node)
		return fail_errno(-ENOMEM, "starting to write");
	int r = chunk_stream_new(sink, &w->stream);
	if (r < 0)
		return r;
	r = pthread_create(&w->thread, NULL, worker_main, w);
	w->started = r == 0;
	return r ? fail_errno(-r, "starting a thread") : 0;
}

int image_writer_new(struct image_writer **out, const struct seal *seal,
		const struct config *config, struct chunk_sink *sink,
		struct image_reader *reader, unsigned workers,
		struct throttle *throttle)
{
	struct image_writer *w = calloc(1, sizeof(*w));
	if (w == NULL)
		return fail_errno(-ENOMEM, "starting to write");
	w->seal = seal;
	w->config = config;
	w->reader = reader;
	w->throttle = throttle;
	w->chunker = (struct chunker){ .seed = seal_cut_seed(seal),
		.min = config->chunk_min, .average = config->chunk_average,
		.max = config->chunk_max };
	pthread_mutex_init(&w->mutex, NULL);
	pthread_cond_init(&w->wake, NULL);
	pthread_cond_init(&w->idle, NULL);
	w->workers = calloc(workers, sizeof(*w->workers));
	int r = w->workers ? 0 : fail_errno(-ENOMEM, "starting to write");
	for (unsigned i = 0; r == 0 && i < workers; i++) {
		w->workers[i].writer = w;
		w->workers[i].number = i;
		w->worker_count = i + 1;
		r = worker_start(&w->workers[i], sink);
	}
	if (r < 0) {
		image_writer_free(w);
		return r;
	}
	*out = w;
	return 0;
}

static void worker_end(struct worker *w)
{
	if (w->started)
		pthread_join(w->thread, NULL);
	chunk_stream_free(w->stream);
	if (w->span != NULL)
		munmap(w->span, SPAN_SIZE);
	free(w->marks);
	free(w->pieces);
	free(w->leaf);
	free(w->node);
}

void image_writer_free(struct image_writer *w)
{
	if (w == NULL)
		return;
	pthread_mutex_lock(&w->mutex);
	w->stop = true;
	pthread_cond_broadcast(&w->wake);
	pthread_mutex_unlock(&w->mutex);
	for (unsigned i = 0; i < w->worker_count; i++)
		worker_end(&w->workers[i]);
	free(w->workers);
	pthread_mutex_destroy(&w->mutex);
	pthread_cond_destroy(&w->wake);
	pthread_cond_destroy(&w->idle);
	free(w);
}

static void run_job(struct image_writer *w, struct job *job)
{
	LOCK_SCOPE(&w->mutex);
	w->job = job;
	w->generation++;
	w->busy = w->worker_count;
	pthread_cond_broadcast(&w->wake);
	while (w->busy != 0)
		pthread_cond_wait(&w->idle, &w->mutex);
	w->job = NULL;
}

int image_write(struct image_writer *w, const struct image_source *source,
		struct image *base, struct image_counts *counts,
		const _Atomic sig_atomic_t *cancel, struct tree_root *root,
		uint64_t *size)
{
	struct job job = { .source = source, .base = base, .counts = counts,
		.cancel = cancel };
	if (source->next == NULL && source->size > IMAGE_SIZE_MAX)
		return fail(-EFBIG, "it is larger than an image may be");
	if (source->next == NULL) {
		job.size = source->size;
		job.spans = span_count(source->size);
	}
	job.builder = tree_builder_new(w->seal, job.spans);
	if (job.builder == NULL)
		return fail_errno(-ENOMEM, "writing an image");
	pthread_mutex_init(&job.mutex, NULL);
	run_job(w, &job);
	int r = job.error.err ? error_load(&job.error) : 0;
	/* The workers rest: their streams may be used from here. */
	if (r == 0)
		r = tree_builder_finish(job.builder, w->workers[0].stream,
				job.spans, root);
	*size = job.size;
	tree_builder_free(job.builder);
	pthread_mutex_destroy(&job.mutex);
	return r;
}

void image_writer_stats(struct image_writer *w, struct chunk_sink_stats *out)
{
	*out = (struct chunk_sink_stats){ .new_bytes = 0 };
	for (unsigned i = 0; i < w->worker_count; i++) {
		struct chunk_sink_stats of;
		chunk_stream_stats(w->workers[i].stream, &of);
		out->new_chunks += of.new_chunks;
		out->new_bytes += of.new_bytes;
		out->known_bytes += of.known_bytes;
		out->stored_bytes += of.stored_bytes;
	}
}

int image_writer_flush(struct image_writer *w)
{
	int r = 0;
	for (unsigned i = 0; r == 0 && i < w->worker_count; i++)
		r = chunk_stream_flush(w->workers[i].stream);
	return r;
}
