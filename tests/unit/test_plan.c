/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: prune chooses the packs that must, should and may go, in
 * that order, within its limits, and never one that is to be left alone. */
#include "repo/prune/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PACK ((uint64_t)64 << 20)
#define PACKS_MAX 64

struct fixture {
	struct stored stored;
	struct stored_pack packs[PACKS_MAX];
	struct plan_limits limits;
	struct plan plan;
};

static struct stored_pack *add(struct fixture *f, uint64_t size,
		unsigned live_percent)
{
	struct stored_pack *pack = &f->packs[f->stored.count++];
	*pack = (struct stored_pack){ .size = size,
		.kind = PACK_DATA,
		.chunks = 100,
		.live = live_percent,
		.shares = 1000,
		.live_shares = 10 * (uint64_t)live_percent };
	pack->id.b[0] = (uint8_t)f->stored.count;
	return pack;
}

static int begin(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	if (f == NULL)
		return -1;
	f->stored.packs = f->packs;
	f->limits = (struct plan_limits){ .pack_size = PACK,
		.unused_is_share = true,
		.unused_share = 0.05,
		.rewrite_bytes = UINT64_MAX,
		.space_bytes = UINT64_MAX,
		.rewrite_chunks = UINT64_MAX };
	*state = f;
	return 0;
}

static int end(void **state)
{
	free(*state);
	return 0;
}

static void make(struct fixture *f)
{
	assert_int_equal(plan_make(&f->stored, &f->limits, &f->plan), 0);
}

static void test_nothing(void **state)
{
	struct fixture *f = *state;
	make(f);
	assert_int_equal(f->plan.doomed_packs, 0);
	for (int i = 0; i < 10; i++)
		add(f, PACK, 96);
	make(f);
	assert_int_equal(f->plan.doomed_packs, 0);
	assert_false(f->plan.cut_short);
	assert_true(f->plan.unused_bytes > 10 * PACK * 39 / 1000);
}

static void test_what_goes(void **state)
{
	struct fixture *f = *state;
	struct stored_pack *dead = add(f, PACK, 0), *full = add(f, PACK, 100),
			   *damaged = add(f, PACK, 100),
			   *condemned = add(f, PACK, 100);
	damaged->damaged = true;
	condemned->condemned = true;
	make(f);
	assert_true(dead->doomed && damaged->doomed && condemned->doomed);
	assert_false(full->doomed);
	assert_int_equal(f->plan.doomed_packs, 3);
	assert_int_equal(f->plan.condemned_packs, 1);
	assert_int_equal(f->plan.doomed_bytes, 3 * PACK);
	assert_int_equal(f->plan.rewrite_bytes, 2 * PACK);
	assert_int_equal(f->plan.rewrite_chunks, 200);
	assert_int_equal(f->plan.unused_bytes, 0);
}

static void test_left_alone(void **state)
{
	struct fixture *f = *state;
	add(f, PACK, 0)->alone = true;
	add(f, PACK, 0)->fresh = true;
	add(f, PACK, 0)->unreadable = true;
	add(f, PACK, 0)->irreplaceable = true;
	add(f, PACK, 10)->gone = true;
	f->packs[3].condemned = true;
	f->packs[0].condemned = true;
	make(f);
	assert_int_equal(f->plan.doomed_packs, 0);
	/* What is unused there can't be helped, so it forces no other out. */
	struct stored_pack *good = add(f, PACK, 97);
	make(f);
	assert_false(good->doomed);
}

/* The most unused go first, and no more than must. */
static void test_unused(void **state)
{
	struct fixture *f = *state;
	for (unsigned i = 0; i < 10; i++)
		add(f, PACK, 100 - 2 * i); /* 90 % of a pack unused */
	make(f);
	uint64_t left = 10 * PACK - PACK * 9 / 10;
	unsigned kept = 0;
	for (unsigned i = 0; i < 10; i++) {
		if (f->packs[i].doomed)
			assert_true(i == 9 || f->packs[i + 1].doomed);
		else
			kept = i;
	}
	assert_true(f->plan.doomed_packs > 0 && kept > 0);
	assert_true(f->plan.unused_bytes <= left * 6 / 100);
	/* The last one taken was needed. */
	assert_true(f->plan.unused_bytes + PACK * 2 * (kept + 1) / 100
			> (left - PACK) / 20);
	f->limits.unused_is_share = false;
	f->limits.unused_bytes = 0;
	make(f);
	assert_int_equal(f->plan.doomed_packs, 9);
	assert_int_equal(f->plan.unused_bytes, 0);
	f->limits.unused_bytes = 10 * PACK;
	make(f);
	assert_int_equal(f->plan.doomed_packs, 0);
}

static void test_tiny(void **state)
{
	struct fixture *f = *state;
	for (unsigned i = 0; i + 1 < PLAN_TINY_COUNT; i++)
		add(f, PACK / 100, 100);
	for (unsigned i = 0; i < 5; i++)
		add(f, PACK / 100, 100)->kind = PACK_TREE;
	make(f);
	assert_int_equal(f->plan.doomed_packs, 0);
	add(f, PACK / 100, 100);
	make(f);
	assert_int_equal(f->plan.doomed_packs, PLAN_TINY_COUNT);
	for (unsigned i = 0; i < f->stored.count; i++)
		assert_int_equal(f->packs[i].doomed,
				f->packs[i].kind == PACK_DATA);
	/* Fewer that fill a pack. */
	f->stored.count = 0;
	for (unsigned i = 0; i < 5; i++)
		add(f, PACK / 5 + 1, 100);
	make(f);
	assert_int_equal(f->plan.doomed_packs, 5);
	/* A single remainder is not rewritten for ever. */
	f->stored.count = 0;
	add(f, PACK, 100);
	add(f, PACK / 10, 100);
	make(f);
	assert_int_equal(f->plan.doomed_packs, 0);
}

static void test_limits(void **state)
{
	struct fixture *f = *state;
	struct stored_pack *dead = add(f, PACK, 0), *half = add(f, PACK, 50),
			   *condemned = add(f, PACK, 90);
	condemned->condemned = true;
	/* A full disk: what needs no copying. */
	f->limits.space_bytes = 0;
	make(f);
	assert_true(dead->doomed && !half->doomed && !condemned->doomed);
	assert_true(f->plan.cut_short);
	/* The condemned are the first to be copied. */
	f->limits.space_bytes = PACK;
	make(f);
	assert_true(dead->doomed && !half->doomed && condemned->doomed);
	assert_true(f->plan.cut_short);
	assert_true(f->plan.rewrite_bytes <= PACK);
	/* What was asked for asks for no other round. */
	f->limits.space_bytes = UINT64_MAX;
	f->limits.rewrite_bytes = PACK;
	make(f);
	assert_true(dead->doomed && !half->doomed && condemned->doomed);
	assert_false(f->plan.cut_short);
	f->limits.rewrite_bytes = UINT64_MAX;
	f->limits.rewrite_chunks = 90;
	make(f);
	assert_true(f->plan.cut_short && f->plan.rewrite_chunks == 90);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing, begin, end),
		cmocka_unit_test_setup_teardown(test_what_goes, begin, end),
		cmocka_unit_test_setup_teardown(test_left_alone, begin, end),
		cmocka_unit_test_setup_teardown(test_unused, begin, end),
		cmocka_unit_test_setup_teardown(test_tiny, begin, end),
		cmocka_unit_test_setup_teardown(test_limits, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
