/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: a slot gives the master key back to its secret alone, and
 * neither damage nor forgery gets past its checksum and its bounds. */
#include "repo/base/bytes.h"
#include "repo/format/keyslot.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t master[MASTER_KEY_SIZE] = { 1, 2, 3 };
static const uint8_t repo_id[REPO_ID_SIZE] = { 7 };

static void make(uint8_t out[KEYSLOT_SIZE], enum keyslot_kind kind,
		const char *label)
{
	struct keyslot slot = { .kind = kind, .created = 1700000000 };
	if (kind == KEYSLOT_PASSPHRASE)
		slot.cost = (struct kdf_cost){ 1, 8 };
	memcpy(slot.label, label, strlen(label));
	assert_int_equal(keyslot_make(out, &slot, repo_id, "secret", 6, master),
			0);
}

/* As someone would who forges a slot: the checksum is no secret. */
static void fix_checksum(uint8_t slot[KEYSLOT_SIZE])
{
	seal_hash(slot + 240, 16, slot, 240);
}

static void check_kind(enum keyslot_kind kind)
{
	uint8_t bytes[KEYSLOT_SIZE], back[MASTER_KEY_SIZE];
	struct keyslot slot;
	make(bytes, kind, "laptop");
	assert_int_equal(keyslot_decode(&slot, repo_id, bytes, KEYSLOT_SIZE),
			0);
	assert_int_equal(slot.kind, kind);
	assert_int_equal(slot.created, 1700000000);
	assert_string_equal(slot.label, "laptop");
	assert_int_equal(keyslot_unwrap(&slot, repo_id, "secret", 6, back), 0);
	assert_memory_equal(back, master, MASTER_KEY_SIZE);
	assert_int_equal(keyslot_unwrap(&slot, repo_id, "secreT", 6, back),
			-EKEYREJECTED);
	assert_int_equal(keyslot_unwrap(&slot, repo_id, "secret", 5, back),
			-EKEYREJECTED);
	assert_true(bytes_are_zero(back, sizeof(back)));
}

static void test_each_kind(void **state)
{
	(void)state;
	check_kind(KEYSLOT_PASSPHRASE);
	check_kind(KEYSLOT_KEY_FILE);
	check_kind(KEYSLOT_RECOVERY);
}

static void test_damage(void **state)
{
	uint8_t bytes[KEYSLOT_SIZE];
	struct keyslot slot;
	(void)state;
	make(bytes, KEYSLOT_PASSPHRASE, "");
	for (int i = 0; i < KEYSLOT_SIZE * 8; i++) {
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(keyslot_decode(&slot, repo_id, bytes,
						 KEYSLOT_SIZE),
				-EBADMSG);
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t len = 0; len < KEYSLOT_SIZE; len++)
		assert_int_equal(keyslot_decode(&slot, repo_id, bytes, len),
				-EBADMSG);
}

/* With the checksum put right, a changed slot is refused by its bounds or does
 * not open. */
static void test_forgery(void **state)
{
	uint8_t bytes[KEYSLOT_SIZE], back[MASTER_KEY_SIZE];
	struct keyslot slot;
	(void)state;
	make(bytes, KEYSLOT_KEY_FILE, "laptop");
	for (int i = 0; i < 240 * 8; i++) {
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		fix_checksum(bytes);
		int err = keyslot_decode(&slot, repo_id, bytes, KEYSLOT_SIZE);
		if (err == 0)
			err = keyslot_unwrap(&slot, repo_id, "secret", 6, back);
		assert_true(err == -EBADMSG || err == -EKEYREJECTED);
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
	}
}

static void test_cost_is_bounded(void **state)
{
	static const struct kdf_cost bad[] = {
		{ 0, 8 },
		{ KDF_MAX_OPS + 1, 8 },
		{ 1, 7 },
		{ 1, 0 },
		{ 1, KDF_MAX_MEM_KIB + 1 },
		{ UINT32_MAX, UINT32_MAX },
	};
	uint8_t bytes[KEYSLOT_SIZE];
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct keyslot slot = { .kind = KEYSLOT_PASSPHRASE,
			.cost = bad[i] };
		assert_int_equal(keyslot_make(bytes, &slot, repo_id, "x", 1,
						 master),
				-EINVAL);
		make(bytes, KEYSLOT_PASSPHRASE, "");
		put_le32(bytes + 12, bad[i].ops);
		put_le32(bytes + 16, bad[i].mem_kib);
		fix_checksum(bytes);
		assert_int_equal(keyslot_decode(&slot, repo_id, bytes,
						 KEYSLOT_SIZE),
				-EBADMSG);
	}
}

static void test_labels(void **state)
{
	uint8_t bytes[KEYSLOT_SIZE];
	char longest[KEYSLOT_LABEL_MAX + 1];
	struct keyslot slot;
	(void)state;
	memset(longest, 'a', KEYSLOT_LABEL_MAX);
	longest[KEYSLOT_LABEL_MAX] = '\0';
	make(bytes, KEYSLOT_KEY_FILE, longest);
	assert_int_equal(keyslot_decode(&slot, repo_id, bytes, KEYSLOT_SIZE),
			0);
	assert_string_equal(slot.label, longest);
	make(bytes, KEYSLOT_KEY_FILE, "");
	assert_int_equal(keyslot_decode(&slot, repo_id, bytes, KEYSLOT_SIZE),
			0);
	assert_string_equal(slot.label, "");
	make(bytes, KEYSLOT_KEY_FILE, "\033[31m");
	assert_int_equal(keyslot_decode(&slot, repo_id, bytes, KEYSLOT_SIZE),
			-EBADMSG);
	make(bytes, KEYSLOT_KEY_FILE, "ab");
	bytes[136 + 5] = 'x';
	fix_checksum(bytes);
	assert_int_equal(keyslot_decode(&slot, repo_id, bytes, KEYSLOT_SIZE),
			-EBADMSG);
}

static void test_other_repository(void **state)
{
	uint8_t bytes[KEYSLOT_SIZE], other[REPO_ID_SIZE] = { 8 };
	uint8_t back[MASTER_KEY_SIZE];
	struct keyslot slot;
	(void)state;
	make(bytes, KEYSLOT_KEY_FILE, "");
	assert_int_equal(keyslot_decode(&slot, other, bytes, KEYSLOT_SIZE),
			-EBADMSG);
	assert_int_equal(keyslot_decode(&slot, repo_id, bytes, KEYSLOT_SIZE),
			0);
	assert_int_equal(keyslot_unwrap(&slot, other, "secret", 6, back),
			-EKEYREJECTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_kind),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_forgery),
		cmocka_unit_test(test_cost_is_bounded),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_other_repository),
	};
	if (seal_global_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
