/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: boxes open only unchanged, at their place and with their
 * key, with and without encryption; ids, proofs and wrapped keys are right. */
#include "repo/base/bytes.h"
#include "repo/base/hex.h"
#include "repo/crypto/seal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LEN 1000
#define BOX_LEN (LEN + SEAL_OVERHEAD)

static const uint8_t master[MASTER_KEY_SIZE] = { 1, 2, 3 };
static const char ad[] = "where it belongs";

static struct seal *make(bool encrypted)
{
	struct seal *seal = seal_new(master, encrypted);
	assert_non_null(seal);
	assert_int_equal(seal_encrypts(seal), encrypted);
	return seal;
}

static void fill(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 7 + 1);
}

static void check_round_trip(bool encrypted, size_t len)
{
	struct seal *seal = make(encrypted);
	uint8_t *plain = malloc(len + 1), *back = malloc(len + 1);
	uint8_t *box = malloc(len + SEAL_OVERHEAD);
	fill(plain, len);
	seal_box(seal, SEAL_DATA, box, plain, len, ad, sizeof(ad));
	if (len > 16)
		assert_int_equal(memcmp(box + SEAL_NONCE_SIZE, plain, len) != 0,
				encrypted);
	assert_int_equal(seal_open(seal, SEAL_DATA, back, box,
					 len + SEAL_OVERHEAD, ad, sizeof(ad)),
			0);
	assert_memory_equal(back, plain, len);
	/* In place, both ways. */
	memcpy(box + SEAL_NONCE_SIZE, plain, len);
	seal_box(seal, SEAL_DATA, box, box + SEAL_NONCE_SIZE, len, NULL, 0);
	assert_int_equal(seal_open(seal, SEAL_DATA, box + SEAL_NONCE_SIZE, box,
					 len + SEAL_OVERHEAD, NULL, 0),
			0);
	assert_memory_equal(box + SEAL_NONCE_SIZE, plain, len);
	free(plain);
	free(back);
	free(box);
	seal_free(seal);
}

static void test_round_trip(void **state)
{
	static const size_t lens[] = { 0, 1, 17, LEN, 262144 };
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		check_round_trip(true, lens[i]);
		check_round_trip(false, lens[i]);
	}
}

static void assert_refused(struct seal *seal, enum seal_kind kind,
		const uint8_t *box, size_t box_len, const char *d, size_t d_len)
{
	uint8_t back[LEN];
	memset(back, 0xee, sizeof(back));
	assert_int_equal(seal_open(seal, kind, back, box, box_len, d, d_len),
			-EBADMSG);
	if (box_len >= SEAL_OVERHEAD)
		for (size_t i = 0; i < box_len - SEAL_OVERHEAD; i++)
			assert_int_equal(back[i], 0);
}

static void check_tampering(bool encrypted)
{
	struct seal *seal = make(encrypted);
	uint8_t plain[LEN], box[BOX_LEN];
	fill(plain, LEN);
	seal_box(seal, SEAL_TREE, box, plain, LEN, ad, sizeof(ad));
	for (size_t i = 0; i < BOX_LEN; i++) {
		box[i] ^= (uint8_t)(1u << (i % 8));
		assert_refused(seal, SEAL_TREE, box, BOX_LEN, ad, sizeof(ad));
		box[i] ^= (uint8_t)(1u << (i % 8));
	}
	assert_refused(seal, SEAL_TREE, box, BOX_LEN - 1, ad, sizeof(ad));
	assert_refused(seal, SEAL_TREE, box, SEAL_OVERHEAD - 1, ad, sizeof(ad));
	assert_refused(seal, SEAL_TREE, box, 0, ad, sizeof(ad));
	assert_refused(seal, SEAL_TREE, box, BOX_LEN, ad, sizeof(ad) - 1);
	assert_refused(seal, SEAL_TREE, box, BOX_LEN, "Where it belongs",
			sizeof(ad));
	if (encrypted)
		assert_refused(seal, SEAL_DATA, box, BOX_LEN, ad, sizeof(ad));
	seal_free(seal);
}

static void test_tampering(void **state)
{
	(void)state;
	check_tampering(true);
	check_tampering(false);
}

