/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: exclusive work has one worker at any time, whoever races,
 * ends or dies, and a worker that was passed over is told. */
#include "directory.h"
#include "repo/base/error.h"
#include "repo/session/exclusive.h"
#include "repo/session/session.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ROUNDS 25
#define RACERS 4
#define TURNS 40

struct fixture {
	char directory[DIRECTORY_MAX], path[96], witness[112];
	struct repository_options options;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct config c;
	assert_non_null(f);
	assert_int_equal(seal_global_init(), 0);
	unsetenv("AMBERFS_KEY_FILE");
	unsetenv("AMBERFS_PASSPHRASE");
	assert_int_equal(directory_make(f->directory, "test_exclusive"), 0);
	snprintf(f->path, sizeof(f->path), "%s/repo", f->directory);
	snprintf(f->witness, sizeof(f->witness), "%s/witness", f->directory);
	config_defaults(&c, false);
	assert_int_equal(repository_init(f->path, &f->options, &c), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int err = directory_remove(f->directory);
	free(f);
	return err;
}

struct worker {
	struct repository *repo;
	struct session *session;
	struct exclusive *work;
};

static int worker_start(struct worker *worker, const struct fixture *f,
		enum session_kind kind)
{
	*worker = (struct worker){ .repo = NULL };
	int err = repository_open(&worker->repo, f->path, &f->options);
	if (err < 0)
		return err;
	err = repository_attach(worker->repo, &f->options);
	return err < 0 ? err
		       : session_begin(&worker->session, worker->repo, kind,
				       "here");
}

static int worker_take(struct worker *worker, const char *name)
{
	return exclusive_begin(&worker->work, worker->repo,
			session_id(worker->session), name);
}

static void worker_end(struct worker *worker)
{
	exclusive_end(worker->work);
	session_end(worker->session);
	repository_close(worker->repo);
	*worker = (struct worker){ .repo = NULL };
}

static bool there(const struct fixture *f, const char *object)
{
	char path[192];
	snprintf(path, sizeof(path), "%s/sessions/%s", f->path, object);
	return access(path, F_OK) == 0;
}

static void plant(const struct fixture *f, const char *object)
{
	char path[192];
	snprintf(path, sizeof(path), "%s/sessions/%s", f->path, object);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "nonsense", 8), 8);
	close(fd);
}

static void unplant(const struct fixture *f, const char *object)
{
	char path[192];
	snprintf(path, sizeof(path), "%s/sessions/%s", f->path, object);
	assert_int_equal(unlink(path), 0);
}

static void test_one_after_the_other(void **state)
{
	struct fixture *f = *state;
	struct worker a, b;
	char pid[64];
	assert_int_equal(worker_start(&a, f, SESSION_WRITE), 0);
	assert_int_equal(worker_start(&b, f, SESSION_WRITE), 0);
	assert_int_equal(worker_take(&a, "sweeping"), -EINVAL);
	assert_int_equal(worker_take(&a, "keys"), 0);
	assert_int_equal(exclusive_check(a.work), 0);
	assert_int_equal(worker_take(&b, "keys"), -EBUSY);
	snprintf(pid, sizeof(pid), "process %d on ", getpid());
	assert_non_null(strstr(error_text(-EBUSY), pid));
	/* The two kinds of work don't stand in each other's way. */
	assert_int_equal(worker_take(&b, "prune"), 0);
	assert_int_equal(exclusive_check(b.work), 0);
	exclusive_end(b.work);
	b.work = NULL;
	worker_end(&a);
	assert_int_equal(worker_take(&b, "keys"), 0);
	assert_int_equal(exclusive_check(b.work), 0);
	worker_end(&b);
	/* The counter stays, with its highest number only. */
	assert_false(there(f, "keys.0"));
	assert_true(there(f, "keys.1"));
	assert_true(there(f, "prune.0"));
}

static void test_passed_over(void **state)
{
	struct fixture *f = *state;
	struct worker a, b;
	char name[80];
	assert_int_equal(worker_start(&a, f, SESSION_PRUNE), 0);
	assert_int_equal(worker_start(&b, f, SESSION_PRUNE), 0);
	assert_int_equal(worker_take(&a, "prune"), 0);
	/* Taken for dead: first the lease goes, then the record. */
	snprintf(name, sizeof(name), "%s.lock", session_id(a.session));
	unplant(f, name);
	assert_int_equal(exclusive_check(a.work), -ESTALE);
	assert_int_equal(worker_take(&b, "prune"), 0);
	assert_int_equal(exclusive_check(a.work), -ESTALE);
	assert_int_equal(exclusive_check(b.work), 0);
	snprintf(name, sizeof(name), "%s.0", session_id(b.session));
	unplant(f, name);
	assert_int_equal(exclusive_check(b.work), -ESTALE);
	worker_end(&a);
	worker_end(&b);
}

static void test_unreadable(void **state)
{
	struct fixture *f = *state;
	struct worker a, b;
	assert_int_equal(worker_start(&a, f, SESSION_WRITE), 0);
	assert_int_equal(worker_start(&b, f, SESSION_WRITE), 0);
	plant(f, "keys.41");
	plant(f, "keys.0042");
	plant(f, "keys.4a");
	plant(f, "keys.99999999999999999999");
	assert_int_equal(worker_take(&b, "keys"), -EBUSY); /* A may hold it */
	worker_end(&a);
	assert_int_equal(worker_take(&b, "keys"), 0);
	assert_true(there(f, "keys.42"));
	assert_false(there(f, "keys.41"));
	worker_end(&b);
	plant(f, "keys.999999999999999999");
	assert_int_equal(worker_start(&b, f, SESSION_WRITE), 0);
	assert_int_equal(worker_take(&b, "keys"), -EBADMSG);
	worker_end(&b);
}

