/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One thread's way into a sink: new chunks gather in a frame of their kind,
 * which is compressed and given to the pack writer when it is full.
 *
 * Threading: a stream is used by one thread at a time (chunk_sink_barrier
 * apart, which may run at any time).
 */
#ifndef AMBERFS_PACK_CHUNK_STREAM_H
#define AMBERFS_PACK_CHUNK_STREAM_H

#include "chunk_sink.h"

struct chunk_stream;

/* SINK outlives the stream. What is in its open frames when it is freed is
 * lost, so no stream is freed between another's put and the barrier after that,
 * except after flushing it or when giving everything up. 0 or -ENOMEM. */
int chunk_stream_new(struct chunk_sink *sink, struct chunk_stream **out);
void chunk_stream_free(struct chunk_stream *stream); /* NULL allowed */
/* For the sink, which holds its streams_mutex. NULL: the last one. */
struct chunk_stream *chunk_stream_next(const struct chunk_stream *stream);

/* Stores the chunk (id, len and checksum are filled in) unless its id is known.
 * The checksum is older than the id, so that neither the id nor what is stored is
 * of bytes that it does not know. 0; -EIO: the bytes have changed since it was
 * made; -errno. */
int chunk_stream_put(struct chunk_stream *stream, enum pack_kind kind,
		const struct chunk_entry *chunk, const void *data);
/* Id, len and checksum of a leaf or node. */
struct chunk_entry chunk_stream_name_node(const struct seal *seal,
		const void *plain, size_t len);
/* Ends the open frames of this stream. 0 or -errno. */
int chunk_stream_flush(struct chunk_stream *stream);
/* What came through this stream. Stored bytes: of its frames alone. */
void chunk_stream_stats(struct chunk_stream *stream,
		struct chunk_sink_stats *out);

#endif
