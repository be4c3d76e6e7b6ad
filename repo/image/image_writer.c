/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Worker threads that turn spans into leaves. A worker takes the next span
 * under the job's mutex, passing over spans there that are the base's or all
 * hole in bulk (span_reuse.c). A span that the source says is the base's in part
 * is made from the base's leaf (span_update.c); any other is read and marked
 * (span_read.c), cut, and its chunks and leaf stored (span_store.c).
 *
 * A stream has no offsets to go to: its workers take turns at reading the next
 * span from it, and store in parallel what they read.
 *
 * One image at a time per writer; the threads and their open frames stay from
 * one image to the next.
 */
#include "image_writer_internal.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "chunker.h"
#include "tree_builder.h"

/* Read from a stream at once: see span_read.c. */
#define READ_SIZE (256u << 10)

/* --- taking spans --- */

/* Passes over all-hole spans in one go; mutex held. */
static int skip_holes(struct worker *w, struct job *job)
{
	uint64_t at = job->next_span * SPAN_SIZE, end;
	bool hole;
	int err = span_read_extent(w, job, at, job->size, &hole, &end);
	if (err < 0 || !hole)
		return err;
	uint64_t skipped = end >= job->size ? job->spans - job->next_span
					    : end / SPAN_SIZE - job->next_span;
	if (skipped == 0)
		return 0;
	err = tree_builder_skip(job->builder, w->stream, job->next_span, skipped);
	job->next_span += skipped;
	uint64_t bytes = min_u64(job->next_span * SPAN_SIZE, job->size) - at;
	job->counts->holes += bytes;
	job->counts->done += bytes;
	return err;
}

/* Passes over what needs no worker; mutex held. Where a span begins with the
 * base's bytes nothing is asked about holes: the base's tree knows them. -errno
 * on failure. */
static int pass_over(struct worker *w, struct job *job)
{
	uint64_t before;
	do {
		before = job->next_span;
		int err = span_reuse_pass(w, job);
		if (err == 0 && job->next_span < job->spans)
			err = skip_holes(w, job);
		if (err != 0)
			return err;
	} while (job->next_span != before && job->next_span < job->spans);
	return 0;
}

/* 1: S->span is to be done; 0: none is left. */
static int take_span(struct worker *w, struct job *job, struct span_work *s)
{
	LOCK_SCOPE(&job->mutex);
	if (job->error.err != 0)
		return 0;
	if (span_read_cancelled(job))
		return fail(-ECANCELED, "interrupted");
	if (job->next_span < job->spans) {
		int err = pass_over(w, job);
		if (err < 0)
			return err;
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
		int err = span_read_wait(w, job, n);
		if (err < 0)
			return err;
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
	span_read_begin(&s, w, job);
	if (job->source->next != NULL) {
		int err = take_streamed(w, job, &s);
		if (err <= 0)
			return err;
		s.done = s.len;
		span_read_scan(&s, s.len);
		err = span_store_finish(&s);
		return err < 0 ? err : 1;
	}
	int err = take_span(w, job, &s);
	if (err <= 0)
		return err;
	err = span_update(&s);
	if (err != 0)
		return err;
	err = span_read(&s, 0, s.len);
	if (err == 0)
		err = span_store_finish(&s);
	return err < 0 ? err : 1;
}

static void do_job(struct worker *w, struct job *job)
{
	int err;
	do
		err = do_span(w, job);
	while (err == 1);
	if (err < 0) {
		LOCK_SCOPE(&job->mutex);
		if (job->error.err == 0)
			error_save(&job->error, err);
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
	int err = chunk_stream_new(sink, &w->stream);
	if (err < 0)
		return err;
	err = pthread_create(&w->thread, NULL, worker_main, w);
	w->started = err == 0;
	return err ? fail_errno(-err, "starting a thread") : 0;
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
	int err = w->workers ? 0 : fail_errno(-ENOMEM, "starting to write");
	for (unsigned i = 0; err == 0 && i < workers; i++) {
		w->workers[i].writer = w;
		w->workers[i].number = i;
		w->worker_count = i + 1;
		err = worker_start(&w->workers[i], sink);
	}
	if (err < 0) {
		image_writer_free(w);
		return err;
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

int image_writer_write(struct image_writer *w, const struct image_source *source,
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
		job.spans = node_span_count(source->size);
	}
	job.builder = tree_builder_new(w->seal, job.spans);
	if (job.builder == NULL)
		return fail_errno(-ENOMEM, "writing an image");
	pthread_mutex_init(&job.mutex, NULL);
	run_job(w, &job);
	int err = job.error.err ? error_load(&job.error) : 0;
	/* The workers rest: their streams may be used from here. */
	if (err == 0)
		err = tree_builder_finish(job.builder, w->workers[0].stream,
				job.spans, root);
	*size = job.size;
	tree_builder_free(job.builder);
	pthread_mutex_destroy(&job.mutex);
	return err;
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
	int err = 0;
	for (unsigned i = 0; err == 0 && i < w->worker_count; i++)
		err = chunk_stream_flush(w->workers[i].stream);
	return err;
}
