/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Command lines: a table of options per command, one parser for all programs.
 * It knows --name VALUE, --name=VALUE, -n VALUE, -nVALUE, clustered flags and
 * "--". Options and operands may be mixed. --help prints the page to stdout and
 * exits 0; a mistake prints one or two lines to stderr that suggest what was
 * meant (the nearest option by edit distance) and exits 2.
 */
#ifndef AMBERFS_BASE_OPTIONS_H
#define AMBERFS_BASE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum exit_status {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_PARTLY = 3,
	EXIT_INTERRUPTED = 130, /* 128 + SIGINT, as shells have it */
};

enum option_type {
	OPTION_FLAG,   /* bool *: set to true */
	OPTION_TEXT,   /* const char **: points into argv */
	OPTION_SIZE,   /* uint64_t *: size_parse */
	OPTION_NUMBER, /* struct option_number * */
	OPTION_LIST,   /* struct option_list *: may be given many times */
	/* struct option_operand *: no option; its row has the name "" */
	OPTION_OPERAND,
};

struct option_number {
	long value, min, max;
};

struct option_list {
	const char **items; /* allocated, never freed: as long as argv */
	int count;
};

/* An operand that may be an abbreviation of something. */
struct option_operand {
	const char *name;     /* in the list of operands, such as "REPO" */
	const char *variable; /* of the environment: if operands are missing,
				 its value is the first one; or NULL */
	/* *OPERAND to what it stands for. 0, or -errno with a text. */
	int (*resolve)(void *ctx, const char **operand);
	void *ctx;
};

struct option {
	const char *name; /* without the dashes */
	char letter;	  /* or 0 */
	enum option_type type;
	void *value;
	const char *arg;  /* the value's name in the help; NULL: flag */
	const char *help; /* one line; NULL: accepted but not listed */
};

struct command_line {
	const char *program;  /* "amberfs backup" */
	const char *operands; /* "REPO --name NAME FILE..." */
	const char *purpose;  /* one to three lines */
	const char *notes;    /* after the options: examples; may be NULL */
	const struct option *const *tables; /* NULL-ended list of tables, each
						ended by a NULL name */
	int min_operands, max_operands;	    /* max -1: any number */
};

/* A copy of ARGV with room for an operand from the environment. Called once, by
 * programs that take one; exits without memory. */
char **options_take_arguments(int argc, char **argv);

/* Parses ARGV[1..]; moves the operands to ARGV[1..n] and returns n.
 * Exits by itself as said above, and with 1 if an operand can't be resolved. */
int options_parse(const struct command_line *line, int argc, char **argv);

/* Prints "PROGRAM: message" and a hint to --help, exits 2. */
void options_error(const struct command_line *line, const char *fmt, ...)
		__attribute__((format(printf, 2, 3), noreturn, cold));

/* The nearest of WORDS (NULL-ended) to WORD, or NULL if none is near. */
const char *options_nearest_word(const char *word, const char *const *words);

#endif
