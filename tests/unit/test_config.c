/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: config comes back as it was; damage, forgery, a newer
 * version and values out of bounds are told apart and refused. */
#include "repo/base/bytes.h"
#include "repo/base/error.h"
#include "repo/format/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t master[MASTER_KEY_SIZE] = { 1, 2, 3 };

static void make(uint8_t out[CONFIG_SIZE], struct config *config,
		bool encrypted)
{
	config_defaults(config, encrypted);
	/* Not the defaults, so that they may change. */
	config->chunk_min = 16384;
	config->chunk_average = 65536;
	config->chunk_max = 262144;
	config->zstd_level = 7;
	struct seal *seal = seal_new(encrypted ? master : config->public_key,
			encrypted);
	config_encode(out, config, seal);
	seal_free(seal);
}

static void test_round_trip(void **state)
{
	(void)state;
	for (int encrypted = 0; encrypted < 2; encrypted++) {
		struct config c, back;
		uint8_t bytes[CONFIG_SIZE];
		make(bytes, &c, encrypted);
		assert_int_equal(config_decode(&back, bytes, CONFIG_SIZE), 0);
		assert_memory_equal(back.repo_id, c.repo_id, REPO_ID_SIZE);
		assert_int_equal(back.encrypted, encrypted);
		assert_int_equal(back.chunk_min, 16384);
		assert_int_equal(back.chunk_average, c.chunk_average);
		assert_int_equal(back.chunk_max, c.chunk_max);
		assert_int_equal(back.frame_size, c.frame_size);
		assert_int_equal(back.pack_size, c.pack_size);
		assert_int_equal(back.zstd_level, 7);
		assert_int_equal(back.created, c.created);
		assert_memory_equal(back.public_key, c.public_key,
				MASTER_KEY_SIZE);
		struct seal *seal =
				seal_new(encrypted ? master : back.public_key,
						encrypted);
		assert_int_equal(config_authenticate(bytes, CONFIG_SIZE, seal),
				0);
		seal_free(seal);
	}
}

static void test_defaults_are_valid(void **state)
{
	(void)state;
	for (int encrypted = 0; encrypted < 2; encrypted++) {
		struct seal *seal = seal_new(master, encrypted);
		struct config c, back;
		uint8_t bytes[CONFIG_SIZE];
		config_defaults(&c, encrypted);
		config_encode(bytes, &c, seal);
		assert_int_equal(config_decode(&back, bytes, CONFIG_SIZE), 0);
		seal_free(seal);
	}
}

static void test_every_bit_counts(void **state)
{
	struct config c, back;
	uint8_t bytes[CONFIG_SIZE];
	struct seal *seal = seal_new(master, true);
	(void)state;
	make(bytes, &c, true);
	for (int i = 0; i < CONFIG_SIZE * 8; i++) {
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		int err = config_decode(&back, bytes, CONFIG_SIZE);
		assert_true(err == 0 || err == -EBADMSG
				|| err == -EPROTONOSUPPORT);
		assert_int_equal(config_authenticate(bytes, CONFIG_SIZE, seal),
				-EBADMSG);
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t len = 0; len < CONFIG_SIZE; len++) {
		assert_int_equal(config_decode(&back, bytes, len), -EBADMSG);
		assert_int_equal(config_authenticate(bytes, len, seal),
				-EBADMSG);
	}
	seal_free(seal);
}

static void test_wrong_key(void **state)
{
	struct config c;
	uint8_t bytes[CONFIG_SIZE], other[MASTER_KEY_SIZE] = { 4 };
	struct seal *seal = seal_new(other, true);
	(void)state;
	make(bytes, &c, true);
	assert_int_equal(config_authenticate(bytes, CONFIG_SIZE, seal),
			-EBADMSG);
	seal_free(seal);
}

static void test_newer(void **state)
{
	struct config c, back;
	uint8_t bytes[2 * CONFIG_SIZE] = { 0 };
	(void)state;
	make(bytes, &c, true);
	put_le32(bytes + 8, FORMAT_VERSION + 1);
	assert_int_equal(config_decode(&back, bytes, CONFIG_SIZE),
			-EPROTONOSUPPORT);
	assert_non_null(strstr(error_text(-EPROTONOSUPPORT), "newer amberfs"));
	/* Another version may have another length. */
	assert_int_equal(config_decode(&back, bytes, sizeof(bytes)),
			-EPROTONOSUPPORT);
	put_le32(bytes + 8, 0);
	assert_int_equal(config_decode(&back, bytes, CONFIG_SIZE), -EBADMSG);
	make(bytes, &c, true);
	put_le64(bytes + 32, 2);
	assert_int_equal(config_decode(&back, bytes, CONFIG_SIZE),
			-EPROTONOSUPPORT);
	assert_non_null(strstr(error_text(-EPROTONOSUPPORT), "newer amberfs"));
	make(bytes, &c, true);
	put_le64(bytes + 40, UINT64_MAX); /* optional features are ignored */
	assert_int_equal(config_decode(&back, bytes, CONFIG_SIZE), 0);
}

static void test_bounds(void **state)
{
	static const struct {
		unsigned at;
		uint32_t value;
	} bad[] = {
		{ 12, 3 },
		{ 12, 0 },
		{ 48, 0 },
		{ 48, 4095 },
		{ 48, 4097 },
		{ 48, 131072 },
		{ 52, 0 },
		{ 52, 65535 },
		{ 52, 98304 },
		{ 52, 8192 },
		{ 52, 524288 },
		{ 52, 0x80000000 },
		{ 56, 61440 },
		{ 56, 262145 },
		{ 56, 1052672 },
		{ 60, 0 },
		{ 60, 4097 },
		{ 60, 1052672 },
		{ 60, UINT32_MAX },
		{ 64, 0 },
		{ 64, 4096 },
		{ 64, 73u << 20 },
		{ 68, 0 },
		{ 68, 20 },
		{ 68, UINT32_MAX },
		{ 76, UINT32_MAX },
		{ 76, 0x7fffffff },
		{ 80, 1 },
		{ 112, 1 },
		{ 124, 1 },
	};
	struct config c, back;
	uint8_t bytes[CONFIG_SIZE];
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		make(bytes, &c, true);
		put_le32(bytes + bad[i].at, bad[i].value);
		assert_int_equal(config_decode(&back, bytes, CONFIG_SIZE),
				-EBADMSG);
	}
	make(bytes, &c, true);
	memset(bytes + 16, 0, REPO_ID_SIZE);
	assert_int_equal(config_decode(&back, bytes, CONFIG_SIZE), -EBADMSG);
}

/* Bit 0 of the flags alone must not be able to turn encryption off. */
static void test_encryption_stays(void **state)
{
	struct config c, back;
	uint8_t bytes[CONFIG_SIZE];
	(void)state;
	make(bytes, &c, true);
	bytes[12] = 0;
	assert_int_equal(config_decode(&back, bytes, CONFIG_SIZE), -EBADMSG);
	make(bytes, &c, false);
	bytes[12] = 1;
	assert_int_equal(config_decode(&back, bytes, CONFIG_SIZE), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_defaults_are_valid),
		cmocka_unit_test(test_every_bit_counts),
		cmocka_unit_test(test_wrong_key),
		cmocka_unit_test(test_newer),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_encryption_stays),
	};
	if (seal_global_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
