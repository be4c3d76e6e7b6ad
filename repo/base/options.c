/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The parser of command lines and the pages that --help prints. It allocates
 * only option lists, and exits on --help and on any mistake, so callers see
 * only valid command lines. It does not handle --version.
 */
#include "options.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "printable.h"
#include "report_json.h"
#include "units.h"

#define PAGE_WIDTH 80
#define HELP_COLUMN_MAX 32 /* longer options get their help below */
#define WORD_MAX 48	   /* longer words are not compared */
#define MISTAKE_MAX 1024

static const struct option help_option = { "help", 'h', OPTION_FLAG, NULL, NULL,
	"show this help" };

/* --- walking the tables --- */

/* Calls FN for every option, --help last, until it returns non-NULL. */
typedef const void *each_fn(void *ctx, const struct option *o);

static const void *each_option(const struct command_line *line, each_fn *fn,
		void *ctx)
{
	const void *found = NULL;
	for (size_t t = 0; line->tables != NULL && line->tables[t] != NULL; t++)
		for (const struct option *option = line->tables[t];
				option->name != NULL; option++) {
			found = fn(ctx, option);
			if (found != NULL)
				return found;
		}
	return fn(ctx, &help_option);
}

struct wanted {
	const char *name; /* or NULL, then the letter */
	size_t len;
	char letter;
};

static const void *match(void *ctx, const struct option *option)
{
	const struct wanted *wanted = ctx;
	if (option->type == OPTION_OPERAND)
		return NULL;
	if (wanted->name == NULL)
		return option->letter != 0 && option->letter == wanted->letter
				? option
				: NULL;
	return strncmp(option->name, wanted->name, wanted->len) == 0
					&& option->name[wanted->len] == '\0'
			? option
			: NULL;
}

static const struct option *find_long(const struct command_line *line,
		const char *name, size_t len)
{
	struct wanted w = { name, len, 0 };
	return each_option(line, match, &w);
}

static const struct option *find_letter(const struct command_line *line,
		char letter)
{
	struct wanted w = { NULL, 0, letter };
	return each_option(line, match, &w);
}

/* --- the nearest word --- */

