/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writing an image: spans to worker threads, chunks to the sink, leaves to
 * nodes, nodes to a root.
 */
#ifndef AMBERFS_IMAGE_IMAGE_WRITER_H
#define AMBERFS_IMAGE_IMAGE_WRITER_H

#include <signal.h>

#include "image.h"
#include "repo/base/throttle.h"
#include "repo/pack/chunk_stream.h"

/*
 * Where an image's bytes come from. READ, EXTENT and SAME are called by several
 * workers at once, each with its own worker number (0 … workers-1).
 */
struct image_source {
	uint64_t size; /* bytes; ignored for a stream */
	/* Exactly LEN bytes at OFFSET (within SIZE). 0 or -errno with text. */
	int (*read)(void *ctx, unsigned worker, void *buf, size_t len,
			uint64_t offset);
	/* What is at OFFSET: *HOLE and how far that goes, at most to LIMIT
	 * (*END > OFFSET). May be NULL: all is data. 0 or -errno. */
	int (*extent)(void *ctx, unsigned worker, uint64_t offset,
			uint64_t limit, bool *hole, uint64_t *end);
	/* What is known to equal the base's bytes: whether this is so at
	 * OFFSET, and up to where the answer holds, at most LIMIT (*END >
	 * OFFSET). May be NULL: nothing is known. Asked before anything of a
	 * span is read. 0 or -errno. */
	int (*same)(void *ctx, unsigned worker, uint64_t offset, uint64_t limit,
			bool *same, uint64_t *end);
	/* Whether the leaf over OFFSET may have a proof: 1, 0, -errno. Asked once
	 * all of its span was read. May be NULL: it may. For copies: leaves
	 * made from the same bytes as others are then the same. */
	int (*proven)(void *ctx, unsigned worker, uint64_t offset);
	/* For images that repeat themselves; both may be NULL. KNOWN: whether
	 * the whole node of LEVEL (0: a leaf) from span FIRST on is stored
	 * already, made by this image's writing: its CHILD entry. It is then
	 * taken over unread. MADE: such a node was stored just now. */
	bool (*known)(void *ctx, uint8_t level, uint64_t first,
			struct node_child *child);
	void (*made)(void *ctx, uint8_t level, uint64_t first,
			const struct node_child *child);
	/* Chunks of equal parts may be lost: each is looked up, and read if it
	 * is not stored. */
	bool doubt;
	/* For a stream instead of READ: the next bytes, up to LEN; 0: the end,
	 * -errno. Called by one thread. */
	ssize_t (*next)(void *ctx, void *buf, size_t len);
	void *ctx;
};

struct image_counts { /* bytes, updated while it runs; read at any time */
	_Atomic uint64_t done;	/* of SIZE, processed */
	_Atomic uint64_t read;	/* read from the source */
	_Atomic uint64_t holes; /* not read: the source says hole */
	_Atomic uint64_t zeros; /* read and found zero */
	_Atomic uint64_t same;	/* data taken over from the base: said
					   to be the same, and then not read,
					   or recognised by a span's proof */
};

struct image_writer;

#define IMAGE_WRITER_WORKERS_MAX 64u

/* WORKERS threads (at most IMAGE_WRITER_WORKERS_MAX) with about 18 MiB each. THROTTLE may be NULL. The seal, sink
 * and reader outlive the writer. */
int image_writer_new(struct image_writer **out, const struct seal *seal,
		const struct config *config, struct chunk_sink *sink,
		struct image_reader *reader, unsigned workers,
		struct throttle *throttle);
void image_writer_free(struct image_writer *writer); /* NULL allowed */

/* One more worker, which joins at once where an image is being written: its
 * source must expect it. May be called by any one thread while another uses the
 * writer. 0 or -errno: then it has as many as before. */
int image_writer_grow(struct image_writer *writer);
/* Ends its workers and gives their memory back; it can only be freed then. 0, or
 * -errno: their open frames could not be written, and it is as before. */
int image_writer_retire(struct image_writer *writer);

/*
 * Stores one image. BASE may be NULL, or an image of an earlier snapshot whose
 * root the session has published: what SAME says is equal is taken over unread,
 * except for the chunks that a change touches and those after them until a cut
 * meets one of the base's; so are spans with an equal proof, when read. The
 * leaves are those of a full read, except that a partly read span has no proof.
 * *CANCEL (may be NULL) is checked often: true ends it with -ECANCELED. On
 * success ROOT and *SIZE are set; nothing is durable before chunk_sink_barrier.
 * 0 or -errno.
 */
int image_writer_write(struct image_writer *writer,
		const struct image_source *source, struct image *base,
		struct image_counts *counts, const _Atomic sig_atomic_t *cancel,
		struct tree_root *root, uint64_t *size);

/* What its workers gave to the sink so far; see chunk_stream_stats. */
void image_writer_stats(struct image_writer *writer,
		struct chunk_sink_stats *out);

/* Ends the workers' open frames, which chunk_sink_barrier does as well. */
int image_writer_flush(struct image_writer *writer);

#endif
