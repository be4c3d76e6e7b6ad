/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: buffers for frames hold what was asked for, are used
 * again, and few unused ones are kept. */
#include "repo/base/bytes.h"
#include "repo/pack/buffer_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define KIB_SIZE ((size_t)1024)

static void test_sizes(void **state)
{
	static const size_t sizes[] = { 0, 1, 4096, 16384, 16385, 200000,
		1048575, 1048576 };
	struct buffer_pool *b = buffer_pool_new(64 * KIB_SIZE);
	(void)state;
	assert_non_null(b);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint8_t *p = buffer_pool_take(b, sizes[i]);
		assert_non_null(p);
		assert_true(buffer_pool_capacity(sizes[i]) >= sizes[i]);
		assert_true(buffer_pool_capacity(sizes[i]) < sizes[i] + 16385);
		memset(p, 0xa5, sizes[i]);
		buffer_pool_give(b, p, sizes[i]);
	}
	buffer_pool_give(b, NULL, 5);
	buffer_pool_free(b);
	buffer_pool_free(NULL);
}

static void test_reuse(void **state)
{
	struct buffer_pool *b = buffer_pool_new(1024 * KIB_SIZE);
	uint8_t *p[40], *q;
	(void)state;
	q = buffer_pool_take(b, 100000);
	buffer_pool_give(b, q, 100000);
	/* Another length of the same class. */
	assert_ptr_equal(q, buffer_pool_take(b, 100001));
	buffer_pool_give(b, q, 100001);
	/* More than may be kept: the rarer class stays. */
	for (int i = 0; i < 40; i++)
		assert_non_null(p[i] = buffer_pool_take(b, 200000));
	for (int i = 0; i < 40; i++)
		buffer_pool_give(b, p[i], 200000);
	assert_ptr_equal(q, buffer_pool_take(b, 100000));
	buffer_pool_give(b, q, 100000);
	buffer_pool_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_reuse),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
