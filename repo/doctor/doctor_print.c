/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Findings as text: a column for the level, then the object and what was found,
 * wrapped at the terminal's width. Commands are never wrapped, so that they can
 * be copied; nor is anything where there is no terminal, for grep.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "doctor.h"
#include "repo/base/cleanup.h"
#include "repo/base/printable.h"
#include "repo/base/units.h"

#define INDENT 11 /* of text: two blanks, the level, a blank */
#define WIDTH_MAX 100
#define WIDTH_MIN 40
#define TEXT_MAX 8192

static bool wants_colour(void)
{
	const char *none = getenv("NO_COLOR"), *term = getenv("TERM");
	return isatty(STDOUT_FILENO) && (none == NULL || *none == '\0')
			&& term != NULL && strcmp(term, "dumb") != 0;
}

/* Columns for text; 0: any number. */
static size_t width(void)
{
	struct winsize w;
	if (!isatty(STDOUT_FILENO))
		return 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) < 0 || w.ws_col == 0)
		return 80;
	if (w.ws_col > WIDTH_MAX)
		return WIDTH_MAX;
	return w.ws_col < WIDTH_MIN ? WIDTH_MIN : w.ws_col;
}

/* Characters, for texts of one column each. */
static size_t length(const char *text, size_t bytes)
{
	size_t n = 0;
	for (size_t i = 0; i < bytes; i++)
		n += ((unsigned char)text[i] & 0xC0) != 0x80;
	return n;
}

/* From column INDENT on. */
static void print_wrapped(const char *text)
{
	size_t limit = width(), at = INDENT;
	bool first = true;
	while (*text != '\0') {
		size_t bytes = strcspn(text, " ");
		size_t columns = length(text, bytes);
		if (!first && limit != 0 && at + 1 + columns > limit) {
			printf("\n%*s", INDENT, "");
			at = INDENT;
		} else if (!first) {
			putchar(' ');
			at++;
		}
		fwrite(text, 1, bytes, stdout);
		at += columns;
		first = false;
		text += bytes;
		text += strspn(text, " ");
	}
	putchar('\n');
}

static const char *get(const json_t *finding, const char *key)
{
	const char *text = json_string_value(json_object_get(finding, key));
	return text != NULL ? text : "";
}

static void print_level(const char *level)
{
	static const struct {
		const char *level, *shown, *colour;
	} marks[] = {
		{ "ok", "ok", "\033[32m" },
		{ "warning", "WARNING", "\033[33m" },
		{ "failure", "FAILURE", "\033[1;31m" },
	};
	size_t i = 0;
	while (i < 2 && strcmp(marks[i].level, level) != 0)
		i++;
	bool colour = wants_colour();
	printf("  %s%-8s%s ", colour ? marks[i].colour : "", marks[i].shown,
			colour ? "\033[0m" : "");
}

static void print_finding(const json_t *finding)
{
	CLEANUP_FREE char *text = NULL;
	char shown[TEXT_MAX];
	const char *meaning = get(finding, "meaning");
	if (asprintf(&text, "%s: %s%s%s", get(finding, "object"),
			    get(finding, "found"), *meaning != '\0' ? ". " : "",
			    meaning)
			< 0) {
		text = NULL;
		return;
	}
	print_level(get(finding, "level"));
	print_wrapped(printable(shown, sizeof(shown), text));
	size_t i;
	json_t *command;
	json_array_foreach (json_object_get(finding, "commands"), i, command)
		printf("%*s%s %s\n", INDENT, "", i == 0 ? "mend:" : "then:",
				printable(shown, sizeof(shown),
						json_string_value(command)));
}

void doctor_print(const struct doctor *doctor, size_t first,
		const char **section)
{
	bool colour = wants_colour();
	for (size_t i = first; i < json_array_size(doctor->findings); i++) {
		const json_t *finding = json_array_get(doctor->findings, i);
		const char *name = get(finding, "section");
		if (doctor->options->report.quiet
				&& strcmp(get(finding, "level"), "ok") == 0)
			continue;
		if (*section == NULL || strcmp(*section, name) != 0)
			printf("%s%s%s%s\n", *section != NULL ? "\n" : "",
					colour ? "\033[1m" : "", name,
					colour ? "\033[0m" : "");
		*section = name;
		print_finding(finding);
	}
	fflush(stdout);
}

void doctor_print_summary(const struct doctor *doctor)
{
	char warnings[COUNT_TEXT_MAX], failures[COUNT_TEXT_MAX];
	if (doctor->options->report.quiet)
		return;
	printf("\n%u ok, %s, %s\n", doctor->count[DOCTOR_OK],
			count_format(warnings, doctor->count[DOCTOR_WARNING],
					"warning"),
			count_format(failures, doctor->count[DOCTOR_FAILURE],
					"failure"));
}
