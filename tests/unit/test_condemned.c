/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: a writing session acknowledges an epoch only with the
 * condemned packs listed that it has found chunks in, finds none there from
 * then on (also when the condemned object is gone), and one that was taken for
 * dead stays fenced. */
#include "directory.h"
#include "repo/base/error.h"
#include "repo/pack/chunk_stream.h"
#include "repo/session/condemned.h"
#include "repo/session/session.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	char directory[DIRECTORY_MAX], path[96];
	struct repository *repo;
	struct session *session;
	struct id chunk;
	struct pack_id pack; /* that the chunk is in */
};

/* Stores a chunk in a pack of a session that has ended. */
static void store_chunk(struct fixture *f)
{
	struct chunk_sink *sink;
	struct chunk_stream *stream;
	struct session *writer;
	struct chunk_place place;
	uint8_t data[5000];
	memset(data, 7, sizeof(data));
	seal_id(f->repo->seal, ID_CHUNK, &f->chunk, data, sizeof(data));
	assert_int_equal(session_begin(&writer, f->repo, SESSION_BACKUP, NULL),
			0);
	const struct pack_target target = { .store = f->repo->store,
		.seal = f->repo->seal,
		.config = &f->repo->config,
		.session = session_id(writer) };
	assert_int_equal(chunk_sink_new(&sink, &target, f->repo->packs,
					 f->repo->index, 1),
			0);
	assert_int_equal(chunk_stream_new(sink, &stream), 0);
	const struct chunk_entry chunk = { .id = f->chunk,
		.len = sizeof(data) };
	assert_int_equal(chunk_stream_put(stream, PACK_DATA, &chunk, data), 0);
	assert_int_equal(chunk_stream_flush(stream), 0);
	assert_int_equal(chunk_sink_barrier(sink, true), 0);
	chunk_stream_free(stream);
	chunk_sink_free(sink);
	assert_int_equal(pack_cache_locate(f->repo->packs, PACK_DATA, &f->chunk,
					 NULL, &place),
			0);
	f->pack = place.pack->trailer->pack;
	pack_cache_release(place.pack);
	assert_true(pack_id_is_of(&f->pack, session_id(writer)));
	session_end(writer);
}

