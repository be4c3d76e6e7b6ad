/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A frame first takes a ticket, its number and place in the open pack of its
 * kind; it is encrypted with that place as associated data and written when its
 * turn comes, so that a pack is written front to back and its checksum needs no
 * second reading.
 *
 * A tree pack that fills up in the middle of a run is finished after the data
 * packs closed before it, but not after chunks that still wait in a stream's
 * open frame. That is harmless: readers reach a node only from a snapshot, no
 * writer takes a node's chunks for granted because the node exists, and a
 * snapshot is written only after chunk_sink_barrier.
 */
#include "pack_writer.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"

/* Packs waiting to be finished before those who put frames wait too. */
#define UNFINISHED_MAX 2

/* A pack and where it is on its way. */
struct job {
	struct open_pack *pack;
	/* all below protected by writer->mutex; pack's frames are reserved
	 * under it, too */
	uint32_t next_write; /* number of the frame whose turn it is */
	bool closed;
	uint64_t closing_number; /* packs are counted as they close */
	struct job *next;	 /* in `queue` or `closing` */
};

struct pack_writer {
	struct pack_target target;
	struct pack_cache *packs;
	struct index_feed *feed;

	pthread_mutex_t mutex;
	pthread_cond_t changed; /* turns, queue, errors */
	struct job *open[PACK_KINDS] GUARDED_BY(mutex);
	/* Closed, not complete */
	struct job *closing GUARDED_BY(mutex);
	struct job *queue GUARDED_BY(mutex); /* complete, not finished */
	struct job **queue_end GUARDED_BY(mutex);
	/* Out of the queue, with the finisher */
	struct job *finishing GUARDED_BY(mutex);
	unsigned unfinished GUARDED_BY(mutex);	 /* closed, not finished */
	uint64_t closed_count GUARDED_BY(mutex); /* so far */
	bool stop GUARDED_BY(mutex);
	struct error_copy error GUARDED_BY(mutex); /* .err != 0: sticky */
	uint64_t stored_bytes GUARDED_BY(mutex);

	pthread_t finisher;
	bool finisher_started;
};

/* --- errors --- */

static int error_held(struct pack_writer *writer) REQUIRES(writer->mutex)
{
	return writer->error.err != 0 ? error_load(&writer->error) : 0;
}

static int fail_held(struct pack_writer *writer, int err)
		REQUIRES(writer->mutex)
{
	assert(err < 0);
	if (writer->error.err == 0)
		error_save(&writer->error, err);
	pthread_cond_broadcast(&writer->changed);
	return err;
}

/* --- jobs --- */

static void job_free(struct job *job)
{
	if (job == NULL)
		return;
	open_pack_free(job->pack);
	free(job);
}

static int job_new(struct pack_writer *writer, enum pack_kind kind,
		struct job **out)
{
	struct job *job = calloc(1, sizeof(*job));
	if (job == NULL)
		return fail_no_memory("starting a pack");
	int err = open_pack_new(&job->pack, &writer->target, kind);
	if (err < 0) {
		free(job);
		return err;
	}
	*out = job;
	return 0;
}

/* Moves JOB to the finisher's queue once it is complete. */
static void queue_if_complete(struct pack_writer *writer, struct job *job)
		REQUIRES(writer->mutex)
{
	assert(job->next_write <= job->pack->trailer.frame_count);
	if (!job->closed || job->next_write != job->pack->trailer.frame_count)
		return;
	struct job **at = &writer->closing;
	while (*at != job)
		at = &(*at)->next;
	*at = job->next;
	job->next = NULL;
	*writer->queue_end = job;
	writer->queue_end = &job->next;
	pthread_cond_broadcast(&writer->changed);
}

/* No more tickets for the open pack of KIND. */
static void close_pack(struct pack_writer *writer, enum pack_kind kind)
		REQUIRES(writer->mutex)
{
	struct job *job = writer->open[kind];
	if (job == NULL)
		return;
	assert(!job->closed);
	writer->open[kind] = NULL;
	job->closed = true;
	job->closing_number = ++writer->closed_count;
	job->next = writer->closing;
	writer->closing = job;
	writer->unfinished++;
	queue_if_complete(writer, job);
}

