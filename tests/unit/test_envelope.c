/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: an envelope opens only as the kind, under the name and in
 * the repository that it was sealed for, and only unchanged. */
#include "repo/base/error.h"
#include "repo/format/envelope.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NAME "snapshots/vm/20261123T040000Z"

static const uint8_t master[MASTER_KEY_SIZE] = { 1, 2, 3 };
static const uint8_t repo_id[REPO_ID_SIZE] = { 7 };

static int open_it(const struct seal *seal, const uint8_t *id,
		enum envelope_kind kind, const char *name, const uint8_t *data,
		size_t len)
{
	/* A copy of the exact size, so that a read beyond it is seen. */
	uint8_t *copy = malloc(len > 0 ? len : 1);
	char *payload;
	size_t payload_len;
	memcpy(copy, data, len);
	int err = envelope_open(seal, id, kind, name, copy, len, &payload,
			&payload_len);
	if (err < 0) {
		assert_null(payload);
		assert_non_null(strstr(error_text(err), name));
	}
	free(payload);
	free(copy);
	return err;
}

static void check_round_trip(bool encrypted, const char *text, size_t len)
{
	struct seal *seal = seal_new(master, encrypted);
	uint8_t *object;
	char *back;
	size_t object_len, back_len;
	assert_int_equal(envelope_seal(seal, repo_id, ENVELOPE_SNAPSHOT, NAME,
					 text, len, &object, &object_len),
			0);
	assert_int_equal(object_len, 12 + SEAL_OVERHEAD + len);
	assert_memory_equal(object, "AMB1\1", 5);
	assert_int_equal(object[5], encrypted);
	assert_int_equal(envelope_open(seal, repo_id, ENVELOPE_SNAPSHOT, NAME,
					 object, object_len, &back, &back_len),
			0);
	assert_int_equal(back_len, len);
	assert_memory_equal(back, text, len);
	assert_int_equal(back[len], '\0');
	free(object);
	free(back);
	seal_free(seal);
}

static void test_round_trip(void **state)
{
	(void)state;
	for (int encrypted = 0; encrypted < 2; encrypted++) {
		check_round_trip(encrypted, "", 0);
		check_round_trip(encrypted, "{}", 2);
		check_round_trip(encrypted, "a\0b", 3);
	}
}

static void check_refusals(bool encrypted)
{
	struct seal *seal = seal_new(master, encrypted);
	struct seal *other = seal_new(master, !encrypted);
	uint8_t *object, other_id[REPO_ID_SIZE] = { 8 };
	size_t len;
	assert_int_equal(envelope_seal(seal, repo_id, ENVELOPE_SESSION, NAME,
					 "{\"a\":1}", 7, &object, &len),
			0);
	assert_int_equal(open_it(seal, repo_id, ENVELOPE_SESSION, NAME, object,
					 len),
			0);
	assert_int_equal(open_it(seal, other_id, ENVELOPE_SESSION, NAME, object,
					 len),
			-EBADMSG);
	assert_int_equal(open_it(seal, repo_id, ENVELOPE_CONDEMNED, NAME,
					 object, len),
			-EBADMSG);
	assert_int_equal(open_it(seal, repo_id, ENVELOPE_SESSION, NAME "x",
					 object, len),
			-EBADMSG);
	assert_int_equal(open_it(seal, repo_id, ENVELOPE_SESSION, "", object,
					 len),
			-EBADMSG);
	assert_int_equal(open_it(other, repo_id, ENVELOPE_SESSION, NAME, object,
					 len),
			-EBADMSG);
	for (size_t i = 0; i < len * 8; i++) {
		object[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(open_it(seal, repo_id, ENVELOPE_SESSION, NAME,
						 object, len),
				-EBADMSG);
		object[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t i = 0; i < len; i++)
		assert_int_equal(open_it(seal, repo_id, ENVELOPE_SESSION, NAME,
						 object, i),
				-EBADMSG);
	free(object);
	seal_free(seal);
	seal_free(other);
}

static void test_refusals(void **state)
{
	(void)state;
	check_refusals(true);
	check_refusals(false);
}

static void test_size_limit(void **state)
{
	struct seal *seal = seal_new(master, true);
	size_t len = (size_t)ENVELOPE_PAYLOAD_MAX + 1;
	char *big = calloc(1, len + 12 + SEAL_OVERHEAD);
	uint8_t *object;
	size_t object_len;
	(void)state;
	assert_int_equal(envelope_seal(seal, repo_id, ENVELOPE_SNAPSHOT, NAME,
					 big, len, &object, &object_len),
			-EFBIG);
	assert_int_equal(open_it(seal, repo_id, ENVELOPE_SNAPSHOT, NAME,
					 (uint8_t *)big,
					 len + 12 + SEAL_OVERHEAD),
			-EBADMSG);
	assert_int_equal(envelope_seal(seal, repo_id, ENVELOPE_SNAPSHOT, NAME,
					 big, len - 1, &object, &object_len),
			0);
	assert_int_equal(open_it(seal, repo_id, ENVELOPE_SNAPSHOT, NAME, object,
					 object_len),
			0);
	free(big);
	free(object);
	seal_free(seal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_size_limit),
	};
	if (seal_global_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