static int count_session(void *ctx, const char *id, bool alive,
		const struct session_record *record)
{
	(void)id;
	(void)alive;
	(void)record;
	++*(int *)ctx;
	return 0;
}

static void test_no_session(void **state)
{
	struct fixture *f = *state;
	struct worker a, b;
	int count = 0;
	assert_int_equal(worker_start(&a, f, SESSION_WRITE), 0);
	assert_int_equal(worker_take(&a, "keys"), 0);
	assert_int_equal(session_list(a.repo, count_session, &count), 0);
	assert_int_equal(count, 1);
	worker_end(&a);
	/* The next session that begins buries the dead, and not this. */
	assert_int_equal(worker_start(&b, f, SESSION_WRITE), 0);
	assert_true(there(f, "keys.0"));
	worker_end(&b);
}

static void hold_until_killed(const struct fixture *f, int tell)
{
	struct worker w;
	int err = worker_start(&w, f, SESSION_WRITE);
	if (err == 0)
		err = worker_take(&w, "keys");
	if (write(tell, &err, sizeof(err)) == sizeof(err))
		pause();
	_exit(1);
}

static void test_killed_holder(void **state)
{
	struct fixture *f = *state;
	struct worker w;
	int pipes[2], r = -1;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	pid_t child = fork();
	if (child == 0)
		hold_until_killed(f, pipes[1]);
	assert_int_equal(read(pipes[0], &r, sizeof(r)), sizeof(r));
	assert_int_equal(r, 0);
	assert_int_equal(worker_start(&w, f, SESSION_WRITE), 0);
	assert_int_equal(worker_take(&w, "keys"), -EBUSY);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(worker_take(&w, "keys"), 0);
	assert_int_equal(exclusive_check(w.work), 0);
	worker_end(&w);
	close(pipes[0]);
	close(pipes[1]);
}

/* Reports what it got and then waits for the end of all. */
static void race_once(const struct fixture *f, int start, int tell, int end)
{
	struct worker w;
	char c;
	int err = worker_start(&w, f, SESSION_WRITE);
	if (err < 0 || write(tell, "r", 1) != 1 || read(start, &c, 1) != 0)
		_exit(1);
	err = worker_take(&w, "keys");
	c = err == 0 ? 'w' : err == -EBUSY ? 'b' : '?';
	if (write(tell, &c, 1) != 1 || read(end, &c, 1) != 0)
		_exit(1);
	worker_end(&w);
	_exit(0);
}

static void collect(int from, char out[RACERS])
{
	for (int i = 0; i < RACERS; i++)
		assert_int_equal(read(from, &out[i], 1), 1);
}

static void race(const struct fixture *f)
{
	int start[2], tell[2], end[2], won = 0;
	pid_t children[RACERS];
	char said[RACERS];
	assert_int_equal(pipe2(start, O_CLOEXEC), 0);
	assert_int_equal(pipe2(tell, O_CLOEXEC), 0);
	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	for (int i = 0; i < RACERS; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			close(start[1]);
			close(end[1]);
			race_once(f, start[0], tell[1], end[0]);
		}
	}
	collect(tell[0], said);
	close(start[1]);
	collect(tell[0], said);
	for (int i = 0; i < RACERS; i++) {
		assert_true(said[i] == 'w' || said[i] == 'b');
		won += said[i] == 'w';
	}
	assert_int_equal(won, 1);
	close(end[1]);
	for (int i = 0; i < RACERS; i++) {
		int status = -1;
		waitpid(children[i], &status, 0);
		assert_int_equal(status, 0);
	}
	close(start[0]);
	close(tell[0]);
	close(tell[1]);
	close(end[0]);
}

static void test_racing_takers(void **state)
{
	for (int i = 0; i < ROUNDS; i++)
		race(*state);
}

/* Takes its turns; nobody else may be at it during one. */
static void take_turns(const struct fixture *f)
{
	for (int turns = 0; turns < TURNS;) {
		struct worker w;
		if (worker_start(&w, f, SESSION_WRITE) < 0)
			_exit(1);
		int err = worker_take(&w, "keys");
		if (err < 0 && err != -EBUSY)
			_exit(2);
		if (err == 0) {
			int fd = open(f->witness, O_CREAT | O_EXCL | O_CLOEXEC,
					0600);
			if (fd < 0 || exclusive_check(w.work) < 0)
				_exit(3);
			close(fd);
			unlink(f->witness);
			turns++;
		}
		worker_end(&w);
	}
	_exit(0);
}

static void test_many_turns(void **state)
{
	pid_t children[RACERS];
	for (int i = 0; i < RACERS; i++) {
		children[i] = fork();
		if (children[i] == 0)
			take_turns(*state);
	}
	for (int i = 0; i < RACERS; i++) {
		int status = -1;
		waitpid(children[i], &status, 0);
		assert_int_equal(status, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_after_the_other, setup,
				teardown),
		cmocka_unit_test_setup_teardown(test_passed_over, setup,
				teardown),
		cmocka_unit_test_setup_teardown(test_unreadable, setup,
				teardown),
		cmocka_unit_test_setup_teardown(test_no_session, setup,
				teardown),
		cmocka_unit_test_setup_teardown(test_killed_holder, setup,
				teardown),
		cmocka_unit_test_setup_teardown(test_racing_takers, setup,
				teardown),
		cmocka_unit_test_setup_teardown(test_many_turns, setup,
				teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