/* --- the finisher --- */

static int finish_pack(struct pack_writer *writer, struct open_pack *pack)
{
	int err = open_pack_finish(pack);
	if (err < 0)
		return err;
	struct trailer *trailer = malloc(sizeof(*trailer));
	if (trailer == NULL)
		return fail_no_memory("ending a pack");
	err = index_feed_add(writer->feed, &pack->trailer);
	if (err < 0) {
		free(trailer);
		return err;
	}
	*trailer = pack->trailer;
	pack->trailer.frames = NULL;
	pack->trailer.chunks = NULL;
	pack_cache_adopt(writer->packs, trailer);
	return 0;
}

/* Finishes JOB, the first of the queue; the mutex is dropped meanwhile. */
static void finish_job(struct pack_writer *writer, struct job *job)
		REQUIRES(writer->mutex)
{
	assert(writer->queue == job && writer->finishing == NULL);
	assert(job->closed);
	writer->queue = job->next;
	if (writer->queue == NULL)
		writer->queue_end = &writer->queue;
	writer->finishing = job;
	int err = writer->error.err;
	if (err == 0) {
		pthread_mutex_unlock(&writer->mutex);
		err = finish_pack(writer, job->pack);
		pthread_mutex_lock(&writer->mutex);
		if (err < 0)
			fail_held(writer, err);
		else
			writer->stored_bytes += job->pack->size;
	}
	writer->finishing = NULL;
	job_free(job);
	pthread_cond_broadcast(&writer->changed);
	if (err < 0 || !index_feed_due(writer->feed))
		return;
	pthread_mutex_unlock(&writer->mutex);
	index_feed_run(writer->feed);
	pthread_mutex_lock(&writer->mutex);
}

static void *finisher_main(void *arg)
{
	struct pack_writer *writer = arg;
	LOCK_SCOPE(&writer->mutex);
	for (;;) {
		while (writer->queue == NULL && !writer->stop)
			pthread_cond_wait(&writer->changed, &writer->mutex);
		if (writer->queue == NULL)
			return NULL;
		finish_job(writer, writer->queue);
		writer->unfinished--;
		pthread_cond_broadcast(&writer->changed);
	}
}

/* --- frames --- */

/* The pack of KIND with room for another frame; the mutex is dropped while
 * waiting for the finisher. */
static int pack_with_room(struct pack_writer *writer, enum pack_kind kind,
		struct job **out) REQUIRES(writer->mutex)
{
	for (;;) {
		int err = error_held(writer);
		if (err < 0)
			return err;
		struct job *job = writer->open[kind];
		if (job != NULL && open_pack_is_full(job->pack)) {
			if (kind == PACK_TREE)
				close_pack(writer, PACK_DATA);
			close_pack(writer, kind);
		}
		if (writer->unfinished <= UNFINISHED_MAX)
			break;
		pthread_cond_wait(&writer->changed, &writer->mutex);
	}
	int err = writer->open[kind] != NULL
			? 0
			: job_new(writer, kind, &writer->open[kind]);
	*out = writer->open[kind];
	return err;
}

static int take_ticket(struct pack_writer *writer, enum pack_kind kind,
		const struct packed_frame *frame, struct job **job,
		uint32_t *number)
{
	LOCK_SCOPE(&writer->mutex);
	int err = pack_with_room(writer, kind, job);
	if (err == 0)
		err = open_pack_reserve((*job)->pack, frame, number);
	return err < 0 ? fail_held(writer, err) : 0;
}

static int wait_for_turn(struct pack_writer *writer, const struct job *job,
		uint32_t number)
{
	LOCK_SCOPE(&writer->mutex);
	while (job->next_write != number && writer->error.err == 0)
		pthread_cond_wait(&writer->changed, &writer->mutex);
	return error_held(writer);
}

