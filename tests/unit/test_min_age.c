/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: until when a snapshot is protected follows from all
 * settings that were ever made, and a setting that is missing or can't be
 * read is never passed over. */
#include "directory.h"
#include "repo/base/error.h" /* before cmocka.h, which has a fail() */
#include "repo/repository/min_age.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define DAY 86400
/* Made here at T; copied at A. */
#define MADE(t) ((struct min_age_of){ (t), 0 })
#define COPIED(t, a) ((struct min_age_of){ (t), (a) })

/* --- what follows from settings --- */

static void test_none(void **state)
{
	const struct min_age none = { 0 };
	(void)state;
	assert_int_equal(min_age_in_force(&none), 0);
	assert_int_equal(min_age_until(&none, MADE(1000)), 1000);
	assert_false(min_age_protects(&none, MADE(1000), 1000));
	assert_false(min_age_protects(&none, MADE(1005), 1000));
	assert_int_equal(min_age_longest(&none, 1000), 0);
}

/* 30 days from day 100 on, 60 from day 200, 7 from day 300, none from 400. */
static struct min_age_setting made[] = {
	{ 100 * DAY, 30 * DAY },
	{ 200 * DAY, 60 * DAY },
	{ 300 * DAY, 7 * DAY },
	{ 400 * DAY, 0 },
};

static void check_until(size_t count, int day, int expected)
{
	const struct min_age r = { made, count };
	assert_int_equal(min_age_until(&r, MADE((int64_t)day * DAY)),
			(int64_t)expected * DAY);
}

static void test_until(void **state)
{
	const struct min_age first = { made, 1 };
	(void)state;
	/* The first setting holds for older snapshots, too. */
	check_until(1, 50, 80);
	check_until(1, 100, 130);
	check_until(1, 250, 280);
	assert_true(min_age_protects(&first, MADE(50 * DAY), 80 * DAY - 1));
	assert_false(min_age_protects(&first, MADE(50 * DAY), 80 * DAY));
	/* Raised: at once for all. */
	check_until(2, 50, 110);
	check_until(2, 150, 210);
	check_until(2, 250, 310);
	/* Lowered: not for what was made before, nor in that second. */
	check_until(3, 150, 210);
	check_until(3, 299, 359);
	check_until(3, 300, 360);
	check_until(3, 301, 308);
	/* Switched off. */
	check_until(4, 299, 359);
	check_until(4, 350, 357);
	check_until(4, 400, 407);
	check_until(4, 401, 401);
}

/* A copy's time may be any: it is protected from its arrival on, never shorter
 * than by its time. */
static void test_copies(void **state)
{
	const struct min_age r = { made, 3 }, none = { 0 };
	(void)state;
	assert_int_equal(min_age_until(&none, COPIED(1000, 2000)), 1000);
	assert_false(min_age_protects(&none, COPIED(1000, 2000), 1500));
	assert_int_equal(min_age_until(&r, COPIED(0, 250 * DAY)), 310 * DAY);
	assert_true(min_age_protects(&r, COPIED(0, 250 * DAY), 310 * DAY - 1));
	assert_false(min_age_protects(&r, COPIED(0, 250 * DAY), 310 * DAY));
	/* The settings of its arrival, and of its time. */
	assert_int_equal(min_age_until(&r, COPIED(299 * DAY, 301 * DAY)),
			359 * DAY);
	assert_int_equal(min_age_until(&r, COPIED(299 * DAY, 390 * DAY)),
			397 * DAY);
	/* The clock of who copies may be wrong, too. */
	assert_int_equal(min_age_until(&r, COPIED(301 * DAY, 1)), 308 * DAY);
	/* Without an arrival (one of an older version): by its time. */
	assert_int_equal(min_age_until(&r, MADE(301 * DAY)), 308 * DAY);
}

static void check_longest(size_t count, int day, int expected)
{
	const struct min_age r = { made, count };
	assert_int_equal(min_age_longest(&r, (int64_t)day * DAY),
			(int64_t)expected * DAY);
}

static void test_longest(void **state)
{
	(void)state;
	check_longest(1, 1000, 30);
	check_longest(2, 210, 60);
	check_longest(3, 300, 60);
	check_longest(3, 359, 60);
	check_longest(3, 360, 7);
	check_longest(4, 359, 60);
	check_longest(4, 406, 7);
	check_longest(4, 407, 0);
}

/* --- what is stored --- */

struct fixture {
	char directory[DIRECTORY_MAX], path[96];
	struct repository *repo;
};

