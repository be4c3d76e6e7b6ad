/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: mount options are read as mount(8) and fstab write them:
 * generic ones accepted, ours taken over, wrong ones refused with a hint. */
/* Before cmocka, whose macro fail() is not ours. */
#include "fs/mount_options.h"
#include "repo/base/bytes.h"
#include "repo/base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int parse(struct mount_options *o, const char *list)
{
	error_clear();
	return mount_options_parse(o, list);
}

static void test_generic_options(void **state)
{
	struct mount_options o;
	(void)state;
	mount_options_init(&o);
	assert_int_equal(0,
			parse(&o,
					"ro,nodev,nosuid,noexec,noatime,auto,"
					"user,"
					"user=jane,_netdev,nofail,defaults,,"
					"x-systemd.automount,x-a=b\\,c,"
					"comment=\"a, b\""));
	assert_true(o.noexec);
	assert_int_equal(0, parse(&o, "exec"));
	assert_false(o.noexec);
	assert_int_equal(0, parse(&o, ""));
	assert_false(o.allow_other);
	mount_options_clear(&o);
}

static void test_values(void **state)
{
	struct mount_options o;
	(void)state;
	mount_options_init(&o);
	assert_int_equal(0,
			parse(&o,
					"key_file=/a\\,b\\\\c,uid=7,gid=8,"
					"umask=027,cache_size=1G"));
	assert_int_equal(0,
			parse(&o,
					"index_dir=\"/d,e\",readahead=512K,"
					"allow_other,passphrase_command=a=b"));
	assert_string_equal("/a,b\\c", o.repository.credentials.key_file);
	assert_string_equal("/d,e", o.repository.index_dir);
	assert_string_equal("a=b", o.repository.credentials.passphrase_command);
	assert_int_equal(7, o.uid);
	assert_int_equal(8, o.gid);
	assert_int_equal(027, o.umask);
	assert_int_equal(GIB, o.cache_size);
	assert_int_equal(512 * KIB, o.readahead);
	assert_true(o.allow_other);
	assert_int_equal(0, mount_options_check(&o));
	/* The later one counts. */
	assert_int_equal(0, parse(&o, "uid=1,uid=2"));
	assert_int_equal(2, o.uid);
	mount_options_clear(&o);
}

static void test_mistakes(void **state)
{
	static const char *const lists[] = { "cachesize=1M", "uid",
		"uid=", "uid=-1", "uid=x", "uid=4294967295", "umask=1000",
		"umask=8", "allow_other=1", "cache_size=much", "key_file", "rw",
		"passphrase=x", "nonsense" };
	struct mount_options o;
	(void)state;
	mount_options_init(&o);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		assert_int_equal(-EINVAL, parse(&o, lists[i]));
	parse(&o, "cachesize=1M");
	assert_non_null(strstr(error_text(-EINVAL), "cache_size"));
	parse(&o, "passphrase=hunter2");
	assert_null(strstr(error_text(-EINVAL), "hunter2"));
	/* mount(8) says rw where nothing was said, -s what it means. */
	o.by_mount = true;
	assert_int_equal(0, parse(&o, "rw"));
	o.sloppy = true;
	assert_int_equal(0, parse(&o, "nonsense,more=less"));
	mount_options_clear(&o);
}

static void test_bounds(void **state)
{
	struct mount_options o;
	(void)state;
	mount_options_init(&o);
	assert_int_equal(0, mount_options_check(&o));
	o.cache_size = MOUNT_CACHE_MIN - 1;
	assert_int_equal(-EINVAL, mount_options_check(&o));
	mount_options_init(&o);
	o.readahead = MOUNT_READAHEAD_MAX + 1;
	assert_int_equal(-EINVAL, mount_options_check(&o));
	mount_options_init(&o);
	o.allow_other = o.allow_root = true;
	assert_int_equal(-EINVAL, mount_options_check(&o));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_generic_options),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
