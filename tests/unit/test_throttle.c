/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: a throttle never lets bytes through absurdly early, for
 * one thread or several, and does not hold up what is below its burst. */
#include "repo/base/cleanup.h"
#include "repo/base/throttle.h"
#include "repo/base/units.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_none(void **state)
{
	(void)state;
	throttle_wait(NULL, UINT64_MAX);
	throttle_free(NULL);
	struct throttle *throttle = throttle_new(1);
	assert_non_null(throttle);
	throttle_wait(throttle, 0);
	throttle_free(throttle);
}

static void test_fast_rate_ends(void **state)
{
	(void)state;
	struct throttle *throttle = throttle_new(UINT64_MAX);
	for (int i = 0; i < 1000; i++)
		throttle_wait(throttle, 16 * MIB);
	throttle_free(throttle);
}

/* 1 MB at 1 MB/s: a quarter of a second is the burst. */
static void test_one_large(void **state)
{
	(void)state;
	struct throttle *throttle = throttle_new(1000000);
	double start = monotonic_now();
	throttle_wait(throttle, 1000000);
	assert_true(monotonic_now() - start > 0.7);
	throttle_free(throttle);
}

static void *many_small(void *arg)
{
	for (int i = 0; i < 50; i++)
		throttle_wait(arg, 10000);
	return NULL;
}

static void test_threads_share(void **state)
{
	pthread_t threads[4];
	(void)state;
	struct throttle *throttle = throttle_new(4000000);
	double start = monotonic_now();
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, many_small,
						 throttle),
				0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	/* 2 MB at 4 MB/s, less the burst. */
	assert_true(monotonic_now() - start > 0.2);
	throttle_free(throttle);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_fast_rate_ends),
		cmocka_unit_test(test_one_large),
		cmocka_unit_test(test_threads_share),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