static unsigned least_of(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Insertions, deletions, exchanges, and swaps of neighbours. */
static unsigned edit_distance(const char *a, const char *b)
{
	unsigned rows[3][WORD_MAX + 1];
	unsigned *before = rows[0], *last = rows[1], *now = rows[2];
	size_t la = strlen(a), lb = strlen(b);
	if (la > WORD_MAX || lb > WORD_MAX)
		return UINT_MAX;
	for (size_t j = 0; j <= lb; j++)
		last[j] = before[j] = (unsigned)j;
	for (size_t i = 1; i <= la; i++) {
		now[0] = (unsigned)i;
		for (size_t j = 1; j <= lb; j++) {
			unsigned d = last[j - 1] + (a[i - 1] != b[j - 1]);
			d = least_of(d, least_of(last[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2]
					&& a[i - 2] == b[j - 1])
				d = least_of(d, before[j - 2] + 1);
			now[j] = d;
		}
		unsigned *spare = before;
		before = last;
		last = now;
		now = spare;
	}
	return last[lb];
}

struct nearest {
	const char *word;
	const char *best;
	unsigned distance; /* of best; to be beaten */
};

static void consider(struct nearest *nearest, const char *candidate)
{
	size_t len = strlen(nearest->word);
	unsigned d = edit_distance(nearest->word, candidate);
	/* An abbreviation counts as one typing error. */
	if (len >= 2 && strncmp(nearest->word, candidate, len) == 0)
		d = least_of(d, 1);
	if (d < nearest->distance) {
		nearest->distance = d;
		nearest->best = candidate;
	}
}

static struct nearest nearest_begin(const char *word)
{
	unsigned allowed = 1 + (unsigned)strlen(word) / 4;
	return (struct nearest){ word, NULL, allowed + 1 };
}

const char *options_nearest_word(const char *word, const char *const *words)
{
	struct nearest n = nearest_begin(word);
	for (; *words != NULL; words++)
		consider(&n, *words);
	return n.best;
}

static const void *consider_option(void *ctx, const struct option *option)
{
	if (option->help != NULL)
		consider(ctx, option->name);
	return NULL;
}

/* --- mistakes --- */

static _Noreturn void say_mistake(const struct command_line *line)
{
	fprintf(stderr, "Try '%s --help'.\n", line->program);
	exit(EXIT_USAGE);
}

void options_error(const struct command_line *line, const char *fmt, ...)
{
	char text[MISTAKE_MAX], shown[4 * MISTAKE_MAX];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s: %s\n", line->program,
			printable(shown, sizeof(shown), text));
	report_json_note("usage", text, NULL);
	say_mistake(line);
}

/* WORD as written, without its dashes and value. */
static _Noreturn void unknown_option(const struct command_line *line,
		const char *shown, const char *word, size_t len)
{
	char copy[WORD_MAX + 1];
	struct nearest n;
	snprintf(copy, sizeof(copy), "%.*s", (int)len, word);
	n = nearest_begin(copy);
	each_option(line, consider_option, &n);
	if (n.best == NULL)
		options_error(line, "unknown option %s", shown);
	options_error(line, "unknown option %s; did you mean --%s?", shown,
			n.best);
}

/* --- the page --- */

static int left_width(const struct option *option)
{
	int width = 6 + 2 + (int)strlen(option->name);
	return option->arg == NULL ? width
				   : width + 1 + (int)strlen(option->arg);
}

static const void *widen(void *ctx, const struct option *option)
{
	int *column = ctx;
	int width = left_width(option) + 2;
	if (option->help != NULL && width <= HELP_COLUMN_MAX && width > *column)
		*column = width;
	return NULL;
}

/* Prints TEXT from COLUMN on, broken at spaces, then a newline. AT: where the
 * cursor is. */
static void print_wrapped(const char *text, int column, int at)
{
	bool first = true;
	printf("%*s", column - at, "");
	at = column;
	while (*(text += strspn(text, " ")) != '\0') {
		int len = (int)strcspn(text, " ");
		if (!first && at + 1 + len > PAGE_WIDTH - 1) {
			printf("\n%*s", column, "");
			at = column;
			first = true;
		}
		printf("%s%.*s", first ? "" : " ", len, text);
		at += len + (first ? 0 : 1);
		first = false;
		text += len;
	}
	putchar('\n');
}

static const void *print_option(void *ctx, const struct option *option)
{
	int column = *(const int *)ctx, at = left_width(option);
	if (option->help == NULL)
		return NULL;
	if (option->letter != 0)
		printf("  -%c, --%s", option->letter, option->name);
	else
		printf("      --%s", option->name);
	if (option->arg != NULL)
		printf(" %s", option->arg);
	if (at + 2 > column) {
		putchar('\n');
		at = 0;
	}
	print_wrapped(option->help, column, at);
	return NULL;
}

/* Prints TEXT, if there is any, as whole lines. */
static void print_block(const char *before, const char *text)
{
	size_t len = text == NULL ? 0 : strlen(text);
	if (len > 0)
		printf("%s%s%s", before, text,
				text[len - 1] == '\n' ? "" : "\n");
}

static _Noreturn void print_page(const struct command_line *line)
{
	int column = 0;
	bool none = line->operands == NULL || *line->operands == '\0';
	printf("Usage: %s [OPTION...]%s%s\n", line->program, none ? "" : " ",
			none ? "" : line->operands);
	print_block("", line->purpose);
	putchar('\n');
	each_option(line, widen, &column);
	each_option(line, print_option, &column);
	print_block("\n", line->notes);
	if (fflush(stdout) != 0) {
		fprintf(stderr, "%s: can't write the help: %s\n", line->program,
				strerror(errno));
		exit(EXIT_FAILED);
	}
	exit(EXIT_DONE);
}

/* --- values --- */

static void set_number(const struct command_line *line,
		const struct option *option, const char *text)
{
	struct option_number *number = option->value;
	char *end;
	errno = 0;
	long v = strtol(text, &end, 10);
	if (end == text || *end != '\0' || errno != 0 || v < number->min
			|| v > number->max
			|| strchr(" \t\n\v\f\r", *text) != NULL)
		options_error(line,
				"--%s: \"%s\" is not a whole number from %ld "
				"to %ld",
				option->name, text, number->min, number->max);
	number->value = v;
}

static void add_to_list(const struct command_line *line,
		const struct option *option, const char *text)
{
	struct option_list *list = option->value;
	const char **items = reallocarray(list->items, (size_t)list->count + 1,
			sizeof(*items));
	if (items == NULL)
		options_error(line, "out of memory");
	items[list->count++] = text;
	list->items = items;
}

static void set_value(const struct command_line *line,
		const struct option *option, const char *text)
{
	int err;
	if (option == &help_option)
		print_page(line);
	switch (option->type) {
	case OPTION_FLAG:
		*(bool *)option->value = true;
		break;
	case OPTION_TEXT:
		*(const char **)option->value = text;
		break;
	case OPTION_SIZE:
		err = size_parse(option->value, text);
		if (err < 0)
			options_error(line, "--%s: %s", option->name,
					error_text(err));
		break;
	case OPTION_NUMBER:
		set_number(line, option, text);
		break;
	case OPTION_LIST:
		add_to_list(line, option, text);
		break;
	case OPTION_OPERAND: /* never found as an option */
		break;
	}
}

/* --- words --- */

struct words {
	const struct command_line *cl;
	int argc, at; /* the word under way */
	char **argv;
};

/* The next word is taken as OPTION's value, whatever it looks like. */
static const char *next_value(struct words *words, const struct option *option)
{
	if (words->at + 1 >= words->argc)
		options_error(words->cl, "--%s needs a value (%s)",
				option->name,
				option->arg == NULL ? "see --help"
						    : option->arg);
	return words->argv[++words->at];
}

static void parse_long(struct words *words, const char *word)
{
	size_t len = strcspn(word + 2, "=");
	const char *value = word[2 + len] == '=' ? word + 3 + len : NULL;
	const struct option *option = find_long(words->cl, word + 2, len);
	if (option == NULL) {
		char shown[WORD_MAX + 3];
		snprintf(shown, sizeof(shown), "%.*s", (int)len + 2, word);
		unknown_option(words->cl, shown, word + 2, len);
	}
	if (option->type == OPTION_FLAG && value != NULL)
		options_error(words->cl, "--%s takes no value", option->name);
	if (option->type != OPTION_FLAG && value == NULL)
		value = next_value(words, option);
	set_value(words->cl, option, value);
}

static void parse_letters(struct words *words, const char *word)
{
	size_t len = strcspn(word + 1, "=");
	/* "-json" lacks a dash; it is not meant as -j with the value "son". */
	if (len > 1 && find_long(words->cl, word + 1, len) != NULL)
		unknown_option(words->cl, word, word + 1, len);
	for (const char *p = word + 1; *p != '\0'; p++) {
		const struct option *option = find_letter(words->cl, *p);
		if (option == NULL && len > 1)
			unknown_option(words->cl, word, word + 1, len);
		if (option == NULL)
			options_error(words->cl, "unknown option -%c", *p);
		if (option->type == OPTION_FLAG) {
			set_value(words->cl, option, NULL);
			continue;
		}
		set_value(words->cl, option,
				p[1] != '\0' ? p + 1
					     : next_value(words, option));
		return;
	}
}

/* --- operands --- */

/* Copies the name of the operand that is number N (from 0) in LINE's list,
 * skipping options that are listed there for clarity. */
static void operand_name(const struct command_line *line, int n, char *out,
		size_t size)
{
	const char *p = line->operands == NULL ? "" : line->operands;
	bool skip = false;
	snprintf(out, size, "operand");
	while (*(p += strspn(p, " ")) != '\0') {
		const char *word = p + strspn(p, "[");
		size_t len = strcspn(word, "[]. ");
		if (strncmp(word, "--", 2) == 0) {
			const struct option *option =
					find_long(line, word + 2, len - 2);
			skip = option != NULL && option->type != OPTION_FLAG;
		} else if (skip) {
			skip = false;
		} else if (n-- == 0) {
			snprintf(out, size, "%.*s", (int)len, word);
			return;
		}
		p += strcspn(p, " ");
	}
}

static void check_operands(const struct command_line *line, int n, char **argv)
{
	char name[64];
	if (n < line->min_operands) {
		operand_name(line, n, name, sizeof(name));
		options_error(line, "missing %s", name);
	}
	if (line->max_operands >= 0 && n > line->max_operands)
		options_error(line, "too many arguments: \"%s\"",
				argv[line->max_operands + 1]);
}

/* --- operands that stand for something --- */

/* With room for one operand more; it stays. */
static char **taken;

char **options_take_arguments(int argc, char **argv)
{
	char **copy = calloc((size_t)argc + 2, sizeof(char *));
	if (copy == NULL) {
		fputs("amberfs: no memory\n", stderr);
		exit(EXIT_FAILED);
	}
	memcpy(copy, argv, (size_t)argc * sizeof(char *));
	taken = copy;
	return copy;
}

struct given {
	const struct command_line *line;
	char **argv;
	int count;
};

static bool is_operand(const struct given *given, int n,
		const struct option_operand *operand)
{
	char name[64];
	operand_name(given->line, n, name, sizeof(name));
	return strcmp(name, operand->name) == 0;
}

static const void *insert(void *ctx, const struct option *option)
{
	struct given *given = ctx;
	if (option->type != OPTION_OPERAND)
		return NULL;
	const struct option_operand *operand = option->value;
	char *value = operand->variable != NULL ? getenv(operand->variable)
						: NULL;
	if (value == NULL || *value == '\0' || !is_operand(given, 0, operand))
		return NULL;
	for (int i = given->count; i > 0; i--)
		given->argv[i + 1] = given->argv[i];
	given->argv[1] = value;
	given->count++;
	return option;
}

static _Noreturn void not_resolved(const struct command_line *line, int err,
		const char *operand)
{
	char shown[4 * MISTAKE_MAX];
	fprintf(stderr, "%s: %s\n", line->program,
			printable(shown, sizeof(shown), error_text(err)));
	report_json_note(error_code(err), error_text(err), operand);
	exit(EXIT_FAILED);
}

static const void *resolve(void *ctx, const struct option *option)
{
	struct given *given = ctx;
	if (option->type != OPTION_OPERAND)
		return NULL;
	const struct option_operand *operand = option->value;
	for (int i = 1; i <= given->count && i <= 2; i++) {
		const char *value = given->argv[i];
		if (!is_operand(given, i - 1, operand))
			continue;
		int err = operand->resolve(operand->ctx, &value);
		if (err < 0)
			not_resolved(given->line, err, value);
		given->argv[i] = (char *)value;
	}
	return NULL;
}

int options_parse(const struct command_line *line, int argc, char **argv)
{
	struct words w = { line, argc, 1, argv };
	int operands = 0;
	bool only_operands = false;
	for (; w.at < argc; w.at++) {
		char *word = argv[w.at];
		if (only_operands || word[0] != '-' || word[1] == '\0')
			argv[++operands] = word;
		else if (strcmp(word, "--") == 0)
			only_operands = true;
		else if (word[1] == '-')
			parse_long(&w, word);
		else
			parse_letters(&w, word);
	}
	struct given given = { line, argv, operands };
	if (operands < line->min_operands && taken != NULL)
		each_option(line, insert, &given);
	check_operands(line, given.count, argv);
	if (given.count + 1 < argc)
		argv[given.count + 1] = NULL;
	each_option(line, resolve, &given);
	return given.count;
}
