/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "index_feed.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "id_set.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"

/* Chunks that the index gets in one go. */
#define BATCH_CHUNKS (128u << 10)
/* Chunks that are remembered while they can't be added to the index, some 100
 * bytes each. Beyond that the oldest are forgotten: found again, they are
 * stored twice. */
#define WAITING_CHUNKS_MAX (4u << 20)

struct index_feed {
	struct index *index;
	pthread_mutex_t mutex;
	pthread_cond_t done; /* running became false */
	struct id_set *claimed GUARDED_BY(mutex);
	struct index_pack *packs GUARDED_BY(mutex); /* waiting, oldest first */
	/* Of each of these, all full ids */
	struct id **ids GUARDED_BY(mutex);
	size_t count GUARDED_BY(mutex);
	size_t room GUARDED_BY(mutex);
	uint64_t chunks GUARDED_BY(mutex); /* of all waiting packs */
	/* So many chunks are a batch */
	uint64_t due_at GUARDED_BY(mutex);
	/* The index is being given some */
	bool running GUARDED_BY(mutex);
	/* .err != 0: the index lags */
	struct error_copy error GUARDED_BY(mutex);
};

struct index_feed *index_feed_new(struct index *index)
{
	struct index_feed *feed = calloc(1, sizeof(*feed));
	if (feed == NULL)
		return NULL;
	feed->index = index;
	pthread_mutex_init(&feed->mutex, NULL);
	feed->due_at = BATCH_CHUNKS;
	pthread_cond_init(&feed->done, NULL);
	feed->claimed = id_set_new();
	if (feed->claimed == NULL) {
		index_feed_free(feed);
		return NULL;
	}
	return feed;
}

/* Drops the COUNT oldest packs, and with FORGET their ids. */
static void drop_oldest(struct index_feed *feed, size_t count, bool forget)
		REQUIRES(feed->mutex)
{
	if (count == 0)
		return;
	for (size_t i = 0; i < count; i++) {
		struct index_pack *pack = &feed->packs[i];
		for (uint32_t j = 0; forget && j < pack->count; j++)
			id_set_remove(feed->claimed, &feed->ids[i][j]);
		feed->chunks -= pack->count;
		free(pack->prefixes);
		free(feed->ids[i]);
	}
	feed->count -= count;
	memmove(feed->packs, feed->packs + count,
			feed->count * sizeof(*feed->packs));
	memmove(feed->ids, feed->ids + count, feed->count * sizeof(*feed->ids));
}

void index_feed_free(struct index_feed *feed)
{
	if (feed == NULL)
		return;
	not_shared(&feed->mutex);
	drop_oldest(feed, feed->count, false);
	free(feed->packs);
	free(feed->ids);
	id_set_free(feed->claimed);
	pthread_mutex_destroy(&feed->mutex);
	pthread_cond_destroy(&feed->done);
	free(feed);
}

bool index_feed_knows(struct index_feed *feed, const struct id *id)
{
	LOCK_SCOPE(&feed->mutex);
	return id_set_contains(feed->claimed, id);
}

int index_feed_claim(struct index_feed *feed, const struct id *id)
{
	LOCK_SCOPE(&feed->mutex);
	int added = id_set_add(feed->claimed, id);
	return added >= 0 ? added : fail_errno(added, "remembering new chunks");
}

void index_feed_unclaim(struct index_feed *feed, const struct id *id)
{
	LOCK_SCOPE(&feed->mutex);
	id_set_remove(feed->claimed, id);
}

/* Room for another waiting pack. */
static int make_room(struct index_feed *feed) REQUIRES(feed->mutex)
{
	if (feed->count < feed->room)
		return 0;
	size_t room = feed->room != 0 ? 2 * feed->room : 16;
	void *packs = realloc(feed->packs, room * sizeof(*feed->packs));
	if (packs != NULL)
		feed->packs = packs;
	void *ids = realloc(feed->ids, room * sizeof(*feed->ids));
	if (ids != NULL)
		feed->ids = ids;
	if (packs == NULL || ids == NULL)
		return -ENOMEM;
	feed->room = room;
	return 0;
}

int index_feed_add(struct index_feed *feed, const struct trailer *trailer)
{
	size_t count = trailer->chunk_count;
	assert(trailer->chunk_count >= 1);
	CLEANUP_FREE uint64_t *prefixes =
			malloc((count + 1) * sizeof(*prefixes));
	CLEANUP_FREE struct id *ids = malloc((count + 1) * sizeof(*ids));
	if (prefixes == NULL || ids == NULL)
		return fail_no_memory("ending a pack");
	for (size_t i = 0; i < count; i++) {
		ids[i] = trailer->chunks[i].id;
		prefixes[i] = id_prefix(&ids[i]);
	}
	LOCK_SCOPE(&feed->mutex);
	int err = make_room(feed);
	if (err < 0)
		return fail_errno(err, "ending a pack");
	feed->ids[feed->count] = take_ptr(ids);
	feed->packs[feed->count++] = (struct index_pack){
		.pack = trailer->pack,
		.kind = trailer->kind,
		.count = trailer->chunk_count,
		.prefixes = take_ptr(prefixes),
	};
	feed->chunks += count;
	return 0;
}

bool index_feed_due(struct index_feed *feed)
{
	LOCK_SCOPE(&feed->mutex);
	return feed->chunks >= feed->due_at;
}

/* Gives the index COUNT packs; the mutex is dropped meanwhile. */
static int give(struct index_feed *feed, const struct index_pack *packs,
		size_t count) REQUIRES(feed->mutex)
{
	assert(!feed->running);
	feed->running = true;
	pthread_mutex_unlock(&feed->mutex);
	int err = index_merge_packs(feed->index, packs, count);
	pthread_mutex_lock(&feed->mutex);
	feed->running = false;
	pthread_cond_broadcast(&feed->done);
	return err;
}

void index_feed_run(struct index_feed *feed)
{
	LOCK_SCOPE(&feed->mutex);
	while (feed->running)
		pthread_cond_wait(&feed->done, &feed->mutex);
	size_t count = feed->count;
	CLEANUP_FREE struct index_pack *copy =
			malloc((count + 1) * sizeof(*copy));
	if (count == 0 || copy == NULL)
		return;
	memcpy(copy, feed->packs, count * sizeof(*copy));
	int err = give(feed, copy, count);
	error_save(&feed->error, err);
	if (err == 0)
		drop_oldest(feed, count, true);
	while (feed->chunks > WAITING_CHUNKS_MAX)
		drop_oldest(feed, 1, true);
	/* An unavailable index (whose lock is waited for) must not be tried at
	 * every pack. */
	feed->due_at = feed->chunks + BATCH_CHUNKS;
}

int index_feed_error(struct index_feed *feed)
{
	LOCK_SCOPE(&feed->mutex);
	return feed->error.err != 0 ? error_load(&feed->error) : 0;
}
