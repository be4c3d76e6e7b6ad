/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: sizes, durations and times are written as promised, and
 * reading them accepts all of that and nothing that overflows. */
#include "repo/base/bytes.h"
#include "repo/base/error.h" /* before cmocka.h, which has a fail() */
#include "repo/base/units.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_size_format(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{ 0, "0 B" },
		{ 1023, "1023 B" },
		{ 1024, "1 KiB" },
		{ 1536, "1.5 KiB" },
		{ 64 * KIB, "64 KiB" },
		{ 64 * KIB + 512, "64.5 KiB" },
		{ 102348, "99.9 KiB" },
		{ 102400 - 1, "100 KiB" },
		{ MIB - 1, "1.0 MiB" },
		{ 412 * MIB + 7, "412 MiB" },
		{ 3 * GIB / 2, "1.5 GiB" },
		{ TIB, "1 TiB" },
		{ UINT64_MAX, "16.0 EiB" },
	};
	char out[SIZE_TEXT_MAX];
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(size_format(out, cases[i].bytes),
				cases[i].text);
}

static void test_age(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
		const char *shown;
	} cases[] = {
		{ "0", 0, "0 s" },
		{ "59s", 59, "59 s" },
		{ "90s", 90, "1 min 30 s" },
		{ "5min", 300, "5 min" },
		{ "1h", 3600, "1 h" },
		{ "36H", 36 * 3600, "1 day 12 h" },
		{ "1d", 86400, "1 day" },
		{ "30d", 30 * 86400, "30 days" },
		{ "1d1s", 86401, "1 day" },
		{ "2w", 14 * 86400, "14 days" },
		{ "1mo", 31 * 86400, "31 days" },
		{ "1y5mo7d2h", (366 + 5 * 31 + 7) * 86400 + 7200,
				"528 days 2 h" },
		{ "100y", AGE_MAX, "36600 days" },
	};
	static const char *const bad[] = { "", "30", "d", "-1d", "1d1", "1d1d",
		"1h1d", "1 d", "1x", "1mi", "1m", "30m", "1y6m", "1D", "0d0",
		"101y", "99999999999999999999s", "18446744073709551615y",
		"001" };
	char out[SIZE_TEXT_MAX];
	int64_t got = -1;
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(age_parse(&got, cases[i].text), 0);
		assert_int_equal(got, cases[i].seconds);
		assert_string_equal(age_format(out, got), cases[i].shown);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(age_parse(&got, bad[i]), -EINVAL);
	assert_string_equal(age_format(out, -5), "0 s");
	assert_string_equal(age_format(out, INT64_MAX),
			"106751991167300 days 15 h");
}

static void test_wait(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} cases[] = {
		{ "0", 0 },
		{ "10m", 600 },
		{ "10min", 600 },
		{ "1h30m", 5400 },
		{ "2d4H", 2 * 86400 + 4 * 3600 },
		{ "90s", 90 },
		{ "36600d", AGE_MAX },
	};
	static const char *const bad[] = { "", "10", "1w", "1mo", "1y", "1M",
		"1m1h", "36601d" };
	int64_t got = -1;
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(wait_parse(&got, cases[i].text), 0);
		assert_int_equal(got, cases[i].seconds);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(wait_parse(&got, bad[i]), -EINVAL);
}

static void test_size_parse(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} cases[] = {
		{ "0", 0 },
		{ "4096", 4096 },
		{ "4096B", 4096 },
		{ "512K", 512 * KIB },
		{ "512k", 512 * KIB },
		{ "64M", 64 * MIB },
		{ "100MB", 100 * MIB },
		{ "100MiB", 100 * MIB },
		{ "1.5G", 3 * GIB / 2 },
		{ "1.5 GiB", 3 * GIB / 2 },
		{ "0.5K", 512 },
		{ "0.1K", 102 },
		{ "2T", 2 * TIB },
		{ "15.999999999999999999999E", UINT64_MAX - 1152 },
		{ "15E", (uint64_t)15 << 60 },
		{ "18446744073709551615", UINT64_MAX },
		{ "16383P", (uint64_t)16383 << 50 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t bytes = 1;
		assert_int_equal(size_parse(&bytes, cases[i].text), 0);
		assert_int_equal(bytes, cases[i].bytes);
	}
}

static void test_size_parse_refuses(void **state)
{
	static const char *const bad[] = { "", " ", "-1", "+1", " 1", "1 ", "M",
		".5G", "1.G", "1.5", "1.5B", "1x", "1MM", "1iB", "1Mi", "1M B",
		"0x10", "1e3", "1,5G", "18446744073709551616", "16E", "16384P",
		"17179869184G", "99999999999999999999999999999999M",
		"1\xc3\xa4", "1KiBs" };
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint64_t bytes = 77;
		error_clear();
		assert_int_equal(size_parse(&bytes, bad[i]), -EINVAL);
		assert_int_equal(bytes, 77);
		assert_non_null(strstr(error_text(-EINVAL), "size"));
	}
}

static void test_duration_format(void **state)
{
	static const struct {
		double seconds;
		const char *text;
	} cases[] = {
		{ 0, "0.0 s" },
		{ -3, "0.0 s" },
		{ 0.42, "0.4 s" },
		{ 59.9, "59.9 s" },
		{ 59.97, "1:00" },
		{ 123, "2:03" },
		{ 3599.7, "1:00:00" },
		{ 3723, "1:02:03" },
		{ 100 * 3600, "100:00:00" },
	};
	char out[SIZE_TEXT_MAX];
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(duration_format(out, cases[i].seconds),
				cases[i].text);
	assert_string_equal(duration_format(out, NAN), "0.0 s");
	assert_non_null(duration_format(out, INFINITY));
}

static void test_utc(void **state)
{
	static const struct {
		int64_t second;
		const char *text;
	} cases[] = {
		{ 0, "19700101T000000Z" },
		{ 951782400, "20000229T000000Z" },
		{ 1795406400, "20261123T040000Z" },
		{ 253402300799, "99991231T235959Z" },
	};
	char out[UTC_TEXT_MAX];
	int64_t back;
	(void)state;
	setenv("TZ", "Asia/Tokyo", 1);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_string_equal(utc_format(out, cases[i].second),
				cases[i].text);
		assert_int_equal(utc_parse(&back, cases[i].text), 0);
		assert_int_equal(back, cases[i].second);
	}
	assert_string_equal(utc_format(out, -1), "19700101T000000Z");
	assert_string_equal(utc_format(out, INT64_MAX), "99991231T235959Z");
}

static void test_utc_parse_refuses(void **state)
{
	static const char *const bad[] = { "", "20261123T040000",
		"20261123T040000Z ", "20261123 040000Z", "2026112aT040000Z",
		"20260230T000000Z", "20261301T000000Z", "20261123T240000Z",
		"20261123T040060Z", "19691231T235959Z", "00000101T000000Z",
		"20260001T000000Z", "20261100T000000Z", "-0261123T040000Z" };
	int64_t second = 5;
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(utc_parse(&second, bad[i]), -EINVAL);
	assert_int_equal(second, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_size_format),
		cmocka_unit_test(test_age),
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_size_parse),
		cmocka_unit_test(test_size_parse_refuses),
		cmocka_unit_test(test_duration_format),
		cmocka_unit_test(test_utc),
		cmocka_unit_test(test_utc_parse_refuses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
