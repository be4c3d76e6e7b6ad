/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: after a barrier everything that was put before is durable,
 * also what another thread's stream had claimed and not yet stored, while the
 * others go on putting; and no chunk is stored twice. */
#include "directory.h"
#include "repo/base/error.h"
#include "repo/format/checksum.h"
#include "repo/pack/chunk_stream.h"
#include "repo/session/session.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LANES 3u
#define CHUNKS 240u /* of each lane */
#define SHARED 3u   /* every so manieth is everyone's */
#define CHUNK_LEN 20000u
#define BARRIER_EVERY 60u

struct fixture {
	char directory[DIRECTORY_MAX], path[96];
	struct repository *repo;
	struct session *session;
	struct chunk_sink *sink;
};

static struct repository *open_repo(const struct fixture *f)
{
	struct repository_options o = { .index_dir = NULL };
	struct repository *repo = NULL;
	assert_int_equal(repository_open(&repo, f->path, &o), 0);
	assert_int_equal(repository_attach(repo, &o), 0);
	return repo;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct repository_options o = { .index_dir = NULL };
	struct config c;
	assert_non_null(f);
	assert_int_equal(seal_global_init(), 0);
	unsetenv("AMBERFS_KEY_FILE");
	unsetenv("AMBERFS_PASSPHRASE");
	assert_int_equal(directory_make(f->directory, "test_sink"), 0);
	snprintf(f->path, sizeof(f->path), "%s/repo", f->directory);
	config_defaults(&c, false);
	assert_int_equal(repository_init(f->path, &o, &c), 0);
	f->repo = open_repo(f);
	assert_int_equal(session_begin(&f->session, f->repo, SESSION_BACKUP,
					 NULL),
			0);
	const struct pack_target target = { .store = f->repo->store,
		.seal = f->repo->seal,
		.config = &f->repo->config,
		.session = session_id(f->session) };
	assert_int_equal(chunk_sink_new(&f->sink, &target, f->repo->packs,
					 f->repo->index, 1),
			0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	chunk_sink_free(f->sink);
	session_end(f->session);
	repository_close(f->repo);
	directory_remove(f->directory);
	free(f);
	return 0;
}

/* Chunk N: bytes that don't compress to nothing. */
static void make_chunk(const struct fixture *f, unsigned n,
		uint8_t data[CHUNK_LEN], struct id *id)
{
	uint32_t x = n * 2654435761u + 1;
	for (unsigned i = 0; i < CHUNK_LEN; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		data[i] = (uint8_t)x;
	}
	seal_id(f->repo->seal, ID_CHUNK, id, data, CHUNK_LEN);
}

/* How many of IDS somebody who opens the repository now finds. */
static unsigned found(const struct fixture *f, const struct id *ids,
		unsigned count)
{
	struct repository *repo = open_repo(f);
	unsigned n = 0;
	assert_int_equal(index_reconcile(repo->index), 0);
	for (unsigned i = 0; i < count; i++) {
		struct chunk_place place;
		if (pack_cache_find(repo->packs, PACK_DATA, &ids[i], &place)
				!= 1)
			continue;
		pack_cache_release(place.pack);
		n++;
	}
	repository_close(repo);
	return n;
}

/* A chunk whose bytes changed since its checksum was made is not stored, and
 * nothing is after that. */
static void test_changed_bytes(void **state)
{
	struct fixture *f = *state;
	struct chunk_stream *stream = NULL;
	uint8_t data[CHUNK_LEN];
	struct id id;
	make_chunk(f, 1, data, &id);
	const struct chunk_entry chunk = { .id = id,
		.len = CHUNK_LEN,
		.checksum = checksum_chunk(seal_cut_seed(f->repo->seal), data,
				CHUNK_LEN) };
	data[CHUNK_LEN / 2] ^= 1;
	assert_int_equal(chunk_stream_new(f->sink, &stream), 0);
	assert_int_equal(chunk_stream_put(stream, PACK_DATA, &chunk, data), 0);
	assert_int_equal(chunk_stream_flush(stream), -EIO);
	assert_int_equal(chunk_sink_barrier(f->sink, false), -EIO);
	assert_int_equal(found(f, &id, 1), 0);
	chunk_stream_free(stream);
}

static void test_claimed_by_another(void **state)
{
	struct fixture *f = *state;
	struct chunk_stream *one = NULL, *two = NULL;
	struct chunk_sink_stats a, b;
	uint8_t data[CHUNK_LEN];
	struct id id;
	make_chunk(f, 1, data, &id);
	const struct chunk_entry chunk = { .id = id, .len = CHUNK_LEN };
	assert_int_equal(chunk_stream_new(f->sink, &one), 0);
	assert_int_equal(chunk_stream_new(f->sink, &two), 0);
	assert_int_equal(chunk_stream_put(one, PACK_DATA, &chunk, data), 0);
	assert_int_equal(chunk_stream_put(two, PACK_DATA, &chunk, data), 0);
	assert_int_equal(found(f, &id, 1), 0);
	assert_int_equal(chunk_sink_barrier(f->sink, false), 0);
	assert_int_equal(found(f, &id, 1), 1);
	chunk_stream_stats(one, &a);
	chunk_stream_stats(two, &b);
	assert_int_equal(a.new_bytes, CHUNK_LEN);
	assert_int_equal(a.known_bytes, 0);
	assert_int_equal(b.new_bytes, 0);
	assert_int_equal(b.known_bytes, CHUNK_LEN);
	assert_true(a.stored_bytes >= CHUNK_LEN && b.stored_bytes == 0);
	chunk_stream_free(one);
	chunk_stream_free(two);
}

struct lane {
	struct fixture *f;
	unsigned number;
	struct chunk_stream *stream;
	struct id ids[CHUNKS];
	int err;
	unsigned missing;
};

static pthread_mutex_t looking = PTHREAD_MUTEX_INITIALIZER;

static void *lane_main(void *arg)
{
	struct lane *lane = arg;
	uint8_t data[CHUNK_LEN];
	for (unsigned i = 0; lane->err == 0 && i < CHUNKS; i++) {
		unsigned n = i % SHARED == 0 ? i
					     : (lane->number + 1) * 100000 + i;
		make_chunk(lane->f, n, data, &lane->ids[i]);
		const struct chunk_entry chunk = { .id = lane->ids[i],
			.len = CHUNK_LEN };
		lane->err = chunk_stream_put(lane->stream, PACK_DATA, &chunk,
				data);
		if (lane->err < 0 || (i + 1) % BARRIER_EVERY != 0)
			continue;
		lane->err = chunk_sink_barrier(lane->f->sink, false);
		pthread_mutex_lock(&looking);
		if (lane->err == 0)
			lane->missing += i + 1
					- found(lane->f, lane->ids, i + 1);
		pthread_mutex_unlock(&looking);
	}
	return NULL;
}

static void test_lanes(void **state)
{
	struct fixture *f = *state;
	struct lane *lanes = calloc(LANES, sizeof(*lanes));
	pthread_t threads[LANES];
	struct chunk_sink_stats st;
	assert_non_null(lanes);
	for (unsigned i = 0; i < LANES; i++) {
		lanes[i].f = f;
		lanes[i].number = i;
		assert_int_equal(chunk_stream_new(f->sink, &lanes[i].stream),
				0);
		assert_int_equal(pthread_create(&threads[i], NULL, lane_main,
						 &lanes[i]),
				0);
	}
	for (unsigned i = 0; i < LANES; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < LANES; i++) {
		assert_int_equal(lanes[i].err, 0);
		assert_int_equal(lanes[i].missing, 0);
		chunk_stream_free(lanes[i].stream);
	}
	chunk_sink_stats(f->sink, &st);
	unsigned shared = (CHUNKS + SHARED - 1) / SHARED;
	assert_int_equal(st.new_chunks, LANES * (CHUNKS - shared) + shared);
	free(lanes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_claimed_by_another, setup,
				teardown),
		cmocka_unit_test_setup_teardown(test_changed_bytes, setup,
				teardown),
		cmocka_unit_test_setup_teardown(test_lanes, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
