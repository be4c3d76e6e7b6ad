/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of the image writer share:
 *
 *	image_writer.c	the worker threads, and who does which span
 *	span_reuse.c	spans that are the base's, many at once, unread
 *	span_update.c	a span of which parts are the base's
 *	span_read.c	the bytes of a span, or of a part of it
 *	span_store.c	a span's chunks and leaf
 */
#ifndef AMBERFS_IMAGE_IMAGE_WRITER_INTERNAL_H
#define AMBERFS_IMAGE_IMAGE_WRITER_INTERNAL_H

#include <pthread.h>

#include "chunker.h"
#include "image_internal.h"
#include "image_writer.h"
#include "repo/base/error.h"
#include "repo/base/thread_safety.h"
#include "tree_builder.h"

/* One image that is being written. */
struct job {
	const struct image_source *source;
	struct image *base;
	struct image_counts *counts;
	const _Atomic sig_atomic_t *cancel;
	struct tree_builder *builder;
	pthread_mutex_t mutex;
	uint64_t next_span GUARDED_BY(mutex);
	uint64_t spans GUARDED_BY(mutex);
	uint64_t size GUARDED_BY(mutex); /* of a stream: so far; else fixed */
	bool ended GUARDED_BY(mutex);	 /* of a stream */
	struct error_copy error GUARDED_BY(mutex);
};

struct worker {
	struct image_writer *writer;
	unsigned number;
	pthread_t thread;
	bool started;
	struct chunk_stream *stream;
	uint8_t *span;	      /* SPAN_SIZE bytes */
	uint8_t *marks;	      /* SPAN_BLOCKS */
	uint64_t *sums;	      /* SPAN_BLOCKS: of what is read and not zero */
	struct piece *pieces; /* SPAN_BLOCKS */
	struct leaf *leaf;    /* room for LEAF_ENTRIES_MAX */
	uint8_t *node;	      /* LEAF_SIZE_MAX */
};

struct image_writer {
	const struct seal *seal;
	const struct config *config;
	struct image_reader *reader;
	struct chunker chunker;
	struct throttle *throttle;
	struct chunk_sink *sink;
	struct worker *workers; /* IMAGE_WRITER_WORKERS_MAX of them */

	pthread_mutex_t mutex;
	unsigned worker_count GUARDED_BY(mutex); /* that are started */
	pthread_cond_t wake, idle;
	struct job *job GUARDED_BY(mutex);
	uint64_t generation GUARDED_BY(mutex); /* of the job */
	unsigned busy GUARDED_BY(mutex);
	bool stop GUARDED_BY(mutex);
};

/* One span in one worker's hands. */
struct span_work {
	struct worker *worker;
	struct job *job;
	struct image_counts *counts; /* the job's */
	uint64_t span;
	uint32_t len;
	uint32_t scanned; /* where the next block to be marked is */
	uint32_t done;	  /* bytes counted as done */
	struct seal_proof proof;
	bool proving;	/* what is scanned goes into the proof */
	struct id lost; /* the base's leaf, which can't be read */
};

/* --- span_read.c --- */

bool span_read_cancelled(const struct job *job);
/* Until BYTES may be read. 0 or -ECANCELED. */
int span_read_wait(const struct worker *worker, const struct job *job,
		uint32_t bytes);
/* What the source's EXTENT says about the image at AT, and up to where, at most
 * LIMIT. Data if the source has no EXTENT. */
int span_read_extent(const struct worker *worker, const struct job *job,
		uint64_t at, uint64_t limit, bool *hole, uint64_t *end);
/* What the source's SAME says about the image at AT, and up to where, at most
 * LIMIT. Not the same if there is no base or nothing is known. */
int span_read_same(const struct worker *worker, const struct job *job,
		uint64_t at, uint64_t limit, bool *same, uint64_t *end);

void span_read_begin(struct span_work *span, struct worker *worker,
		struct job *job);
/* Marks the blocks that are complete below UPTO. */
void span_read_scan(struct span_work *span, uint32_t upto);
/* Reads and marks [from, to) of the span: whole blocks. */
int span_read(struct span_work *span, uint32_t from, uint32_t to);
/* Puts [from, to), which was marked, into the proof. */
void span_read_prove(struct span_work *span, uint32_t from, uint32_t to);

/* --- span_update.c --- */

/* Makes the span from the base's, reading what the source does not say is the
 * same. 1; 0: the base is of no help, and nothing was read; -errno. */
int span_update(struct span_work *span);

/* --- span_store.c --- */

/* All of the span is in the buffer and marked: stores it. */
int span_store_finish(struct span_work *span);
/* Stores a piece of the buffer as one more entry of the worker's leaf. */
int span_store_piece(struct span_work *span, uint32_t offset, uint32_t len,
		bool hole);
/* Stores the worker's leaf, whose entries are complete. */
int span_store_leaf(struct span_work *span, const uint8_t *proof,
		struct node_child *child);
/* The span is CHILD's. */
int span_store_end(struct span_work *span, const struct node_child *child);

/* --- span_reuse.c --- */

/* True if what the source says equals the base must be looked up, chunk by
 * chunk. */
bool span_reuse_in_doubt(const struct worker *worker, const struct job *job);
/* Passes over the spans from the next one on that are the base's; job->mutex is
 * held. 1 if the span that is the next then begins with bytes that are; 0,
 * -errno. */
int span_reuse_pass(struct worker *worker, struct job *job)
		REQUIRES(job->mutex);

#endif
