/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: every name has exactly one escaped form, which comes back
 * as it was; components are cut safely; display shows nothing dangerous. */
#include "repo/base/bytes.h"
#include "repo/crypto/seal.h"
#include "repo/format/name.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_escapes(const char *name, size_t len, const char *text)
{
	char *escaped = name_escape(name, len);
	assert_non_null(escaped);
	assert_string_equal(escaped, text);
	size_t back_len = 99;
	char *back = name_unescape(escaped, &back_len);
	assert_non_null(back);
	assert_int_equal(back_len, len);
	assert_memory_equal(back, name, len);
	assert_int_equal(back[len], '\0');
	free(back);
	free(escaped);
}

static void test_known(void **state)
{
	static const char *const cases[][2] = {
		{ "", "%" },
		{ "vda.raw", "vda.raw" },
		{ "a_b+c=d,e@f-g", "a_b+c=d,e@f-g" },
		{ ".", "%2E" },
		{ "..", "%2E." },
		{ ".hidden", "%2Ehidden" },
		{ "-rf", "%2Drf" },
		{ "../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd" },
		{ "%", "%25" },
		{ "%41", "%2541" },
		{ "web server", "web%20server" },
		{ "a\nb", "a%0Ab" },
		{ "\xc3\xa4", "%C3%A4" },
		{ "$(reboot)", "%24%28reboot%29" },
		{ "C:\\x", "C%3A%5Cx" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_escapes(cases[i][0], strlen(cases[i][0]), cases[i][1]);
}

static void test_all_bytes_come_back(void **state)
{
	char name[255 * 2];
	(void)state;
	for (int c = 1; c < 256; c++) {
		name[c - 1] = (char)c;
		name[c + 254] = (char)(256 - c);
	}
	for (size_t from = 0; from < sizeof(name); from++) {
		size_t len = sizeof(name) - from, back_len;
		char *text = name_escape(name + from, len);
		char *back = name_unescape(text, &back_len);
		assert_non_null(back);
		assert_int_equal(back_len, len);
		assert_memory_equal(back, name + from, len);
		free(text);
		free(back);
	}
}

/* Whatever unescapes at all is what its name escapes to. */
static void test_one_form(void **state)
{
	static const char bytes[] = "%-.aAF0245G~/ \x01\xff";
	size_t n = sizeof(bytes) - 1;
	char text[6] = "";
	(void)state;
	for (size_t i = 0; i < n * n * n * n * n; i++) {
		size_t rest = i, len;
		for (int k = 0; k < 5; k++, rest /= n)
			text[k] = bytes[rest % n];
		for (int skip = 0; skip < 5; skip++) {
			char *name = name_unescape(text + skip, &len);
			if (name == NULL)
				continue;
			char *again = name_escape(name, len);
			assert_string_equal(again, text + skip);
			free(again);
			free(name);
		}
	}
}

static void test_hostile_texts(void **state)
{
	static const char *const bad[] = { "", ".", "..", "-x", "%2", "a%",
		"%%", "%00", "a%00", "%41", "%2e", "a%2E", "a%2D", "a/b", "a b",
		"%2g", "%~", "a%~0123", "\x80", "a\n", "%25%", "%+2", "% 2" };
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		errno = 0;
		assert_null(name_unescape(bad[i], NULL));
		assert_int_equal(errno, EINVAL);
	}
}

static void test_component(void **state)
{
	char out[NAME_COMPONENT_MAX + 1], other[NAME_COMPONENT_MAX + 1];
	char text[400];
	(void)state;
	memset(text, 'a', sizeof(text));
	text[NAME_COMPONENT_MAX] = '\0';
	name_component(out, text);
	assert_string_equal(out, text);
	text[NAME_COMPONENT_MAX] = 'a';
	text[NAME_COMPONENT_MAX + 1] = '\0';
	name_component(out, text);
	assert_int_equal(strlen(out), NAME_COMPONENT_MAX);
	assert_memory_equal(out, text, 180);
	assert_memory_equal(out + 180, "%~", 2);
	assert_int_equal(strspn(out + 182, "0123456789abcdef"), 32);
	text[NAME_COMPONENT_MAX] = 'b'; /* differs beyond the cut */
	name_component(other, text);
	assert_string_not_equal(out, other);
	/* Escapes that begin at 176 to 181: never cut within. */
	static const size_t cuts[] = { 180, 180, 178, 179, 180, 180 };
	for (size_t at = 176; at <= 181; at++) {
		memset(text, 'a', 300);
		memcpy(text + at, "%20", 3);
		text[300] = '\0';
		name_component(out, text);
		size_t cut = cuts[at - 176];
		assert_memory_equal(out, text, cut);
		assert_memory_equal(out + cut, "%~", 2);
		assert_int_equal(strlen(out), cut + 34);
	}
}

static void assert_shows(const char *name, const char *shown)
{
	char out[256];
	assert_string_equal(name_display(out, sizeof(out), name), shown);
}

static void test_display(void **state)
{
	(void)state;
	assert_shows("", "");
	assert_shows("plain name", "plain name");
	assert_shows("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
			"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
	assert_shows("a\x1b[31m", "a\\x1B[31m");
	assert_shows("a\nb\x7f", "a\\x0Ab\\x7F");
	assert_shows("\xc2\x85", "\\xC2\\x85");		 /* C1 */
	assert_shows("\xe2\x80\xae", "\\xE2\\x80\\xAE"); /* bidi */
	assert_shows("\xe2\x81\xa6", "\\xE2\\x81\\xA6"); /* bidi */
	assert_shows("\xc0\xaf", "\\xC0\\xAF");		 /* overlong */
	assert_shows("\xed\xa0\x80", "\\xED\\xA0\\x80"); /* surrogate */
	assert_shows("\xf4\x90\x80\x80", "\\xF4\\x90\\x80\\x80");
	assert_shows("\xff", "\\xFF");
	assert_shows("a\xe2\x82", "a\\xE2\\x82"); /* ends too early */
}

static void test_display_fits(void **state)
{
	static const char *const names[] = { "abcdefghij", "ab\x01\x02\x03",
		"\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac",
		"\xff\xff" };
	(void)state;
	for (size_t n = 0; n < ARRAY_SIZE(names); n++)
		for (size_t size = 1; size < 24; size++) {
			char *out = malloc(size); /* for the sanitizer */
			name_display(out, size, names[n]);
			assert_true(strlen(out) < size);
			free(out);
		}
	char out[9];
	assert_string_equal(name_display(out, 9, "abcdefgh"), "abcdefgh");
	assert_string_equal(name_display(out, 9, "abcdefghi"), "abcde...");
	assert_string_equal(name_display(out, 9, "abcdef\n"), "abcde...");
	assert_string_equal(name_display(out, 9, "ab\xe2\x82\xac\xe2\x82\xac!"),
			"ab\xe2\x82\xac...");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_all_bytes_come_back),
		cmocka_unit_test(test_one_form),
		cmocka_unit_test(test_hostile_texts),
		cmocka_unit_test(test_component),
		cmocka_unit_test(test_display),
		cmocka_unit_test(test_display_fits),
	};
	if (seal_global_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
