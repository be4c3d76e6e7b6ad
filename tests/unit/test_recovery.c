/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: a recovery key survives being printed and typed, and each
 * typing error is found, in the group where it is. */
#include "repo/base/error.h"
#include "repo/crypto/seal.h"
#include "repo/format/recovery.h"

#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ALPHABET "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#define KEYS 50

static int decode(uint8_t key[RECOVERY_SIZE], const char *text)
{
	return recovery_decode(key, text, strlen(text));
}

/* The form is part of the format. */
static void test_fixed(void **state)
{
	(void)state;
	uint8_t key[RECOVERY_SIZE], back[RECOVERY_SIZE];
	char text[RECOVERY_TEXT_SIZE];
	for (unsigned i = 0; i < RECOVERY_SIZE; i++)
		key[i] = (uint8_t)(i * 13 + 1);
	recovery_encode(text, key);
	assert_string_equal(text,
			"0471Y-PA1NS-897NA-RTBP3-GE89M-VANQX-RK8XM-XTZR6");
	assert_int_equal(decode(back, text), 0);
	assert_memory_equal(back, key, sizeof(key));
}

static void test_typed(void **state)
{
	(void)state;
	uint8_t key[RECOVERY_SIZE], back[RECOVERY_SIZE];
	char text[RECOVERY_TEXT_SIZE], typed[2 * RECOVERY_TEXT_SIZE];
	for (int i = 0; i < KEYS; i++) {
		size_t n = 0;
		seal_random(key, sizeof(key));
		recovery_encode(text, key);
		for (const char *p = text; *p; p++) {
			char c = (char)tolower((unsigned char)*p);
			if (c == '-' && i % 2)
				continue;
			typed[n++] = c == '0' ? 'o' : c == '1' ? 'l' : c;
			if (i % 3 == 0)
				typed[n++] = ' ';
		}
		assert_int_equal(recovery_decode(back, typed, n), 0);
		assert_memory_equal(back, key, sizeof(key));
	}
}

static void expect_group(const char *text, size_t at)
{
	uint8_t key[RECOVERY_SIZE];
	char want[32];
	snprintf(want, sizeof(want), "group %zu of", at / 6 + 1);
	assert_int_equal(decode(key, text), -EINVAL);
	assert_non_null(strstr(error_text(-EINVAL), want));
}

static void test_mistyped(void **state)
{
	(void)state;
	uint8_t key[RECOVERY_SIZE];
	char text[RECOVERY_TEXT_SIZE];
	seal_random(key, sizeof(key));
	recovery_encode(text, key);
	for (size_t at = 0; text[at]; at++) {
		char good = text[at], next = text[at + 1];
		if (good == '-')
			continue;
		for (const char *p = ALPHABET "U"; *p; p++) {
			if (*p == good)
				continue;
			text[at] = *p;
			expect_group(text, at);
		}
		text[at] = good;
		if (next == '-' || next == '\0' || next == good)
			continue;
		text[at] = next;
		text[at + 1] = good;
		expect_group(text, at);
		text[at] = good;
		text[at + 1] = next;
	}
}

static void test_groups_out_of_place(void **state)
{
	(void)state;
	uint8_t key[RECOVERY_SIZE] = { 0 };
	char text[RECOVERY_TEXT_SIZE], first[5];
	memset(key, 0x5a, RECOVERY_SIZE / 2);
	recovery_encode(text, key);
	memcpy(first, text, 5);
	memcpy(text, text + 42, 5);
	memcpy(text + 42, first, 5);
	expect_group(text, 0);
	assert_int_equal(decode(key,
					 "7KQ2M-0V9TC-AAAAA-AAAAA-AAAAA-AAAAA-"
					 "AAAAA"),
			-EINVAL);
	assert_non_null(strstr(error_text(-EINVAL), "40"));
}

static void test_nothing_like_it(void **state)
{
	(void)state;
	uint8_t key[RECOVERY_SIZE];
	char longest[5000];
	assert_int_equal(decode(key, ""), -ENOENT);
	assert_int_equal(decode(key, "open sesame"), -ENOENT);
	assert_int_equal(decode(key,
					 "correct horse battery staple, and so "
					 "forth"),
			-ENOENT);
	memset(longest, 'A', sizeof(longest));
	assert_int_equal(recovery_decode(key, longest, sizeof(longest)),
			-ENOENT);
}

static int setup(void **state)
{
	(void)state;
	return seal_global_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fixed),
		cmocka_unit_test(test_typed),
		cmocka_unit_test(test_mistyped),
		cmocka_unit_test(test_groups_out_of_place),
		cmocka_unit_test(test_nothing_like_it),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
