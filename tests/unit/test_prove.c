/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: what a guest under proof shows, on its console or its
 * screen, is understood whatever it is, and bounded. */
#include "ingest/recovery/prove/prove_console.h"
#include "ingest/recovery/prove/prove_screen.h"
#include "repo/base/error.h" /* before cmocka.h, which has a fail() */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* --- console --- */

static struct prove_console console;
static char path[64];
static int writer;

static int setup(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "/tmp/test-prove.XXXXXX");
	close(mkstemp(path));
	writer = open(path, O_WRONLY | O_APPEND);
	return writer < 0 || prove_console_open(&console, path);
}

static int teardown(void **state)
{
	(void)state;
	prove_console_close(&console);
	close(writer);
	return unlink(path);
}

static void guest_says(const char *text, size_t len)
{
	assert_int_equal(write(writer, text, len), (ssize_t)len);
	assert_int_equal(prove_console_read(&console), 0);
}

static bool shown(const char *pattern)
{
	regex_t regex;
	bool found = false;
	assert_int_equal(prove_console_pattern(&regex, pattern), 0);
	found = prove_console_has(&console, &regex);
	regfree(&regex);
	return found;
}

static void test_escapes(void **state)
{
	static const char text[] = "a\0b\r\n\033[1;32mweb\033[0m lo\033[?25";
	(void)state;
	guest_says(text, sizeof(text) - 1);
	assert_false(shown("login: "));
	/* The sequence goes on in the next piece. */
	guest_says("lgin: ", 6);
	assert_true(shown("^web login: $"));
	assert_true(shown("^ab$"));
	assert_false(shown("ab.web"));
}

static void test_tail(void **state)
{
	const char *text = "one\n\n  \ntwo \xff\n\tthree\x07\n\nfour";
	json_t *tail = NULL;
	(void)state;
	tail = prove_console_tail(&console, 3);
	assert_int_equal(json_array_size(tail), 0);
	json_decref(tail);
	guest_says(text, strlen(text));
	tail = prove_console_tail(&console, 3);
	assert_int_equal(json_array_size(tail), 3);
	assert_string_equal(json_string_value(json_array_get(tail, 0)),
			"two \\xFF");
	assert_string_equal(json_string_value(json_array_get(tail, 1)),
			"\\x09three\\x07");
	assert_string_equal(json_string_value(json_array_get(tail, 2)), "four");
	json_decref(tail);
}

/* A guest that never stops fills neither memory nor disk. */
static void test_flood(void **state)
{
	char *line = calloc(1, 1 << 20);
	(void)state;
	assert_non_null(line);
	memset(line, 'x', 1 << 20);
	for (int i = 0; i < 40; i++)
		guest_says(line, 1 << 20);
	assert_true(lseek(writer, 0, SEEK_END) <= 17 << 20);
	guest_says("\nlogin: ", 8);
	assert_true(shown("^login: "));
	free(line);
}

static void test_pattern(void **state)
{
	regex_t regex;
	(void)state;
	assert_int_equal(prove_console_pattern(&regex, "a(b"), -EINVAL);
	assert_non_null(strstr(error_text(-EINVAL), "a(b"));
}

/* --- screen --- */

/* All of one colour, but for DOTS pixels from AT on. */
static struct prove_screen picture(uint32_t width, uint32_t height, size_t at,
		size_t dots)
{
	struct prove_screen p = { .pixels = NULL };
	size_t size = 3 * (size_t)width * height;
	char *ppm = malloc(size + 64);
	size_t head = (size_t)sprintf(ppm, "P6\n# a comment\n%u %u\n255\n",
			width, height);
	memset(ppm + head, 7, size);
	memset(ppm + head + 3 * at, 200, 3 * dots);
	assert_int_equal(prove_screen_read(&p, (uint8_t *)ppm, head + size), 0);
	assert_int_equal(p.width, width);
	assert_int_equal(p.height, height);
	/* One byte less. */
	assert_int_equal(prove_screen_read(&(struct prove_screen){ 0 },
					 (uint8_t *)ppm, head + size - 1),
			-EBADMSG);
	free(ppm);
	return p;
}

