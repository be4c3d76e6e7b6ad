/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: who lists the sessions sees a living one with its record
 * at any instant, also while it publishes new records as fast as it can. */
#include "directory.h"
#include "repo/base/error.h"
#include "repo/session/session.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define LISTINGS 3000

struct fixture {
	char directory[DIRECTORY_MAX], path[96];
	struct repository *repo, *other;
	struct session *session;
	_Atomic bool stop;
	_Atomic int failed;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct repository_options o = { .index_dir = NULL };
	struct config c;
	assert_int_equal(seal_global_init(), 0);
	unsetenv("AMBERFS_KEY_FILE");
	unsetenv("AMBERFS_PASSPHRASE");
	assert_int_equal(directory_make(f->directory, "test_session"), 0);
	snprintf(f->path, sizeof(f->path), "%s/repo", f->directory);
	config_defaults(&c, false);
	assert_int_equal(repository_init(f->path, &o, &c), 0);
	assert_int_equal(repository_open(&f->repo, f->path, &o), 0);
	assert_int_equal(repository_attach(f->repo, &o), 0);
	assert_int_equal(repository_open(&f->other, f->path, &o), 0);
	assert_int_equal(session_begin(&f->session, f->repo, SESSION_MOUNT,
					 "here"),
			0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	session_end(f->session);
	repository_close(f->other);
	repository_close(f->repo);
	int err = directory_remove(f->directory);
	free(f);
	return err;
}

static void *publish_often(void *arg)
{
	struct fixture *f = arg;
	struct id root = { { 1 } };
	while (!f->stop && f->failed == 0) {
		if (session_add_root(f->session, &root) < 0
				|| session_leave(f->session, &root) < 0)
			f->failed = 1;
	}
	return NULL;
}

struct sight {
	const char *id;
	unsigned seen, readable;
};

static int look(void *ctx, const char *id, bool alive,
		const struct session_record *record)
{
	struct sight *sight = ctx;
	if (strcmp(id, sight->id) == 0 && alive) {
		sight->seen++;
		sight->readable += record != NULL;
	}
	return 0;
}

static void test_seen_at_any_instant(void **state)
{
	struct fixture *f = *state;
	pthread_t publisher;
	unsigned unseen = 0, unreadable = 0;
	assert_int_equal(pthread_create(&publisher, NULL, publish_often, f), 0);
	for (int i = 0; i < LISTINGS; i++) {
		struct sight s = { .id = session_id(f->session) };
		if (session_list(f->other, look, &s) < 0)
			f->failed = 1;
		unseen += s.seen != 1;
		unreadable += s.readable != 1;
	}
	f->stop = true;
	pthread_join(publisher, NULL);
	assert_int_equal(f->failed, 0);
	assert_int_equal(unseen, 0);
	assert_int_equal(unreadable, 0);
}

static void test_ended_is_unseen(void **state)
{
	struct fixture *f = *state;
	char id[64];
	snprintf(id, sizeof(id), "%s", session_id(f->session));
	session_end(f->session);
	f->session = NULL;
	struct sight s = { .id = id };
	assert_int_equal(session_list(f->other, look, &s), 0);
	assert_int_equal(s.seen, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_seen_at_any_instant, setup,
				teardown),
		cmocka_unit_test_setup_teardown(test_ended_is_unseen, setup,
				teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