static void test_other_mode_and_key(void **state)
{
	uint8_t other_master[MASTER_KEY_SIZE] = { 9 };
	uint8_t plain[LEN], box[BOX_LEN];
	struct seal *seal = make(true), *open = make(false);
	struct seal *other = seal_new(other_master, true);
	(void)state;
	fill(plain, LEN);
	seal_box(seal, SEAL_DATA, box, plain, LEN, ad, sizeof(ad));
	assert_refused(other, SEAL_DATA, box, BOX_LEN, ad, sizeof(ad));
	assert_refused(open, SEAL_DATA, box, BOX_LEN, ad, sizeof(ad));
	seal_box(open, SEAL_DATA, box, plain, LEN, ad, sizeof(ad));
	assert_refused(seal, SEAL_DATA, box, BOX_LEN, ad, sizeof(ad));
	seal_free(seal);
	seal_free(open);
	seal_free(other);
}

static void test_nonces_differ(void **state)
{
	struct seal *seal = make(true);
	uint8_t a[SEAL_OVERHEAD + 3], b[SEAL_OVERHEAD + 3];
	(void)state;
	seal_box(seal, SEAL_META, a, "abc", 3, NULL, 0);
	seal_box(seal, SEAL_META, b, "abc", 3, NULL, 0);
	assert_memory_not_equal(a, b, SEAL_NONCE_SIZE);
	seal_free(seal);
}

static void assert_hex(const void *bytes, size_t len, const char *want)
{
	char text[2 * 64 + 1];
	hex_encode(text, bytes, len);
	assert_string_equal(text, want);
}

/* RFC 7693, appendix A; and this format's own values, which never change.
 * The latter were computed with Python's hashlib: a subkey is
 * blake2b(b"", digest_size=32, key=master, salt=number as 16 bytes LE,
 * person=b"amberfs1"), an id blake2b(data, digest_size=32, key=subkey). */
static void test_known_answers(void **state)
{
	struct seal *seal = make(true);
	struct id id;
	uint8_t hash[64], mac[MAC_SIZE];
	(void)state;
	seal_hash(hash, 64, "abc", 3);
	assert_hex(hash, 64,
			"ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74"
			"b12bb6fdbffa2d17d87c5392aab792dc252d5de4533cc95"
			"18d38aa8dbf1925ab92386edd4009923");
	seal_id(seal, ID_CHUNK, &id, "abc", 3);
	assert_hex(id.b, ID_SIZE,
			"29b221784a4877ae2ae511bc04f5fb0d"
			"1dc5413a8ef8029c3f471ed385383193");
	seal_id(seal, ID_NODE, &id, "abc", 3);
	assert_hex(id.b, ID_SIZE,
			"94e7a80a4f3fcc800226bc219ef83f0a"
			"1d082fcdc7ff9bacd2a1fd05e9be9999");
	seal_id(seal, ID_SNAPSHOT, &id, "abc", 3);
	assert_hex(id.b, ID_SIZE,
			"d9857163be06f12a3f45125044e2699d"
			"ce69100ec4f617444ee2cb673a990902");
	seal_config_mac(seal, mac, "abc", 3);
	assert_hex(mac, MAC_SIZE,
			"6970e9a38ed4d7210f36532f9682bee4"
			"86e4ac7d836fbb226b62b3577315e197");
	assert_int_equal(seal_cut_seed(seal), UINT64_C(0x71a0c444787eb69a));
	seal_free(seal);
}

/* A box of the unencrypted form, byte by byte: zeros, the bytes, and XXH3-128
 * of associated data and bytes ("adabc"), most significant byte first. */
static void test_known_checksum(void **state)
{
	struct seal *seal = make(false);
	uint8_t box[SEAL_OVERHEAD + 3];
	(void)state;
	seal_box(seal, SEAL_DATA, box, "abc", 3, "ad", 2);
	assert_hex(box, sizeof(box),
			"000000000000000000000000000000000000000000"
			"000000"
			"616263"
			"75635d9620a24b2ac4fd01ca7325c0c0");
	seal_free(seal);
}

static void test_ids_depend_on_key(void **state)
{
	uint8_t other_master[MASTER_KEY_SIZE] = { 9 };
	struct seal *seal = make(true), *other = seal_new(other_master, true);
	struct id a, b, zero = { { 0 } };
	(void)state;
	seal_id(seal, ID_CHUNK, &a, "x", 1);
	seal_id(other, ID_CHUNK, &b, "x", 1);
	assert_false(id_equal(&a, &b));
	assert_true(id_equal(&a, &a));
	assert_true(id_is_zero(&zero));
	assert_false(id_is_zero(&a));
	assert_int_not_equal(seal_cut_seed(seal), seal_cut_seed(other));
	seal_free(seal);
	seal_free(other);
}

