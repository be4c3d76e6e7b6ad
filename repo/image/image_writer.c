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
 * one image to the next. More may be added at any time.
 */
#include "image_writer_internal.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "chunker.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "tree_builder.h"

/* Read from a stream at once: see span_read.c. */
#define READ_SIZE (256u << 10)

/* --- taking spans --- */

/* Passes over all-hole spans in one go. */
static int skip_holes(struct worker *worker, struct job *job)
		REQUIRES(job->mutex)
{
	uint64_t at = job->next_span * SPAN_SIZE, end;
	bool hole;
	int err = span_read_extent(worker, job, at, job->size, &hole, &end);
	if (err < 0 || !hole)
		return err;
	uint64_t skipped = end >= job->size ? job->spans - job->next_span
					    : end / SPAN_SIZE - job->next_span;
	if (skipped == 0)
		return 0;
	err = tree_builder_skip(job->builder, worker->stream, job->next_span,
			skipped);
	job->next_span += skipped;
	uint64_t bytes = min_u64(job->next_span * SPAN_SIZE, job->size) - at;
	job->counts->holes += bytes;
	job->counts->done += bytes;
	return err;
}

/* Whole nodes that the source knows to be stored already, the largest first. */
static int take_known(struct worker *worker, struct job *job)
		REQUIRES(job->mutex)
{
	const struct image_source *source = job->source;
	uint64_t whole = job->size / SPAN_SIZE;
	if (source->known == NULL)
		return 0;
	for (int level = node_tree_level(job->spans); level-- > 0;) {
		uint64_t first = job->next_span,
			 covers = level == 0
				? 1
				: node_slot_spans((uint8_t)level) * NODE_FANOUT;
		struct node_child child;
		if (first % covers != 0 || first + covers > whole
				|| !source->known(source->ctx, (uint8_t)level,
						first, &child))
			continue;
		job->next_span += covers;
		job->counts->same += child.data_bytes;
		job->counts->done += covers * SPAN_SIZE;
		return tree_builder_add_node(job->builder, worker->stream,
				(uint8_t)level, first, &child);
	}
	return 0;
}

/* Skips what needs no worker. If a span begins with the base's bytes, holes are
 * not asked for: the base's tree knows them. -errno on failure. */
static int pass_over(struct worker *worker, struct job *job)
		REQUIRES(job->mutex)
{
	uint64_t before;
	do {
		before = job->next_span;
		int err = span_reuse_pass(worker, job);
		if (err != 0)
			return err;
		if (job->next_span < job->spans)
			err = skip_holes(worker, job);
		if (err == 0 && job->next_span < job->spans)
			err = take_known(worker, job);
		if (err != 0)
			return err;
	} while (job->next_span != before && job->next_span < job->spans);
	return 0;
}

/* 1: SPAN->span is to be done; 0: none is left. */
static int take_span(struct worker *worker, struct job *job,
		struct span_work *span)
{
	LOCK_SCOPE(&job->mutex);
	if (job->error.err != 0)
		return 0;
	if (span_read_cancelled(job))
		return fail(-ECANCELED, "interrupted");
	if (job->next_span < job->spans) {
		int err = pass_over(worker, job);
		if (err < 0)
			return err;
	}
	if (job->next_span >= job->spans)
		return 0;
	span->span = job->next_span++;
	span->len = (uint32_t)min_u64(SPAN_SIZE,
			job->size - span->span * SPAN_SIZE);
	return 1;
}