int pack_writer_put(struct pack_writer *writer, enum pack_kind kind,
		const struct packed_frame *frame)
{
	struct job *job = NULL;
	uint32_t number = 0;
	assert(kind == PACK_DATA || kind == PACK_TREE);
	assert(frame->chunk_count != 0);
	int err = take_ticket(writer, kind, frame, &job, &number);
	if (err < 0)
		return err;
	open_pack_seal(job->pack, frame, number);
	err = wait_for_turn(writer, job, number);
	if (err < 0)
		return err;
	err = open_pack_append(job->pack, frame);
	LOCK_SCOPE(&writer->mutex);
	if (err < 0)
		return fail_held(writer, err);
	job->next_write++;
	queue_if_complete(writer, job);
	pthread_cond_broadcast(&writer->changed);
	return 0;
}

/* --- finishing all --- */

static bool any_closed_by(const struct job *list, uint64_t upto)
{
	for (; list != NULL; list = list->next)
		if (list->closing_number <= upto)
			return true;
	return false;
}

/* True if a pack that was closed as number UPTO or before is not finished yet. */
static bool any_unfinished(const struct pack_writer *writer, uint64_t upto)
		REQUIRES(writer->mutex)
{
	return (writer->finishing != NULL
			       && writer->finishing->closing_number <= upto)
			|| any_closed_by(writer->queue, upto)
			|| any_closed_by(writer->closing, upto);
}

/* Closes KIND's pack and waits until all that are closed by now are finished. */
static int finish_all(struct pack_writer *writer, enum pack_kind kind)
		REQUIRES(writer->mutex)
{
	close_pack(writer, kind);
	uint64_t upto = writer->closed_count;
	while (any_unfinished(writer, upto) && writer->error.err == 0)
		pthread_cond_wait(&writer->changed, &writer->mutex);
	return error_held(writer);
}

int pack_writer_finish(struct pack_writer *writer)
{
	LOCK_SCOPE(&writer->mutex);
	assert(!writer->stop);
	int err = error_held(writer);
	if (err < 0)
		return err;
	/* 1 data packs durable */
	err = finish_all(writer, PACK_DATA);
	if (err < 0)
		return err;
	/* 2 tree packs durable */
	return finish_all(writer, PACK_TREE);
}

/* --- the writer --- */

int pack_writer_new(struct pack_writer **out, const struct pack_target *target,
		struct pack_cache *packs, struct index_feed *feed)
{
	struct pack_writer *writer = calloc(1, sizeof(*writer));
	if (writer == NULL)
		return fail_no_memory("starting to write");
	writer->target = *target;
	writer->packs = packs;
	writer->feed = feed;
	pthread_mutex_init(&writer->mutex, NULL);
	writer->queue_end = &writer->queue;
	pthread_cond_init(&writer->changed, NULL);
	if (pthread_create(&writer->finisher, NULL, finisher_main, writer)
			!= 0) {
		pack_writer_free(writer);
		return fail_no_memory("starting to write");
	}
	writer->finisher_started = true;
	*out = writer;
	return 0;
}

static void stop_finisher(struct pack_writer *writer)
{
	pthread_mutex_lock(&writer->mutex);
	writer->stop = true;
	pthread_cond_broadcast(&writer->changed);
	pthread_mutex_unlock(&writer->mutex);
	pthread_join(writer->finisher, NULL);
}

void pack_writer_free(struct pack_writer *writer)
{
	if (writer == NULL)
		return;
	if (writer->finisher_started)
		stop_finisher(writer);
	not_shared(&writer->mutex);
	assert(writer->queue == NULL && writer->finishing == NULL);
	for (enum pack_kind kind = PACK_DATA; kind <= PACK_TREE; kind++)
		job_free(writer->open[kind]);
	while (writer->closing != NULL) { /* after a failed write */
		struct job *job = writer->closing;
		writer->closing = job->next;
		job_free(job);
	}
	pthread_mutex_destroy(&writer->mutex);
	pthread_cond_destroy(&writer->changed);
	free(writer);
}

int pack_writer_error(struct pack_writer *writer)
{
	LOCK_SCOPE(&writer->mutex);
	return error_held(writer);
}

int pack_writer_fail(struct pack_writer *writer, int err)
{
	LOCK_SCOPE(&writer->mutex);
	return fail_held(writer, err);
}

uint64_t pack_writer_stored_bytes(struct pack_writer *writer)
{
	LOCK_SCOPE(&writer->mutex);
	return writer->stored_bytes;
}