static void test_proof(void **state)
{
	struct seal *seal = make(true);
	struct seal_proof p;
	uint8_t a[PROOF_SIZE], b[PROOF_SIZE], data[LEN];
	(void)state;
	fill(data, LEN);
	seal_proof_begin(seal, &p);
	seal_proof_update(&p, data, LEN);
	seal_proof_end(&p, a);
	seal_proof_begin(seal, &p);
	seal_proof_update(&p, data, 1);
	seal_proof_update(&p, data + 1, LEN - 1);
	seal_proof_end(&p, b);
	assert_memory_equal(a, b, PROOF_SIZE);
	/* From an implementation of RFC 8439, 2.5, in whole numbers, under
	 * subkey 5. */
	assert_hex(a, PROOF_SIZE, "c056a31ff299420e379f560731893874");
	data[500] ^= 1;
	seal_proof_begin(seal, &p);
	seal_proof_update(&p, data, LEN);
	seal_proof_end(&p, b);
	assert_memory_not_equal(a, b, PROOF_SIZE);
	seal_free(seal);
}

static void check_wrapping(const struct kdf_cost *cost)
{
	uint8_t salt[KDF_SALT_SIZE] = { 5 }, kek[32], other[32];
	uint8_t wrapped[WRAPPED_KEY_SIZE], back[MASTER_KEY_SIZE];
	assert_int_equal(seal_derive_kek(kek, "secret", 6, salt, cost), 0);
	assert_int_equal(seal_derive_kek(other, "secreT", 6, salt, cost), 0);
	assert_memory_not_equal(kek, other, 32);
	seal_wrap(wrapped, kek, master, ad, sizeof(ad));
	assert_int_equal(seal_unwrap(back, kek, wrapped, ad, sizeof(ad)), 0);
	assert_memory_equal(back, master, MASTER_KEY_SIZE);
	assert_int_equal(seal_unwrap(back, other, wrapped, ad, sizeof(ad)),
			-EKEYREJECTED);
	assert_int_equal(back[0], 0);
	assert_int_equal(seal_unwrap(back, kek, wrapped, ad, 1), -EKEYREJECTED);
	wrapped[40] ^= 1;
	assert_int_equal(seal_unwrap(back, kek, wrapped, ad, sizeof(ad)),
			-EKEYREJECTED);
}

static void test_wrapping(void **state)
{
	struct kdf_cost passphrase = { 1, 8 }, random = { 0, 0 };
	(void)state;
	check_wrapping(&passphrase);
	check_wrapping(&random);
}

static void test_secret_memory(void **state)
{
	static const size_t lens[] = { 0, 1, 15, 16, 33, 5000 };
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		uint8_t *p = seal_secret_alloc(lens[i]);
		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 16, 0);
		for (size_t n = 0; n < lens[i]; n++)
			assert_int_equal(p[n], 0);
		memset(p, 1, lens[i]);
		seal_secret_free(p);
	}
	seal_secret_free(NULL);
	assert_null(seal_secret_alloc(SIZE_MAX));
	seal_free(NULL);
}

static void test_master_comes_out(void **state)
{
	struct seal *seal = make(true);
	uint8_t out[MASTER_KEY_SIZE];
	(void)state;
	seal_master(seal, out);
	assert_memory_equal(out, master, MASTER_KEY_SIZE);
	assert_true(seal_equal(out, master, MASTER_KEY_SIZE));
	seal_wipe(out, sizeof(out));
	assert_false(seal_equal(out, master, MASTER_KEY_SIZE));
	/* Where the limit is too low it says so; it never does harm. */
	int locked = seal_lock(seal);
	assert_true(locked <= 0);
	seal_free(seal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_tampering),
		cmocka_unit_test(test_other_mode_and_key),
		cmocka_unit_test(test_nonces_differ),
		cmocka_unit_test(test_known_answers),
		cmocka_unit_test(test_known_checksum),
		cmocka_unit_test(test_ids_depend_on_key),
		cmocka_unit_test(test_proof),
		cmocka_unit_test(test_wrapping),
		cmocka_unit_test(test_secret_memory),
		cmocka_unit_test(test_master_comes_out),
	};
	if (seal_global_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