static void open_again(struct fixture *f)
{
	struct repository_options o = { .index_dir = NULL };
	repository_close(f->repo);
	assert_int_equal(repository_open(&f->repo, f->path, &o), 0);
	assert_int_equal(repository_attach(f->repo, &o), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct repository_options o = { .index_dir = NULL };
	struct config c;
	assert_int_equal(seal_global_init(), 0);
	unsetenv("AMBERFS_KEY_FILE");
	unsetenv("AMBERFS_PASSPHRASE");
	assert_int_equal(directory_make(f->directory, "test_condemned"), 0);
	snprintf(f->path, sizeof(f->path), "%s/repo", f->directory);
	config_defaults(&c, false);
	assert_int_equal(repository_init(f->path, &o, &c), 0);
	open_again(f);
	store_chunk(f);
	open_again(f);
	assert_int_equal(session_begin(&f->session, f->repo, SESSION_BACKUP,
					 NULL),
			0);
	assert_false(pack_id_is_of(&f->pack, session_id(f->session)));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	session_end(f->session);
	repository_close(f->repo);
	int err = directory_remove(f->directory);
	free(f);
	return err;
}

static int find(struct fixture *f)
{
	struct chunk_place place;
	int err = pack_cache_find(f->repo->packs, PACK_DATA, &f->chunk, &place);
	if (err == 1)
		pack_cache_release(place.pack);
	return err;
}

struct answer {
	const char *id;
	uint64_t acknowledged;
	uint32_t held;
	struct pack_id first;
};

static int note_answer(void *ctx, const char *id, bool alive,
		const struct session_record *record)
{
	struct answer *answer = ctx;
	if (strcmp(id, answer->id) != 0 || !alive || record == NULL)
		return 0;
	answer->acknowledged = record->acknowledged;
	answer->held = record->held_count;
	if (answer->held > 0)
		answer->first = record->held[0];
	return 0;
}

static struct answer answer_of(struct fixture *f)
{
	struct answer a = { .id = session_id(f->session) };
	assert_int_equal(session_list(f->repo, note_answer, &a), 0);
	return a;
}

static uint64_t condemn_it(struct fixture *f)
{
	uint64_t epoch = 0;
	assert_int_equal(condemned_add(f->repo, &f->pack, 1), 0);
	assert_int_equal(condemned_add(f->repo, &f->pack, 1), 0);
	assert_int_equal(condemned_announce_epoch(f->repo, 0, &epoch), 0);
	return epoch;
}

static void test_holds_what_it_found(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(find(f), 1);
	uint64_t epoch = condemn_it(f);
	assert_int_equal(epoch, 1);
	assert_int_equal(session_acknowledge(f->session), 0);
	struct answer a = answer_of(f);
	assert_int_equal(a.acknowledged, epoch);
	assert_int_equal(a.held, 1);
	assert_memory_equal(&a.first, &f->pack, sizeof(f->pack));
	assert_int_equal(find(f), 0);
}

static void test_holds_nothing_else(void **state)
{
	struct fixture *f = *state;
	uint64_t epoch = condemn_it(f);
	assert_int_equal(session_acknowledge(f->session), 0);
	struct answer a = answer_of(f);
	assert_int_equal(a.acknowledged, epoch);
	assert_int_equal(a.held, 0);
	assert_int_equal(find(f), 0);
}

static void test_answers_by_itself(void **state)
{
	struct fixture *f = *state;
	uint64_t epoch = condemn_it(f);
	for (int i = 0; i < 300 && answer_of(f).acknowledged != epoch; i++)
		usleep(50000);
	assert_int_equal(answer_of(f).acknowledged, epoch);
}

static void test_stays_condemned(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(find(f), 1); /* its trailer is in memory now */
	condemn_it(f);
	assert_int_equal(session_acknowledge(f->session), 0);
	assert_int_equal(condemned_clear(f->repo, &f->pack), 0);
	uint64_t epoch;
	assert_int_equal(condemned_announce_epoch(f->repo, 0, &epoch), 0);
	assert_int_equal(epoch, 2);
	assert_int_equal(session_acknowledge(f->session), 0);
	assert_int_equal(find(f), 0);
}

static void test_epochs_grow(void **state)
{
	struct fixture *f = *state;
	uint64_t epoch = 0;
	assert_int_equal(condemned_announce_epoch(f->repo, 41, &epoch), 0);
	assert_int_equal(epoch, 42);
	assert_int_equal(condemned_announce_epoch(f->repo, 0, &epoch), 0);
	assert_int_equal(epoch, 43);
	assert_int_equal(condemned_latest_epoch(f->repo, &epoch), 0);
	assert_int_equal(epoch, 43);
}

static int delete_record(void *ctx, const char *name)
{
	const struct fixture *f = ctx;
	if (strstr(name, session_id(f->session)) != NULL)
		assert_int_equal(store_delete(f->repo->store, name), 0);
	return 0;
}

static void test_fenced_for_good(void **state)
{
	struct fixture *f = *state;
	struct id root = { { 1 } };
	assert_int_equal(session_check(f->session), 0);
	assert_int_equal(store_list(f->repo->store, "sessions/", delete_record,
					 f),
			0);
	assert_int_equal(session_add_root(f->session, &root), -ESTALE);
	assert_int_equal(session_check(f->session), -ESTALE);
	assert_int_equal(session_add_root(f->session, &root), -ESTALE);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_holds_what_it_found),
		CASE(test_holds_nothing_else),
		CASE(test_answers_by_itself),
		CASE(test_stays_condemned),
		CASE(test_epochs_grow),
		CASE(test_fenced_for_good),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
