/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: command lines are read as promised in every spelling, and
 * each mistake ends with status 2 and a line that says what was meant. */
#include "repo/base/bytes.h"
#include "repo/base/options.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ARGS_MAX 12

static struct {
	bool json, verbose;
	const char *name;
	uint64_t limit;
	struct option_number jobs;
	struct option_list excludes;
} got;

static const struct option own[] = {
	{ "name", 'n', OPTION_TEXT, &got.name, "NAME", "what it is called" },
	{ "bwlimit", 0, OPTION_SIZE, &got.limit, "RATE",
			"read at most RATE bytes a second from the sources, "
			"all of them together, for example 50M" },
	{ "jobs", 'j', OPTION_NUMBER, &got.jobs, "N", "threads" },
	{ "exclude", 'x', OPTION_LIST, &got.excludes, "PATTERN", "leave out" },
	{ "compression", 0, OPTION_TEXT, &got.name, "LEVEL", "zstd's level" },
	{ "an-option-that-is-really-long", 0, OPTION_FLAG, &got.json, NULL,
			"its help goes below" },
	{ "secret", 0, OPTION_FLAG, &got.json, NULL, NULL },
	{ .name = NULL },
};
static const struct option common[] = {
	{ "json", 0, OPTION_FLAG, &got.json, NULL, "one JSON object" },
	{ "verbose", 'v', OPTION_FLAG, &got.verbose, NULL, "say more" },
	{ .name = NULL },
};
static const struct option *const tables[] = { own, common, NULL };
static const struct command_line line = {
	.program = "amberfs backup",
	.operands = "REPO --name NAME FILE...",
	.purpose = "Backs files up.",
	.notes = "Example: amberfs backup /r --name web /web.raw",
	.tables = tables,
	.min_operands = 2,
	.max_operands = 3,
};

/* Splits at spaces; returns options_parse's result. */
static int parse(const char *words, char *argv[ARGS_MAX])
{
	static char copy[256], program[] = "amberfs";
	int argc = 1;
	memset(&got, 0, sizeof(got));
	got.jobs = (struct option_number){ 2, 1, 64 };
	snprintf(copy, sizeof(copy), "%s", words);
	argv[0] = program;
	for (char *w = strtok(copy, " "); w != NULL; w = strtok(NULL, " "))
		argv[argc++] = w;
	argv[argc] = NULL;
	return options_parse(&line, argc, argv);
}

static void test_spellings(void **state)
{
	char *argv[ARGS_MAX];
	(void)state;
	assert_int_equal(parse("/r --name web -v --jobs=7 /a --json "
			       "--bwlimit 1.5M /b",
					 argv),
			3);
	assert_string_equal(argv[1], "/r");
	assert_string_equal(argv[2], "/a");
	assert_string_equal(argv[3], "/b");
	assert_null(argv[4]);
	assert_string_equal(got.name, "web");
	assert_true(got.verbose && got.json);
	assert_int_equal(got.jobs.value, 7);
	assert_int_equal(got.limit, 3 << 19);
	assert_int_equal(parse("-vj3 -nweb -- -r --name", argv), 2);
	assert_true(got.verbose);
	assert_int_equal(got.jobs.value, 3);
	assert_string_equal(got.name, "web");
	assert_string_equal(argv[1], "-r");
	assert_string_equal(argv[2], "--name");
	assert_int_equal(parse("-vj 3 /r -", argv), 2);
	assert_string_equal(argv[2], "-");
	assert_int_equal(parse("/r /a --name=", argv), 2);
	assert_string_equal(got.name, "");
	assert_int_equal(parse("/r /a --name=a=b", argv), 2);
	assert_string_equal(got.name, "a=b");
	assert_int_equal(parse("/r /a --secret", argv), 2);
	assert_true(got.json);
}

