/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where a backup puts chunks: looks an id up, and if nobody has it appends the
 * chunk to a frame, frames to a pack, packs to the store. One sink per session,
 * one stream per worker thread.
 *
 * Order of what becomes durable: the data packs, then the tree packs, both by
 * chunk_sink_barrier, which a caller needs before writing a snapshot object.
 * It covers every stream: a chunk that this caller's streams found known may
 * wait in the open frame of another thread's.
 *
 * Errors are sticky: after a failed write every later call on the sink fails
 * with the same error and text.
 */
#ifndef AMBERFS_PACK_PACK_WRITER_H
#define AMBERFS_PACK_PACK_WRITER_H

#include "pack_cache.h"
#include "repo/format/config.h"
#include "repo/format/node.h"

struct chunk_sink;
struct chunk_stream;

struct chunk_sink_stats {
	uint64_t new_chunks, new_bytes;	/* plain, data chunks not known before */
	uint64_t known_bytes;		/* plain, deduplicated */
	uint64_t stored_bytes;		/* bytes written into packs */
};

/* SESSION: the writer's session id, which names its packs. */
int chunk_sink_new(struct chunk_sink **out, struct store *store,
		const struct seal *seal, const struct config *config,
		struct packs *packs, struct index *index, int zstd_level,
		const char *session);
void chunk_sink_free(struct chunk_sink *s); /* aborts open packs; NULL ok */

/* A stream is used by one thread at a time (chunk_sink_barrier apart). Its
 * sink outlives it. What is in its open frames when it is freed is lost, so
 * none is freed between another's put and the barrier after that, but by those
 * who flushed it or gave all up. */
int chunk_stream_new(struct chunk_sink *s, struct chunk_stream **out);
void chunk_stream_free(struct chunk_stream *st); /* NULL allowed */

/* Stores the chunk under its id unless it is known. 0 or -errno. */
int chunk_stream_put(struct chunk_stream *st, enum pack_kind kind,
		const struct id *id, const void *data, uint32_t len);
/* Ends the open frames of this stream. */
int chunk_stream_flush(struct chunk_stream *st);
/* What came through this stream. Stored bytes: of its frames alone. */
void chunk_stream_stats(struct chunk_stream *st, struct chunk_sink_stats *out);

/* Makes everything durable that was put into any stream of the sink before
 * this call, data before tree, and gives the new ids to the index when there
 * are many, or with LAST. Other threads may go on putting meanwhile. */
int chunk_sink_barrier(struct chunk_sink *s, bool last);

/* True once a write failed: nothing can be stored any more. */
bool chunk_sink_failed(struct chunk_sink *s);

/* 0, or why the index could not be given the new packs (it lags; the next
 * session makes up for it), with a text: worth a warning, no failure. */
int chunk_sink_index_error(struct chunk_sink *s);

void chunk_sink_stats(struct chunk_sink *s, struct chunk_sink_stats *out);

#endif
