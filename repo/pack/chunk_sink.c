/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "chunk_sink.h"

#include <assert.h>
#include <stdlib.h>

#include "chunk_sink_internal.h"
#include "chunk_stream.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"

int chunk_sink_new(struct chunk_sink **out, const struct pack_target *target,
		struct pack_cache *packs, struct index *index, int zstd_level)
{
	struct chunk_sink *sink = calloc(1, sizeof(*sink));
	if (sink == NULL)
		return fail_no_memory("starting to write");
	sink->config = target->config;
	sink->packs = packs;
	sink->zstd_level = zstd_level;
	sink->seed = seal_cut_seed(target->seal);
	pthread_mutex_init(&sink->streams_mutex, NULL);
	pthread_mutex_init(&sink->stats_mutex, NULL);
	sink->feed = index_feed_new(index);
	int err = sink->feed != NULL ? pack_writer_new(&sink->writer, target,
				  packs, sink->feed)
				     : fail_no_memory("starting to write");
	if (err < 0) {
		chunk_sink_free(sink);
		return err;
	}
	*out = sink;
	return 0;
}

void chunk_sink_proofread(struct chunk_sink *sink)
{
	sink->proofreading = true;
}

void chunk_sink_outlive_losses(struct chunk_sink *sink)
{
	sink->outlives_losses = true;
}

uint64_t chunk_sink_losses(const struct chunk_sink *sink)
{
	return sink->losses;
}

void chunk_sink_free(struct chunk_sink *sink)
{
	if (sink == NULL)
		return;
	not_shared(&sink->streams_mutex);
	assert(sink->streams == NULL);
	pack_writer_free(sink->writer);
	index_feed_free(sink->feed);
	pthread_mutex_destroy(&sink->streams_mutex);
	pthread_mutex_destroy(&sink->stats_mutex);
	free(sink);
}

/* Ends the open frames of all streams: each claimed chunk is in a frame then,
 * since a stream's mutex is held from the claim to the end of the put. */
static int flush_streams(struct chunk_sink *sink)
{
	LOCK_SCOPE(&sink->streams_mutex);
	struct chunk_stream *stream = sink->streams;
	while (stream != NULL) {
		int err = chunk_stream_flush(stream);
		if (err < 0)
			return err;
		stream = chunk_stream_next(stream);
	}
	return 0;
}

int chunk_sink_barrier(struct chunk_sink *sink, bool last)
{
	int err = flush_streams(sink);
	if (err < 0)
		return err;
	err = pack_writer_finish(sink->writer);
	if (err < 0)
		return err;
	if (last || index_feed_due(sink->feed))
		index_feed_run(sink->feed);
	return 0;
}

bool chunk_sink_failed(struct chunk_sink *sink)
{
	return pack_writer_error(sink->writer) != 0;
}

int chunk_sink_index_error(struct chunk_sink *sink)
{
	return index_feed_error(sink->feed);
}

void chunk_sink_stats(struct chunk_sink *sink, struct chunk_sink_stats *out)
{
	uint64_t stored_bytes = pack_writer_stored_bytes(sink->writer);
	LOCK_SCOPE(&sink->stats_mutex);
	*out = sink->stats;
	out->stored_bytes = stored_bytes;
}
