/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What chunk_sink.c and chunk_stream.c share. */
#ifndef AMBERFS_PACK_CHUNK_SINK_INTERNAL_H
#define AMBERFS_PACK_CHUNK_SINK_INTERNAL_H

#include <pthread.h>

#include "chunk_sink.h"
#include "index_feed.h"
#include "pack_writer.h"
#include "repo/base/thread_safety.h"

/* Order of locks: streams_mutex, a stream's mutex, stats_mutex. Those of the
 * writer, the feed and the cache are taken inside of a stream's. */
struct chunk_sink {
	const struct config *config;
	struct pack_cache *packs;
	struct index_feed *feed;
	struct pack_writer *writer;
	int zstd_level;
	uint64_t seed; /* of checksums */
	bool proofreading;
	bool outlives_losses;
	_Atomic uint64_t losses;

	pthread_mutex_t streams_mutex;
	struct chunk_stream *streams GUARDED_BY(streams_mutex);

	pthread_mutex_t stats_mutex;
	/* Its stored_bytes are the writer's. */
	struct chunk_sink_stats stats GUARDED_BY(stats_mutex);
};

#endif
