/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: the id set holds exactly what was added and not removed,
 * through growth and through runs that removal shifts. */
#include "repo/pack/id_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT 20000u

/* Few different prefixes, so that runs get long. */
static struct id make_id(unsigned n)
{
	struct id id = { { 0 } };
	id.b[0] = (uint8_t)(n * 37 % 11);
	id.b[1] = (uint8_t)(n % 3);
	id.b[2] = (uint8_t)(n >> 4);
	memcpy(id.b + 16, &n, sizeof(n));
	id.b[31] = 1;
	return id;
}

static void test_model(void **state)
{
	(void)state;
	struct id_set *set = id_set_new();
	bool *there = calloc(COUNT, sizeof(*there));
	size_t count = 0;
	assert_non_null(set);
	assert_non_null(there);
	srand(7);
	for (unsigned i = 0; i < 10 * COUNT; i++) {
		unsigned n = (unsigned)rand() % COUNT;
		struct id id = make_id(n);
		assert_int_equal(id_set_contains(set, &id), there[n]);
		if (rand() % 3 != 0) {
			assert_int_equal(id_set_add(set, &id), !there[n]);
			count += !there[n];
			there[n] = true;
		} else {
			id_set_remove(set, &id);
			count -= there[n];
			there[n] = false;
		}
		assert_int_equal(id_set_count(set), count);
	}
	for (unsigned n = 0; n < COUNT; n++) {
		struct id id = make_id(n);
		assert_int_equal(id_set_contains(set, &id), there[n]);
	}
	free(there);
	id_set_free(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_model) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
