/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What people are told of a command: what it wrote to stderr, and what its JSON
 * says of failures that it did not write there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/printable.h"
#include "run_internal.h"

#define LINE_MAX_SHOWN 4096
#define LINES_MAX 200
#define DEPTH_MAX 16

struct messages {
	FILE *out;
	const char *errors; /* what is there already */
	unsigned lines;
};

static void put(struct messages *messages, const char *text)
{
	char line[LINE_MAX_SHOWN];
	if (messages->lines++ < LINES_MAX)
		fprintf(messages->out, "%s\n",
				printable(line, sizeof(line), text));
	else if (messages->lines == LINES_MAX + 1)
		fputs("...\n", messages->out);
}

static void put_errors(struct messages *messages)
{
	char *copy = strdup(messages->errors), *save = NULL;
	if (copy == NULL)
		return;
	for (char *line = strtok_r(copy, "\n", &save); line != NULL;
			line = strtok_r(NULL, "\n", &save))
		put(messages, line);
	free(copy);
}

static bool is_there(const struct messages *messages, const char *text)
{
	char shown[LINE_MAX_SHOWN];
	return strstr(messages->errors, text) != NULL
			|| strstr(messages->errors,
					   printable(shown, sizeof(shown),
							   text))
			!= NULL;
}

/* PROBLEM is {code, message, object}. */
static void put_one(struct messages *messages, const json_t *problem)
{
	char line[LINE_MAX_SHOWN];
	const char *text =
			json_string_value(json_object_get(problem, "message"));
	const char *object =
			json_string_value(json_object_get(problem, "object"));
	if (text == NULL || is_there(messages, text))
		return;
	bool named = object == NULL || strstr(text, object) != NULL;
	snprintf(line, sizeof(line), "%s%s%s", named ? "" : object,
			named ? "" : ": ", text);
	put(messages, line);
}

static void look_into(struct messages *messages, const json_t *value,
		unsigned depth);

static void look_at_member(struct messages *messages, const char *key,
		const json_t *member, unsigned depth)
{
	bool one = strcmp(key, "error") == 0 || strcmp(key, "problem") == 0;
	bool list = strcmp(key, "problems") == 0 || strcmp(key, "errors") == 0;
	size_t i;
	const json_t *item;
	/* A command that failed early has told why; that prune waits for
	 * somebody is no failure. */
	if ((one && depth == 0 && *messages->errors != '\0')
			|| strcmp(key, "waiting") == 0)
		return;
	if (one)
		put_one(messages, member);
	else if (list && json_is_array(member))
		json_array_foreach (member, i, item)
			put_one(messages, item);
	else
		look_into(messages, member, depth + 1);
}

static void look_into(struct messages *messages, const json_t *value,
		unsigned depth)
{
	const char *key;
	const json_t *member;
	size_t i;
	if (depth > DEPTH_MAX)
		return;
	json_array_foreach (value, i, member)
		look_into(messages, member, depth + 1);
	json_object_foreach ((json_t *)value, key, member)
		look_at_member(messages, key, member, depth);
}

char *run_messages_make(const char *errors, const json_t *report)
{
	char *text = NULL;
	size_t len;
	struct messages messages = { .out = open_memstream(&text, &len),
		.errors = errors };
	if (messages.out == NULL)
		return NULL;
	put_errors(&messages);
	if (report != NULL)
		look_into(&messages, report, 0);
	if (fclose(messages.out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