/* The same for a stream: reads the span as well. */
static int take_streamed(struct worker *worker, struct job *job,
		struct span_work *span)
{
	const struct image_source *source = job->source;
	LOCK_SCOPE(&job->mutex);
	if (job->error.err != 0 || job->ended)
		return 0;
	uint32_t len = 0;
	while (len < SPAN_SIZE && !job->ended) {
		uint32_t n = (uint32_t)min_u64(READ_SIZE, SPAN_SIZE - len);
		int err = span_read_wait(worker, job, n);
		if (err < 0)
			return err;
		ssize_t got = source->next(source->ctx, worker->span + len, n);
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
		return fail(-EFBIG,
				"the stream is longer than the maximum size "
				"of an image");
	span->span = job->next_span++;
	span->len = len;
	job->size += len;
	job->spans = job->next_span;
	return 1;
}

static int do_span(struct worker *worker, struct job *job)
{
	struct span_work s;
	span_read_begin(&s, worker, job);
	if (job->source->next != NULL) {
		int err = take_streamed(worker, job, &s);
		if (err <= 0)
			return err;
		s.done = s.len;
		span_read_scan(&s, s.len);
		err = span_store_finish(&s);
		return err < 0 ? err : 1;
	}
	int err = take_span(worker, job, &s);
	if (err <= 0)
		return err;
	err = span_update(&s);
	if (err != 0)
		return err;
	err = span_read(&s, 0, s.len);
	if (err < 0)
		return err;
	err = span_store_finish(&s);
	return err < 0 ? err : 1;
}

static void do_job(struct worker *worker, struct job *job)
{
	int err;
	do
		err = do_span(worker, job);
	while (err == 1);
	if (err < 0) {
		LOCK_SCOPE(&job->mutex);
		if (job->error.err == 0)
			error_save(&job->error, err);
	}
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	struct image_writer *writer = worker->writer;
	uint64_t done = 0;
	pthread_mutex_lock(&writer->mutex);
	for (;;) {
		while (!writer->stop
				&& (writer->job == NULL
						|| writer->generation == done))
			pthread_cond_wait(&writer->wake, &writer->mutex);
		if (writer->stop)
			break;
		struct job *job = writer->job;
		done = writer->generation;
		pthread_mutex_unlock(&writer->mutex);
		do_job(worker, job);
		pthread_mutex_lock(&writer->mutex);
		if (--writer->busy == 0)
			pthread_cond_signal(&writer->idle);
	}
	pthread_mutex_unlock(&writer->mutex);
	return NULL;
}

/* --- the writer --- */

static int worker_make(struct worker *worker, struct chunk_sink *sink)
{
	worker->span = mmap(NULL, SPAN_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (worker->span == MAP_FAILED)
		worker->span = NULL;
	worker->marks = malloc(SPAN_BLOCKS);
	worker->sums = malloc(SPAN_BLOCKS * sizeof(*worker->sums));
	worker->pieces = malloc(SPAN_BLOCKS * sizeof(*worker->pieces));
	worker->leaf = malloc(sizeof(*worker->leaf)
			+ LEAF_ENTRIES_MAX * sizeof(worker->leaf->entries[0]));
	worker->node = malloc(LEAF_SIZE_MAX);
	if (worker->span == NULL || worker->marks == NULL
			|| worker->sums == NULL || worker->pieces == NULL
			|| worker->leaf == NULL || worker->node == NULL)
		return fail_no_memory("starting to write");
	return chunk_stream_new(sink, &worker->stream);
}

static void worker_end(struct worker *worker)
{
	if (worker->started)
		pthread_join(worker->thread, NULL);
	chunk_stream_free(worker->stream);
	if (worker->span != NULL)
		munmap(worker->span, SPAN_SIZE);
	free(worker->marks);
	free(worker->sums);
	free(worker->pieces);
	free(worker->leaf);
	free(worker->node);
	*worker = (struct worker){ .writer = NULL };
}

static unsigned worker_count(struct image_writer *writer)
{
	LOCK_SCOPE(&writer->mutex);
	return writer->worker_count;
}

/* The mutex is held until it counts: then it finds the image that is being
 * written, if there is one, or waits for the next. */
static int worker_start(struct image_writer *writer, struct worker *worker)
{
	LOCK_SCOPE(&writer->mutex);
	int err = pthread_create(&worker->thread, NULL, worker_main, worker);
	if (err != 0)
		return fail_errno(-err, "starting a thread");
	worker->started = true;
	writer->worker_count++;
	if (writer->job != NULL)
		writer->busy++;
	return 0;
}

int image_writer_grow(struct image_writer *writer)
{
	unsigned number = worker_count(writer);
	if (number == IMAGE_WRITER_WORKERS_MAX)
		return fail(-E2BIG, "more than %u threads", number);
	struct worker *worker = &writer->workers[number];
	*worker = (struct worker){ .writer = writer, .number = number };
	int err = worker_make(worker, writer->sink);
	if (err == 0)
		err = worker_start(writer, worker);
	if (err < 0)
		worker_end(worker);
	return err;
}

int image_writer_new(struct image_writer **out, const struct seal *seal,
		const struct config *config, struct chunk_sink *sink,
		struct image_reader *reader, unsigned workers,
		struct throttle *throttle)
{
	struct image_writer *writer = calloc(1, sizeof(*writer));
	if (writer == NULL)
		return fail_no_memory("starting to write");
	writer->seal = seal;
	writer->config = config;
	writer->reader = reader;
	writer->throttle = throttle;
	writer->chunker = (struct chunker){ .seed = seal_cut_seed(seal),
		.min = config->chunk_min,
		.average = config->chunk_average,
		.max = config->chunk_max };
	pthread_mutex_init(&writer->mutex, NULL);
	pthread_cond_init(&writer->wake, NULL);
	pthread_cond_init(&writer->idle, NULL);
	writer->sink = sink;
	writer->workers = calloc(IMAGE_WRITER_WORKERS_MAX,
			sizeof(*writer->workers));
	int err = writer->workers != NULL ? 0
					  : fail_no_memory("starting to write");
	for (unsigned i = 0; err == 0 && i < workers; i++)
		err = image_writer_grow(writer);
	if (err < 0) {
		image_writer_free(writer);
		return err;
	}
	*out = writer;
	return 0;
}

static void end_workers(struct image_writer *writer)
{
	unsigned count = worker_count(writer);
	pthread_mutex_lock(&writer->mutex);
	writer->stop = true;
	pthread_cond_broadcast(&writer->wake);
	pthread_mutex_unlock(&writer->mutex);
	for (unsigned i = 0; i < count; i++)
		worker_end(&writer->workers[i]);
	not_shared(&writer->mutex);
	writer->worker_count = 0;
}

int image_writer_retire(struct image_writer *writer)
{
	int err = image_writer_flush(writer);
	if (err == 0)
		end_workers(writer);
	return err;
}

void image_writer_free(struct image_writer *writer)
{
	if (writer == NULL)
		return;
	if (writer->workers != NULL)
		end_workers(writer);
	free(writer->workers);
	pthread_mutex_destroy(&writer->mutex);
	pthread_cond_destroy(&writer->wake);
	pthread_cond_destroy(&writer->idle);
	free(writer);
}

static void run_job(struct image_writer *writer, struct job *job)
{
	LOCK_SCOPE(&writer->mutex);
	writer->job = job;
	writer->generation++;
	writer->busy = writer->worker_count;
	pthread_cond_broadcast(&writer->wake);
	while (writer->busy != 0)
		pthread_cond_wait(&writer->idle, &writer->mutex);
	writer->job = NULL;
}

int image_writer_write(struct image_writer *writer,
		const struct image_source *source, struct image *base,
		struct image_counts *counts, const _Atomic sig_atomic_t *cancel,
		struct tree_root *root, uint64_t *size)
{
	struct job job = { .source = source,
		.base = base,
		.counts = counts,
		.cancel = cancel };
	if (source->next == NULL && source->size > IMAGE_SIZE_MAX)
		return fail(-EFBIG,
				"it is larger than the maximum size of an "
				"image");
	not_shared(&job.mutex);
	if (source->next == NULL) {
		job.size = source->size;
		job.spans = node_span_count(source->size);
	}
	job.builder = tree_builder_new(writer->seal, job.spans);
	if (job.builder == NULL)
		return fail_no_memory("writing an image");
	tree_builder_tell(job.builder, source->made, source->ctx);
	pthread_mutex_init(&job.mutex, NULL);
	run_job(writer, &job);
	int err = job.error.err ? error_load(&job.error) : 0;
	/* The workers rest: their streams may be used from here. */
	if (err == 0)
		err = tree_builder_finish(job.builder,
				writer->workers[0].stream, job.spans, root);
	*size = job.size;
	tree_builder_free(job.builder);
	pthread_mutex_destroy(&job.mutex);
	return err;
}

void image_writer_stats(struct image_writer *writer,
		struct chunk_sink_stats *out)
{
	*out = (struct chunk_sink_stats){ .new_bytes = 0 };
	for (unsigned i = worker_count(writer); i-- > 0;) {
		struct chunk_sink_stats of;
		chunk_stream_stats(writer->workers[i].stream, &of);
		out->new_chunks += of.new_chunks;
		out->new_bytes += of.new_bytes;
		out->known_bytes += of.known_bytes;
		out->stored_bytes += of.stored_bytes;
	}
}

int image_writer_flush(struct image_writer *writer)
{
	int err = 0;
	for (unsigned i = worker_count(writer); err == 0 && i-- > 0;)
		err = chunk_stream_flush(writer->workers[i].stream);
	return err;
}
