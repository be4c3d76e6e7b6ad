/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: the table of live ids holds exactly the ids that were
 * added, each with its own flag, through growth, and never takes more memory
 * than it was given. */
#include "repo/prune/live_set.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT 30000u

/* Ids that agree in many bits, and one that is nearly all zero. */
static struct id make_id(unsigned n)
{
	struct id id = { { 0 } };
	memcpy(id.b + n % 5 * 3, &n, sizeof(n));
	id.b[31] = 9;
	if (n % 5 != 4)
		id.b[15] = (uint8_t)(0x70 + n % 5);
	return id;
}

static void test_model(void **state)
{
	(void)state;
	struct live_set *set = live_set_new(0, SIZE_MAX);
	int *flags = malloc(COUNT * sizeof(*flags));
	uint64_t count = 0, flagged = 0;
	assert_non_null(set);
	assert_non_null(flags);
	memset(flags, 0xff, COUNT * sizeof(*flags));
	srand(3);
	for (unsigned i = 0; i < 10 * COUNT; i++) {
		unsigned n = (unsigned)rand() % COUNT;
		bool on = rand() % 2;
		struct id id = make_id(n);
		assert_int_equal(live_set_flag(set, &id), flags[n]);
		if (rand() % 3 == 0) {
			assert_int_equal(live_set_add(set, &id), flags[n] < 0);
			count += flags[n] < 0;
			flags[n] = flags[n] < 0 ? 0 : flags[n];
		} else {
			assert_int_equal(live_set_turn(set, &id, on),
					flags[n] >= 0 && flags[n] != on);
			if (flags[n] >= 0) {
				flagged += (uint64_t)(on - flags[n]);
				flags[n] = on;
			}
		}
		assert_int_equal(live_set_count(set), count);
		assert_int_equal(live_set_flagged(set), flagged);
	}
	for (unsigned n = 0; n < COUNT; n++) {
		struct id id = make_id(n);
		assert_int_equal(live_set_flag(set, &id), flags[n]);
	}
	live_set_clear(set);
	struct id id = make_id(1);
	assert_int_equal(live_set_flag(set, &id), -1);
	assert_int_equal(live_set_count(set), 0);
	free(flags);
	live_set_free(set);
}

static void test_zero(void **state)
{
	(void)state;
	struct live_set *set = live_set_new(10, 1 << 20);
	struct id zero = { { 0 } };
	assert_non_null(set);
	assert_int_equal(live_set_flag(set, &zero), -1);
	assert_int_equal(live_set_add(set, &zero), 1);
	assert_int_equal(live_set_add(set, &zero), 0);
	assert_true(live_set_turn(set, &zero, true));
	assert_int_equal(live_set_flag(set, &zero), 1);
	live_set_free(set);
}

/* One that was made large enough takes what it was made for. */
static void test_bound(void **state)
{
	(void)state;
	const uint64_t bytes = 256 << 10;
	uint64_t room = live_set_capacity(bytes);
	struct live_set *set = live_set_new(room, bytes);
	int err = 1;
	uint64_t n = 0;
	assert_non_null(set);
	while (err == 1) {
		struct id id = make_id((unsigned)n);
		err = live_set_add(set, &id);
		n += err == 1;
		assert_true(live_set_bytes(set) <= bytes);
	}
	assert_int_equal(err, -E2BIG);
	assert_true(n + 8 > room && n <= room + 8);
	live_set_free(set);
	/* One that must grow stops where the old and the new would not fit. */
	set = live_set_new(0, bytes);
	assert_non_null(set);
	for (n = 0, err = 1; err == 1; n++) {
		struct id id = make_id((unsigned)n);
		err = live_set_add(set, &id);
	}
	assert_int_equal(err, -E2BIG);
	assert_true(live_set_bytes(set) <= bytes && n > room / 3);
	live_set_free(set);
}

int main(void)
{
	if (seal_global_init() < 0)
		return 1;
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_model),
		cmocka_unit_test(test_zero), cmocka_unit_test(test_bound) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
