/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where a backup puts chunks: each id is looked up, and what is not stored yet
 * goes into a frame (chunk_stream.h), frames into a pack (pack_writer.h), packs
 * into the store. One sink per session, one stream per worker thread.
 *
 * Order of what becomes durable: the data packs, then the tree packs, both by
 * chunk_sink_barrier, which a caller needs before writing a snapshot object.
 * It covers every stream: a chunk that this caller's streams found known may
 * wait in the open frame of another thread's.
 *
 * Errors are sticky: after a failed write every later call on the sink fails
 * with the same error and text.
 *
 * Threading: all calls except chunk_sink_free may run at once.
 */
#ifndef AMBERFS_PACK_CHUNK_SINK_H
#define AMBERFS_PACK_CHUNK_SINK_H

#include "open_pack.h"
#include "pack_cache.h"

struct chunk_sink;

struct chunk_sink_stats {
	uint64_t new_chunks,
			new_bytes; /* plain, data chunks not known before */
	uint64_t known_bytes;	   /* plain, deduplicated */
	uint64_t stored_bytes;	   /* bytes written into packs */
};

/* All that is given outlives the sink; TARGET is copied. 0 or -ENOMEM. */
int chunk_sink_new(struct chunk_sink **out, const struct pack_target *target,
		struct pack_cache *packs, struct index *index, int zstd_level);
/* Decodes each frame again before it is written, and compares it: for whoever
 * then deletes what the chunks came from. Before the first stream is made. */
void chunk_sink_proofread(struct chunk_sink *sink);
/* Chunks that changed in memory are no sticky error: those of their frame are
 * dropped, and counted. What is being stored meanwhile may need it, also what is by other
 * threads; what begins later does not. Before the first stream is made. */
void chunk_sink_outlive_losses(struct chunk_sink *sink);
uint64_t chunk_sink_losses(const struct chunk_sink *sink);
/* Discards open packs. Its streams are freed before. NULL allowed. */
void chunk_sink_free(struct chunk_sink *sink);

/* Makes everything durable that was put into any stream of the sink before
 * this call, data before tree, and gives the new ids to the index when there
 * are many, or with LAST. Other threads may go on putting meanwhile. 0 or
 * -errno. */
int chunk_sink_barrier(struct chunk_sink *sink, bool last);

/* True once a write failed: nothing can be stored any more. */
bool chunk_sink_failed(struct chunk_sink *sink);

/* 0, or why the new packs could not be added to the index (it lags; the next
 * session catches up), with a text: worth a warning, not a failure. */
int chunk_sink_index_error(struct chunk_sink *sink);

void chunk_sink_stats(struct chunk_sink *sink, struct chunk_sink_stats *out);

#endif
