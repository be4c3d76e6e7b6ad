/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A new id is claimed (index_feed.h) before its chunk is stored, and stays
 * claimed until the index knows its pack: two streams never store the same
 * chunk twice. From the claim to the end of the put the stream's mutex is held,
 * so the barrier, which takes each stream's in turn to end its frames, finds
 * every claimed chunk in a frame.
 */
#include "chunk_stream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chunk_sink_internal.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"
#include "repo/format/checksum.h"
#include "repo/format/leaf.h"

/* A frame under construction. */
struct open_frame {
	uint8_t *plain;
	uint32_t len;
	struct chunk_entry *chunks; /* room: FRAME_CHUNKS_MAX */
	uint32_t count;
};

struct chunk_stream {
	struct chunk_sink *sink;
	struct chunk_stream *next;     /* protected by sink->streams_mutex */
	struct chunk_sink_stats stats; /* protected by sink->stats_mutex */
	pthread_mutex_t mutex;
	struct frame_encoder *encoder GUARDED_BY(mutex);
	struct open_frame frames[PACK_KINDS] GUARDED_BY(mutex);
	uint8_t *box GUARDED_BY(mutex); /* nonce, compressed, tag */
	/* For proofreading, else NULL. */
	struct frame_decoder *decoder GUARDED_BY(mutex);
	uint8_t *decoded GUARDED_BY(mutex);
};

static void enlist(struct chunk_stream *stream)
{
	LOCK_SCOPE(&stream->sink->streams_mutex);
	stream->next = stream->sink->streams;
	stream->sink->streams = stream;
}

static void unlist(struct chunk_stream *stream)
{
	LOCK_SCOPE(&stream->sink->streams_mutex);
	struct chunk_stream **at = &stream->sink->streams;
	while (*at != stream)
		at = &(*at)->next;
	*at = stream->next;
}

struct chunk_stream *chunk_stream_next(const struct chunk_stream *stream)
{
	return stream->next;
}

/* False without memory. */
static bool alloc_buffers(struct chunk_stream *stream) REQUIRES(stream->mutex)
{
	const struct config *config = stream->sink->config;
	uint32_t room = config->frame_size + config->chunk_max;
	if (room < LEAF_SIZE_MAX + config->frame_size)
		room = LEAF_SIZE_MAX + config->frame_size;
	stream->box = malloc(frame_codec_encode_bound(room) + SEAL_OVERHEAD);
	stream->encoder = frame_codec_encoder_new(stream->sink->zstd_level);
	if (stream->box == NULL || stream->encoder == NULL)
		return false;
	if (stream->sink->proofreading) {
		stream->decoder = frame_codec_decoder_new();
		stream->decoded = malloc(room);
		if (stream->decoder == NULL || stream->decoded == NULL)
			return false;
	}
	for (enum pack_kind kind = PACK_DATA; kind <= PACK_TREE; kind++) {
		struct open_frame *frame = &stream->frames[kind];
		frame->plain = malloc(room);
		frame->chunks = malloc(
				FRAME_CHUNKS_MAX * sizeof(*frame->chunks));
		if (frame->plain == NULL || frame->chunks == NULL)
			return false;
	}
	return true;
}

static void destroy(struct chunk_stream *stream)
{
	not_shared(&stream->mutex);
	pthread_mutex_destroy(&stream->mutex);
	frame_codec_encoder_free(stream->encoder);
	frame_codec_decoder_free(stream->decoder);
	free(stream->decoded);
	free(stream->box);
	for (enum pack_kind kind = PACK_DATA; kind <= PACK_TREE; kind++) {
		free(stream->frames[kind].plain);
		free(stream->frames[kind].chunks);
	}
	free(stream);
}

/* Complete before it is listed: from then on barriers of other threads look into
 * it. */
int chunk_stream_new(struct chunk_sink *sink, struct chunk_stream **out)
{
	struct chunk_stream *stream = calloc(1, sizeof(*stream));
	if (stream == NULL)
		return fail_no_memory("starting to write");
	stream->sink = sink;
	pthread_mutex_init(&stream->mutex, NULL);
	if (!alloc_buffers(stream)) {
		destroy(stream);
		return fail_no_memory("starting to write");
	}
	enlist(stream);
	*out = stream;
	return 0;
}

void chunk_stream_free(struct chunk_stream *stream)
{
	if (stream == NULL)
		return;
	unlist(stream);
	destroy(stream);
}

/* The bytes that are to be compared: those that were compressed, or, proofreading,
 * those that were made of them. NULL: it can't be decoded. */
static const uint8_t *bytes_to_check(const struct chunk_stream *stream,
		const struct open_frame *frame,
		const struct packed_frame *packed) REQUIRES(stream->mutex)
{
	if (stream->decoder == NULL)
		return frame->plain;
	ssize_t n = frame_codec_decode(stream->decoder, packed->compression,
			stream->decoded, frame->len, frame->len,
			packed->box + SEAL_NONCE_SIZE, packed->len);
	return n == (ssize_t)frame->len ? stream->decoded : NULL;
}

/* Compares the frame with what was read. After compressing it: a bit that changed
 * before is still wrong then. */
static int check_frame(const struct chunk_stream *stream,
		const struct open_frame *frame,
		const struct packed_frame *packed) REQUIRES(stream->mutex)
{
	const uint8_t *plain = bytes_to_check(stream, frame, packed);
	for (uint32_t i = 0; i < frame->count; i++) {
		const struct chunk_entry *chunk = &frame->chunks[i];
		char hex[2 * ID_SIZE + 1];
		if (plain != NULL
				&& checksum_fits(stream->sink->seed, chunk,
						plain + chunk->offset))
			continue;
		hex_encode(hex, chunk->id.b, ID_SIZE);
		return fail(-EIO,
				"chunk %.16s… changed in memory before it was "
				"stored; test this machine's memory, then try "
				"again",
				hex);
	}
	return 0;
}

