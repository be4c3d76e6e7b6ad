/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: whoever is to delete a snapshot waits while a living
 * session marks, and for no dead one. */
#include "directory.h"
#include "repo/base/error.h"
#include "repo/session/marking.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	char directory[DIRECTORY_MAX], path[96];
	struct repository *repo;
	struct session *session;
	_Atomic int waited; /* 1: marking_wait has returned 0 */
};

static void open_repository(const struct fixture *f, struct repository **out)
{
	struct repository_options o = { .index_dir = NULL };
	assert_int_equal(repository_open(out, f->path, &o), 0);
	assert_int_equal(repository_attach(*out, &o), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct repository_options o = { .index_dir = NULL };
	struct config c;
	assert_int_equal(seal_global_init(), 0);
	unsetenv("AMBERFS_KEY_FILE");
	unsetenv("AMBERFS_PASSPHRASE");
	assert_int_equal(directory_make(f->directory, "test_marking"), 0);
	snprintf(f->path, sizeof(f->path), "%s/repo", f->directory);
	config_defaults(&c, false);
	assert_int_equal(repository_init(f->path, &o, &c), 0);
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

static void *wait_for_end(void *arg)
{
	struct fixture *f = arg;
	f->waited = marking_wait(f->repo) == 0 ? 1 : -1;
	return NULL;
}

static void test_waits_for_the_living(void **state)
{
	struct fixture *f = *state;
	pthread_t waiter;
	open_repository(f, &f->repo);
	assert_int_equal(session_begin(&f->session, f->repo, SESSION_PRUNE,
					 NULL),
			0);
	assert_int_equal(marking_wait(f->repo), 0);
	assert_int_equal(marking_end(f->session), 0);
	assert_int_equal(marking_begin(f->session), 0);
	assert_int_equal(pthread_create(&waiter, NULL, wait_for_end, f), 0);
	usleep(300000);
	assert_int_equal(f->waited, 0);
	assert_int_equal(marking_end(f->session), 0);
	pthread_join(waiter, NULL);
	assert_int_equal(f->waited, 1);
}

static void test_waits_for_no_dead(void **state)
{
	struct fixture *f = *state;
	int status = -1;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct repository *repo = NULL;
		struct session *session = NULL;
		open_repository(f, &repo);
		if (session_begin(&session, repo, SESSION_PRUNE, NULL) < 0
				|| marking_begin(session) < 0)
			_exit(1);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	open_repository(f, &f->repo);
	assert_int_equal(marking_wait(f->repo), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_waits_for_the_living,
				setup, teardown),
		cmocka_unit_test_setup_teardown(test_waits_for_no_dead, setup,
				teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
