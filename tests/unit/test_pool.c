/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: a pool runs every job once, several at a time, within its
 * bound, and drains; the number of processors is sane. */
#include "repo/base/cleanup.h"
#include "repo/base/pool.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void count_up(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
}

static void test_all_jobs_run(void **state)
{
	atomic_int n = 0;
	(void)state;
	struct pool *pool = pool_new(4, 8);
	assert_non_null(pool);
	for (int i = 0; i < 10000; i++)
		pool_submit(pool, count_up, &n);
	pool_drain(pool);
	assert_int_equal(n, 10000);
	for (int i = 0; i < 8; i++)
		pool_submit(pool, count_up, &n);
	pool_free(pool); /* runs what is queued */
	assert_int_equal(n, 10008);
	pool_free(NULL);
}

struct gate {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	int inside;
	bool open;
};

static void wait_at_gate(void *arg)
{
	struct gate *gate = arg;
	LOCK_SCOPE(&gate->mutex);
	gate->inside++;
	pthread_cond_broadcast(&gate->cond);
	while (!gate->open)
		pthread_cond_wait(&gate->cond, &gate->mutex);
}

static void test_bound_and_parallel(void **state)
{
	struct gate g = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER,
		0, false };
	atomic_int n = 0;
	(void)state;
	struct pool *pool = pool_new(3, 2);
	for (int i = 0; i < 3; i++)
		pool_submit(pool, wait_at_gate, &g);
	/* All three are in their jobs at once. */
	pthread_mutex_lock(&g.mutex);
	while (g.inside < 3)
		pthread_cond_wait(&g.cond, &g.mutex);
	pthread_mutex_unlock(&g.mutex);
	assert_true(pool_try(pool, count_up, &n));
	assert_true(pool_try(pool, count_up, &n));
	assert_false(pool_try(pool, count_up, &n));
	pthread_mutex_lock(&g.mutex);
	g.open = true;
	pthread_cond_broadcast(&g.cond);
	pthread_mutex_unlock(&g.mutex);
	pool_drain(pool);
	assert_int_equal(n, 2);
	assert_true(pool_try(pool, count_up, &n));
	pool_free(pool);
	assert_int_equal(n, 3);
}

struct order {
	int next;
	bool right;
};

struct numbered {
	struct order *order;
	int number;
};

static void check_order(void *arg)
{
	struct numbered *numbered = arg;
	if (numbered->order->next++ != numbered->number)
		numbered->order->right = false;
}

static void test_order_of_one_thread(void **state)
{
	struct order order = { 0, true };
	struct numbered jobs[100];
	(void)state;
	struct pool *pool = pool_new(1, 7);
	for (int i = 0; i < 100; i++) {
		jobs[i] = (struct numbered){ &order, i };
		pool_submit(pool, check_order, &jobs[i]);
	}
	pool_free(pool);
	assert_int_equal(order.next, 100);
	assert_true(order.right);
}

static void test_processors(void **state)
{
	cpu_set_t before, one;
	int first = 0;
	(void)state;
	assert_true(pool_processors() >= 1);
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	while (!CPU_ISSET(first, &before))
		first++;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(pool_processors(), 1);
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_jobs_run),
		cmocka_unit_test(test_bound_and_parallel),
		cmocka_unit_test(test_order_of_one_thread),
		cmocka_unit_test(test_processors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