static void test_list(void **state)
{
	char *argv[ARGS_MAX];
	(void)state;
	assert_int_equal(parse("-x a --exclude=b -xc /r --exclude d /f", argv),
			2);
	assert_int_equal(got.excludes.count, 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(got.excludes.items[i][0], 'a' + i);
	free(got.excludes.items);
}

/* Parses in a child; returns its status and what it wrote. */
static int parse_apart(const char *words, char *text, size_t size)
{
	char *argv[ARGS_MAX];
	int p[2], status;
	size_t len = 0;
	ssize_t n;
	assert_int_equal(pipe(p), 0);
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(p[1], 1);
		dup2(p[1], 2);
		close(p[0]);
		parse(words, argv);
		_exit(77);
	}
	close(p[1]);
	while ((n = read(p[0], text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(p[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_mistakes(void **state)
{
	static const char *const cases[][2] = {
		{ "--compresion 3",
				"unknown option --compresion; did you mean "
				"--compression?" },
		{ "--jsno", "unknown option --jsno; did you mean --json?" },
		{ "--comp=3",
				"unknown option --comp; did you mean "
				"--compression?" },
		{ "-json", "unknown option -json; did you mean --json?" },
		{ "--hlep", "did you mean --help?" },
		{ "--xyzzyplugh", "unknown option --xyzzyplugh\n" },
		{ "--secrt", "unknown option --secrt\n" },
		{ "-q", "unknown option -q\n" },
		{ "--json=yes", "--json takes no value" },
		{ "/r --name", "--name needs a value (NAME)" },
		{ "/r -n", "--name needs a value (NAME)" },
		{ "-j 0", "--jobs: \"0\" is not a whole number from 1 to 64" },
		{ "-j 65", "not a whole number" },
		{ "-j 3x", "not a whole number" },
		{ "-j 99999999999999999999999", "not a whole number" },
		{ "--bwlimit fast", "--bwlimit: \"fast\" is not a size" },
		{ "-v", "missing REPO" },
		{ "/r", "missing FILE" },
		{ "/r a b c", "too many arguments: \"c\"" },
	};
	char text[4096];
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int status = parse_apart(cases[i][0], text, sizeof(text));
		if (strstr(text, cases[i][1]) == NULL)
			print_message("%s: %s\n", cases[i][0], text);
		assert_int_equal(status, EXIT_USAGE);
		assert_non_null(strstr(text, cases[i][1]));
		assert_memory_equal(text, "amberfs backup: ", 16);
		assert_non_null(strstr(text, "\nTry 'amberfs backup --help'."));
	}
}

static void test_help(void **state)
{
	char text[4096];
	(void)state;
	assert_int_equal(parse_apart("/r --help --nonsense", text,
					 sizeof(text)),
			EXIT_DONE);
	assert_memory_equal(text, "Usage: amberfs backup [OPTION...] REPO", 38);
	assert_non_null(strstr(text, "Backs files up."));
	assert_non_null(strstr(text, "  -n, --name NAME "));
	assert_non_null(strstr(text, "      --bwlimit RATE "));
	assert_non_null(strstr(text, "  -h, --help "));
	assert_non_null(strstr(text, "Example: "));
	assert_null(strstr(text, "secret"));
	int column = 0;
	for (char *l = strtok(text, "\n"); l != NULL; l = strtok(NULL, "\n")) {
		char *help = strstr(l, "what it is");
		assert_true(strlen(l) <= 80);
		if (help != NULL)
			column = (int)(help - l);
		help = strstr(l, "threads");
		if (help != NULL)
			assert_int_equal(help - l, column);
	}
	assert_true(column > 0);
	assert_int_equal(parse_apart("-h", text, sizeof(text)), EXIT_DONE);
}

static void test_nearest_word(void **state)
{
	static const char *const words[] = { "backup", "init", "list", "mount",
		"restore", "verify", NULL };
	char long_word[200];
	(void)state;
	assert_string_equal(options_nearest_word("bakcup", words), "backup");
	assert_string_equal(options_nearest_word("restor", words), "restore");
	assert_string_equal(options_nearest_word("ver", words), "verify");
	assert_string_equal(options_nearest_word("lsit", words), "list");
	assert_null(options_nearest_word("frobnicate", words));
	assert_null(options_nearest_word("", words));
	memset(long_word, 'a', sizeof(long_word) - 1);
	long_word[sizeof(long_word) - 1] = '\0';
	assert_null(options_nearest_word(long_word, words));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spellings),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_nearest_word),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
