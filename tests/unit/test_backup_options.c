/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: --disk, --exclude-disk and --source choose exactly what they
 * name, of exactly the domains they name, whatever those are called; and words
 * that make no sense are refused. */
#include "ingest/backup/backup_options.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define UUID "527c8ff2-5ec6-495b-82a7-4c7b7a27dc68"

static const char *first[] = { "vda", "web:vdb", "a:b:sda", UUID ":sdb" };
static const struct backup_options some = { .disks = { first, 4 } };

static void test_chosen(void **state)
{
	(void)state;
	/* vda of all; of web vdb too. */
	assert_true(backup_options_want_disk(&some, "db", NULL, "vda"));
	assert_false(backup_options_want_disk(&some, "db", NULL, "vdb"));
	assert_true(backup_options_want_disk(&some, "web", NULL, "vda"));
	assert_true(backup_options_want_disk(&some, "web", NULL, "vdb"));
	assert_false(backup_options_want_disk(&some, "we", NULL, "vdb"));
	assert_false(backup_options_want_disk(&some, "web2", NULL, "vdb"));
	assert_true(backup_options_want_disk(&some, "a:b", NULL, "sda"));
	assert_false(backup_options_want_disk(&some, "b", NULL, "sda"));
	assert_true(backup_options_want_disk(&some, "x", UUID, "sdb"));
	assert_false(backup_options_want_disk(&some, "x", NULL, "sdb"));
}

static void test_one_domain(void **state)
{
	const char *list[] = { "web:vda" };
	const struct backup_options o = { .disks = { list, 1 } };
	(void)state;
	/* Other domains are not spoken of. */
	assert_false(backup_options_want_disk(&o, "web", NULL, "vdb"));
	assert_true(backup_options_want_disk(&o, "db", NULL, "vdb"));
}

static void test_excluded(void **state)
{
	const char *list[] = { "vdb", "web:vdc" };
	const struct backup_options o = { .exclude_disks = { list, 2 } };
	const struct backup_options both = { .disks = { first, 4 },
		.exclude_disks = { list, 2 } };
	(void)state;
	assert_false(backup_options_want_disk(&o, "db", NULL, "vdb"));
	assert_true(backup_options_want_disk(&o, "db", NULL, "vdc"));
	assert_false(backup_options_want_disk(&o, "web", NULL, "vdc"));
	assert_false(backup_options_want_disk(&both, "web", NULL, "vdb"));
}

static void test_source(void **state)
{
	const char *list[] = { "web:other", "a:b:c", UUID ":x:y" };
	const char *one[] = { "web:other", "plain: name" };
	const struct backup_options o = { .sources = { list, 3 } },
				    single = { .one_domain = true,
					    .sources = { one + 1, 1 } },
				    named = { .one_domain = true,
					    .sources = { one, 1 } };
	(void)state;
	assert_string_equal(backup_options_source(&o, "web", "-"), "other");
	assert_string_equal(backup_options_source(&o, "we", "-"), "we");
	assert_string_equal(backup_options_source(&o, "a:b", "-"), "c");
	assert_string_equal(backup_options_source(&o, "a", "-"), "b:c");
	assert_string_equal(backup_options_source(&o, "z", UUID), "x:y");
	assert_string_equal(backup_options_source(&single, "web", UUID),
			"plain: name");
	assert_string_equal(backup_options_source(&named, "web", UUID),
			"other");
}

static int check_target(const char *target)
{
	struct backup_options o = { .disks = { &target, 1 } };
	const struct backup_words none = { .wait = NULL };
	return backup_options_check(&o, &none);
}

static void test_words(void **state)
{
	struct backup_options o = { .wait_seconds = 0 };
	struct backup_words w = { .quiesce = "require",
		.wait = "10min",
		.hook_timeout = "1h" };
	(void)state;
	assert_int_equal(backup_options_check(&o, &w), 0);
	assert_int_equal(o.quiesce, QUIESCE_REQUIRE);
	assert_int_equal(o.wait_seconds, 600);
	w.quiesce = "Never";
	assert_int_equal(backup_options_check(&o, &w), -EINVAL);
	w.quiesce = "never";
	w.wait = "soon";
	assert_int_equal(backup_options_check(&o, &w), -EINVAL);
	w.wait = "0";
	w.hook_timeout = "0";
	assert_int_equal(backup_options_check(&o, &w), -EINVAL);
	assert_int_equal(check_target("vda"), 0);
	assert_int_equal(check_target("a:b:vda"), 0);
	assert_int_equal(check_target(""), -EINVAL);
	assert_int_equal(check_target("web:"), -EINVAL);
	assert_int_equal(check_target(":vda"), -EINVAL);
	assert_int_equal(check_target("/dev/vda"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chosen),
		cmocka_unit_test(test_one_domain),
		cmocka_unit_test(test_excluded),
		cmocka_unit_test(test_source),
		cmocka_unit_test(test_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