static void test_pictures(void **state)
{
	struct prove_screen empty = { .pixels = NULL };
	struct prove_screen blank = picture(720, 400, 0, 100);
	struct prove_screen text = picture(720, 400, 9000, 3000);
	struct prove_screen cursor = picture(720, 400, 9000, 3144);
	struct prove_screen more = picture(720, 400, 9000, 4000);
	struct prove_screen wide = picture(800, 360, 9000, 3000);
	(void)state;
	assert_true(prove_screen_blank(&empty));
	assert_true(prove_screen_blank(&blank));
	assert_false(prove_screen_blank(&text));
	assert_true(prove_screen_same(&text, &cursor));
	assert_false(prove_screen_same(&text, &more));
	assert_false(prove_screen_same(&text, &wide));
	assert_false(prove_screen_same(&text, &empty));
	prove_screen_clear(&blank);
	prove_screen_clear(&text);
	prove_screen_clear(&cursor);
	prove_screen_clear(&more);
	prove_screen_clear(&wide);
}

static size_t slurp(const char *file, uint8_t *buf, size_t size)
{
	FILE *f = fopen(file, "r");
	size_t len = 0;
	assert_non_null(f);
	len = fread(buf, 1, size, f);
	fclose(f);
	return len;
}

/* What is saved can be read, and no cut or changed file does harm. */
static void test_png(void **state)
{
	struct prove_screen p = picture(320, 200, 300, 5000);
	struct prove_screen again = { .pixels = NULL };
	static uint8_t file[65536];
	char link[80];
	size_t len = 0;
	(void)state;
	assert_int_equal(prove_screen_save(&p, path), 0);
	len = slurp(path, file, sizeof(file));
	assert_int_equal(prove_screen_read(&again, file, len), 0);
	assert_int_equal(again.width, 320);
	assert_memory_equal(again.pixels, p.pixels, 3 * 320 * 200);
	prove_screen_clear(&again);
	for (size_t cut = 0; cut < len; cut += 7)
		if (prove_screen_read(&again, file, cut) == 0)
			prove_screen_clear(&again);
	for (size_t i = 0; i < len; i++) {
		file[i] ^= 0x41;
		if (prove_screen_read(&again, file, len) == 0)
			prove_screen_clear(&again);
		file[i] ^= 0x41;
	}
	/* Not through a link that somebody has laid there. */
	snprintf(link, sizeof(link), "%s.link", path);
	assert_int_equal(symlink(path, link), 0);
	assert_int_equal(prove_screen_save(&p, link), -ELOOP);
	unlink(link);
	assert_true(prove_screen_save(&p, "/nonexistent/x.png") < 0);
	prove_screen_clear(&p);
}

static void test_hostile_pictures(void **state)
{
	static const char *const bad[] = { "", "P", "P6", "P6\n", "P6 1 1 255 ",
		"P6 99999999999 1 255 x", "P6 1 0 255 xxx", "P6 0 1 255 xxx",
		"P6 1 1 65535 xxxxxx", "P6 -1 1 255 xxx", "P6 16385 1 255 xxx",
		"P6 16384 16384 255 xxx", "P6 # ", "P5 1 1 255 x", NULL };
	struct prove_screen p = { .pixels = NULL };
	(void)state;
	for (const char *const *s = bad; *s != NULL; s++) {
		assert_int_equal(prove_screen_read(&p, (const uint8_t *)*s,
						 strlen(*s)),
				-EBADMSG);
		assert_null(p.pixels);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_escapes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tail, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flood, setup, teardown),
		cmocka_unit_test(test_pattern),
		cmocka_unit_test(test_pictures),
		cmocka_unit_test_setup_teardown(test_png, setup, teardown),
		cmocka_unit_test(test_hostile_pictures),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