/* Counted last: what begins after that does not find it claimed. */
static void disown(struct chunk_sink *sink, const struct id *id)
{
	index_feed_unclaim(sink->feed, id);
	sink->losses++;
}

/*
 * The frame is dropped. All that is stored at this moment may rely on its chunks,
 * also on those that were claimed here and are stored by nobody now; what begins
 * once the loss is counted stores them again.
 */
static int lose_frame(struct chunk_stream *stream,
		const struct open_frame *frame, int err) REQUIRES(stream->mutex)
{
	struct chunk_sink *sink = stream->sink;
	if (!sink->outlives_losses)
		return pack_writer_fail(sink->writer, err);
	for (uint32_t i = 0; i < frame->count; i++)
		disown(sink, &frame->chunks[i].id);
	return err;
}

/* Compresses and writes the open frame of KIND. */
static int flush_frame(struct chunk_stream *stream, enum pack_kind kind)
		REQUIRES(stream->mutex)
{
	struct open_frame *frame = &stream->frames[kind];
	struct packed_frame packed = {
		.box = stream->box,
		.plain_len = frame->len,
		.chunks = frame->chunks,
		.chunk_count = frame->count,
	};
	if (frame->count == 0)
		return 0;
	packed.len = frame_codec_encode(stream->encoder,
			packed.box + SEAL_NONCE_SIZE, frame->plain, frame->len,
			&packed.compression);
	int err = check_frame(stream, frame, &packed);
	if (err < 0)
		err = lose_frame(stream, frame, err);
	frame->len = frame->count = 0;
	if (err < 0)
		return err;
	err = pack_writer_put(stream->sink->writer, kind, &packed);
	if (err < 0)
		return err;
	LOCK_SCOPE(&stream->sink->stats_mutex);
	stream->stats.stored_bytes += packed.len + SEAL_OVERHEAD;
	return 0;
}

/* 1: stored, or another stream is about to; 0: not known; -errno. */
static int is_known(struct chunk_sink *sink, enum pack_kind kind,
		const struct id *id)
{
	struct chunk_place place;
	int err = pack_writer_error(sink->writer);
	if (err < 0)
		return err;
	if (index_feed_knows(sink->feed, id))
		return 1;
	err = pack_cache_find(sink->packs, kind, id, &place);
	if (err == 1)
		pack_cache_release(place.pack);
	return err;
}

static void count_chunk(struct chunk_sink_stats *stats, bool known,
		uint32_t len)
{
	if (known) {
		stats->known_bytes += len;
		return;
	}
	stats->new_bytes += len;
	stats->new_chunks++;
}

/* 1: this stream is the first to have the id and must store it; 0; -errno. */
static int claim(struct chunk_stream *stream, enum pack_kind kind,
		const struct id *id, uint32_t len)
{
	struct chunk_sink *sink = stream->sink;
	int known = is_known(sink, kind, id);
	if (known < 0)
		return known;
	if (known == 0) {
		int claimed = index_feed_claim(sink->feed, id);
		if (claimed < 0)
			return pack_writer_fail(sink->writer, claimed);
		known = claimed == 0;
	}
	if (kind == PACK_DATA) {
		LOCK_SCOPE(&sink->stats_mutex);
		count_chunk(&sink->stats, known, len);
		count_chunk(&stream->stats, known, len);
	}
	return known ? 0 : 1;
}

struct chunk_entry chunk_stream_name_node(const struct seal *seal,
		const void *plain, size_t len)
{
	struct chunk_entry node = { .len = (uint32_t)len };
	node.checksum = checksum_chunk(seal_cut_seed(seal), plain, len);
	seal_id(seal, ID_NODE, &node.id, plain, len);
	return node;
}

int chunk_stream_put(struct chunk_stream *stream, enum pack_kind kind,
		const struct chunk_entry *chunk, const void *data)
{
	const struct chunk_sink *sink = stream->sink;
	const uint32_t frame_size = sink->config->frame_size;
	struct open_frame *frame = &stream->frames[kind];
	assert(kind == PACK_DATA || kind == PACK_TREE);
	assert(chunk->len != 0);
	LOCK_SCOPE(&stream->mutex);
	int err = claim(stream, kind, &chunk->id, chunk->len);
	if (err <= 0)
		return err;
	if (frame->count != 0 && frame->len + chunk->len > frame_size) {
		err = flush_frame(stream, kind);
		if (err < 0) {
			disown(stream->sink, &chunk->id);
			return err;
		}
	}
	memcpy(frame->plain + frame->len, data, chunk->len);
	frame->chunks[frame->count] = *chunk;
	frame->chunks[frame->count++].offset = frame->len;
	frame->len += chunk->len;
	if (frame->len >= frame_size || frame->count == FRAME_CHUNKS_MAX)
		return flush_frame(stream, kind);
	return 0;
}

int chunk_stream_flush(struct chunk_stream *stream)
{
	LOCK_SCOPE(&stream->mutex);
	int err = flush_frame(stream, PACK_DATA);
	return err < 0 ? err : flush_frame(stream, PACK_TREE);
}

void chunk_stream_stats(struct chunk_stream *stream,
		struct chunk_sink_stats *out)
{
	LOCK_SCOPE(&stream->sink->stats_mutex);
	*out = stream->stats;
}