static void make_repository(struct fixture *f, int64_t min_age)
{
	struct repository_options o = { .min_age = min_age };
	struct config c;
	config_defaults(&c, false);
	snprintf(f->path, sizeof(f->path), "%s/repo", f->directory);
	assert_int_equal(repository_init(f->path, &o, &c), 0);
	assert_int_equal(repository_open(&f->repo, f->path, &o), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_int_equal(seal_global_init(), 0);
	unsetenv("AMBERFS_KEY_FILE");
	unsetenv("AMBERFS_PASSPHRASE");
	assert_int_equal(directory_make(f->directory, "test_retention"), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	repository_close(f->repo);
	int err = directory_remove(f->directory);
	free(f);
	return err;
}

static void object_path(const struct fixture *f, char out[200],
		const char *name)
{
	snprintf(out, 200, "%.95s/%.64s", f->path, name);
}

static void put_bytes(const struct fixture *f, const char *name,
		const char *text)
{
	char path[200];
	object_path(f, path, name);
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void test_init(void **state)
{
	struct fixture *f = *state;
	struct min_age r;
	int64_t before = time(NULL);
	make_repository(f, 30 * DAY);
	assert_int_equal(min_age_load(f->repo, &r), 0);
	assert_int_equal(r.count, 1);
	assert_int_equal(min_age_in_force(&r), 30 * DAY);
	assert_true(r.items[0].since >= before);
	min_age_clear(&r);
}

static void test_set(void **state)
{
	struct fixture *f = *state;
	struct min_age mine, other, r;
	make_repository(f, 0);
	assert_int_equal(min_age_load(f->repo, &mine), 0);
	assert_int_equal(mine.count, 0);
	assert_int_equal(min_age_load(f->repo, &other), 0);
	/* Two that don't know of each other: both count. */
	assert_int_equal(min_age_set(f->repo, &mine, 5, 0), 0);
	assert_int_equal(min_age_set(f->repo, &other, 7, 0), 0);
	assert_int_equal(other.count, 2);
	assert_int_equal(min_age_load(f->repo, &r), 0);
	assert_int_equal(r.count, 2);
	assert_int_equal(r.items[0].min_age, 5);
	assert_int_equal(r.items[1].min_age, 7);
	min_age_clear(&mine);
	min_age_clear(&other);
	min_age_clear(&r);
	/* Names that fit no pattern are nobody's. */
	put_bytes(f, "retention/03", "x");
	put_bytes(f, "retention/0", "x");
	put_bytes(f, "retention/3x", "x");
	assert_int_equal(min_age_load(f->repo, &r), 0);
	min_age_clear(&r);
}

/* A clock that is set back must not make a lowering reach further back. */
static void test_newest_counts(void **state)
{
	struct fixture *f = *state;
	struct min_age r;
	char path[200];
	make_repository(f, 30 * DAY);
	object_path(f, path, "snapshots/vm");
	assert_int_equal(mkdir(path, 0700), 0);
	put_bytes(f, "snapshots/vm/21000101T000000Z", "x");
	assert_int_equal(min_age_load(f->repo, &r), 0);
	assert_int_equal(min_age_set(f->repo, &r, 0, 0), 0);
	int64_t newest = INT64_C(4102444800);
	assert_int_equal(r.items[1].since, newest);
	assert_int_equal(min_age_until(&r, MADE(newest)), newest + 30 * DAY);
	assert_int_equal(min_age_until(&r, MADE(newest + 1)), newest + 1);
	min_age_clear(&r);
}

static void check_refused(struct fixture *f, const char *word)
{
	struct min_age r;
	assert_int_equal(min_age_load(f->repo, &r), -EBADMSG);
	assert_null(r.items);
	assert_non_null(strstr(error_text(-EBADMSG), word));
}

static void test_unreadable(void **state)
{
	struct fixture *f = *state;
	struct min_age r;
	char path[200], aside[200];
	make_repository(f, 30 * DAY);
	assert_int_equal(min_age_load(f->repo, &r), 0);
	assert_int_equal(min_age_set(f->repo, &r, 5, 0), 0);
	min_age_clear(&r);
	object_path(f, path, "retention/1");
	object_path(f, aside, "aside");
	assert_int_equal(rename(path, aside), 0);
	check_refused(f, "retention/1 is missing");
	/* Another one's bytes under its name. */
	object_path(f, aside, "retention/2");
	assert_int_equal(link(aside, path), 0);
	check_refused(f, "retention/1");
	assert_int_equal(unlink(path), 0);
	object_path(f, aside, "aside");
	assert_int_equal(rename(aside, path), 0);
	assert_int_equal(min_age_load(f->repo, &r), 0);
	min_age_clear(&r);
	put_bytes(f, "retention/2", "damage");
	check_refused(f, "retention/2");
	/* A number that nobody can have reached. */
	put_bytes(f, "retention/1000000000000000000", "x");
	check_refused(f, "65536");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_until),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_longest),
		cmocka_unit_test_setup_teardown(test_init, setup, teardown),
		cmocka_unit_test_setup_teardown(test_set, setup, teardown),
		cmocka_unit_test_setup_teardown(test_newest_counts, setup,
				teardown),
		cmocka_unit_test_setup_teardown(test_unreadable, setup,
				teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
