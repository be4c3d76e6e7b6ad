/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: a session's record comes back as it was, and what is not
 * one is refused. */
#include "repo/base/bytes.h"
#include "repo/format/session_record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROOT "abababababababababababababababababababababababababababababababab"

static int parse(struct session_record *record, const char *text)
{
	return session_record_from_json(record, text, strlen(text));
}

static void check_round_trip(enum session_kind kind, const char *activity)
{
	struct id roots[2];
	struct pack_id held[1] = { { { 0xcd, 1 } } };
	struct session_record r = { .kind = kind,
		.started = 1795406400,
		.host = strdup("host"),
		.pid = 4711,
		.root_count = 2,
		.roots = roots,
		.acknowledged = kind,
		.held_count = kind % 2,
		.held = held },
			      back;
	memset(roots, 0xab, sizeof(roots));
	r.activity = activity == NULL ? NULL : strdup(activity);
	json_t *json = session_record_to_json(&r);
	assert_non_null(json);
	char *text = json_dumps(json, JSON_FIELDS_DUMP_FLAGS);
	assert_int_equal(parse(&back, text), 0);
	assert_int_equal(back.kind, kind);
	assert_int_equal(back.started, r.started);
	assert_string_equal(back.host, "host");
	assert_int_equal(back.pid, 4711);
	if (activity == NULL)
		assert_null(back.activity);
	else
		assert_string_equal(back.activity, activity);
	assert_int_equal(back.root_count, 2);
	assert_memory_equal(back.roots, roots, sizeof(roots));
	assert_int_equal(back.acknowledged, kind);
	assert_int_equal(back.held_count, kind % 2);
	if (back.held_count)
		assert_memory_equal(back.held, held, sizeof(held));
	session_record_clear(&back);
	json_decref(json);
	free(text);
	free(r.host);
	free(r.activity);
}

static void test_round_trip(void **state)
{
	(void)state;
	check_round_trip(SESSION_BACKUP, "vm%2F1");
	check_round_trip(SESSION_MOUNT, "%2Fmnt");
	check_round_trip(SESSION_PRUNE, NULL);
	check_round_trip(SESSION_READ, NULL);
	check_round_trip(SESSION_WRITE, NULL);
}

static const char valid[] =
		"{\"host\":\"h\",\"kind\":\"backup\",\"pid\":1,"
		"\"roots\":[\"" ROOT "\"],\"started\":5,\"later\":{}}";

static void test_refusals(void **state)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{}",
		"{\"host\":\"h\",\"kind\":\"b\",\"pid\":1,\"roots\":[],"
		"\"started\":5}",
		"{\"host\":\"/\",\"kind\":\"backup\",\"pid\":1,\"roots\":[],"
		"\"started\":5}",
		"{\"host\":\"h\",\"kind\":\"backup\",\"pid\":-1,\"roots\":[],"
		"\"started\":5}",
		"{\"host\":\"h\",\"kind\":\"backup\",\"pid\":1,"
		"\"started\":5}",
		"{\"host\":\"h\",\"kind\":\"backup\",\"pid\":1,\"roots\":[1],"
		"\"started\":5}",
		"{\"host\":\"h\",\"kind\":\"backup\",\"pid\":1,"
		"\"roots\":[\"ab\"],\"started\":5}",
		"{\"host\":\"h\",\"kind\":\"backup\",\"pid\":1,"
		"\"roots\":[\"" ROOT "\",\"0000000000000000000000000000"
		"000000000000000000000000000000000000\"],"
		"\"started\":5}",
		"{\"host\":\"h\",\"kind\":\"backup\",\"pid\":1,\"roots\":[],"
		"\"started\":253402300800}",
		"{\"host\":\"h\",\"kind\":\"backup\",\"pid\":1,\"roots\":[],"
		"\"started\":5,\"acknowledged\":0}",
		"{\"host\":\"h\",\"kind\":\"backup\",\"pid\":1,\"roots\":[],"
		"\"started\":5,\"held\":[\"ab\"]}",
	};
	struct session_record r;
	(void)state;
	assert_int_equal(parse(&r, valid), 0);
	session_record_clear(&r);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse(&r, bad[i]), -EBADMSG);
		assert_null(r.host);
		assert_null(r.roots);
	}
}

static void test_damaged_bytes(void **state)
{
	static const char tries[] = "\"{}[],:0-9e.a%\\ \x01\x80\xff";
	char text[sizeof(valid)];
	struct session_record r;
	(void)state;
	memcpy(text, valid, sizeof(valid));
	for (size_t i = 0; i < sizeof(valid) - 1; i++) {
		for (const char *t = tries; *t != '\0'; t++) {
			text[i] = *t;
			int err = parse(&r, text);
			assert_true(err == 0 || err == -EBADMSG);
			session_record_clear(&r);
		}
		text[i] = valid[i];
		assert_int_equal(session_record_from_json(&r, text, i),
				-EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_damaged_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
