/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: inode numbers are found again, come from their keys alone,
 * and two things never share one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs/inodes.h"

#define MANY 10000u

static void test_many(void **state)
{
	static struct inode items[MANY];
	struct inodes t = { 0 };
	(void)state;
	for (uint32_t i = 0; i < MANY; i++) {
		assert_int_equal(0, inodes_reserve(&t, 1));
		inodes_add(&t, &items[i], &i, sizeof(i));
		assert_true(items[i].number > INODE_ROOT);
		assert_true(items[i].number <= INT64_MAX);
	}
	for (uint32_t i = 0; i < MANY; i++) {
		assert_ptr_equal(&items[i], inodes_find(&t, items[i].number));
		assert_true(inodes_number(&i, sizeof(i)) == items[i].number);
	}
	for (uint32_t i = 0; i < MANY; i += 2)
		inodes_remove(&t, &items[i]);
	for (uint32_t i = 0; i < MANY; i++)
		assert_ptr_equal(i % 2 == 0 ? NULL : &items[i],
				inodes_find(&t, items[i].number));
	assert_int_equal(MANY / 2, t.count);
	inodes_clear(&t);
	assert_null(inodes_find(&t, items[1].number));
}

static void test_taken_number(void **state)
{
	struct inode a, b, c;
	struct inodes t = { 0 };
	(void)state;
	assert_int_equal(0, inodes_reserve(&t, 3));
	inodes_add(&t, &a, "key", 3);
	inodes_add(&t, &b, "key", 3);
	inodes_add_numbered(&t, &c, INODE_ROOT);
	assert_true(a.number != b.number);
	assert_ptr_equal(&a, inodes_find(&t, a.number));
	assert_ptr_equal(&b, inodes_find(&t, b.number));
	assert_ptr_equal(&c, inodes_find(&t, INODE_ROOT));
	inodes_clear(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_taken_number),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
