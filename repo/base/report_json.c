/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The one document of --json. Failures that were told are kept until it is
 * printed: then they are its "errors". If the program ends with a failure and has
 * printed none, the last of them is the document.
 */
#include "report_json.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"
#include "options.h"
#include "printable.h"
#include "report.h"
#include "thread_safety.h"
#include "units.h"

#define SCHEMA 1
#define NOTED_MAX 1000u
#define NS 1000000000

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static json_t *noted GUARDED_BY(mutex);
static bool printed GUARDED_BY(mutex);
static pid_t owner; /* not its children */

/* The first cause of a failed write; stdio forgets it. */
static _Atomic int stdout_error;

/* --- values --- */

json_t *report_json_text(const char *text)
{
	/* Jansson leaves DEL, which is ASCII, as it is. */
	json_t *json = strchr(text, 0x7f) == NULL ? json_string(text) : NULL;
	size_t size = 4 * strlen(text) + 1;
	CLEANUP_FREE char *shown = json == NULL ? malloc(size) : NULL;
	if (shown != NULL)
		json = json_string(printable(shown, size, text));
	return json;
}

json_t *report_json_lines(const char *text)
{
	json_t *list = json_array();
	while (text != NULL && *text != '\0') {
		int len = (int)strcspn(text, "\n");
		CLEANUP_FREE char *line = strndup(text, (size_t)len);
		if (line != NULL)
			json_array_append_new(list, report_json_text(line));
		text += len + (text[len] == '\n');
	}
	return list;
}

static json_t *time_text(int64_t second, int64_t ns, bool fraction)
{
	char day[UTC_TEXT_MAX], text[48], part[16] = "";
	utc_format(day, second);
	if (fraction)
		snprintf(part, sizeof(part), ".%09d", (int)ns);
	snprintf(text, sizeof(text), "%.4s-%.2s-%.2sT%.2s:%.2s:%.2s%sZ", day,
			day + 4, day + 6, day + 9, day + 11, day + 13, part);
	return json_string(text);
}

json_t *report_json_time(int64_t second)
{
	return time_text(second, 0, false);
}

json_t *report_json_time_ns(int64_t ns)
{
	int64_t part = ns < 0 ? 0 : ns % NS;
	return time_text(ns < 0 ? 0 : ns / NS, part, true);
}

json_t *report_json_problem(const char *code, const char *message,
		const char *object)
{
	return json_pack("{s:s,s:o,s:o}", "code", code, "message",
			report_json_text(message != NULL ? message : ""),
			"object",
			object != NULL ? report_json_text(object)
				       : json_null());
}

json_t *report_json_error(int err, const char *object)
{
	return report_json_problem(error_code(err), error_text(err), object);
}

/* --- documents --- */

void report_json_note(const char *code, const char *message, const char *object)
{
	if (!report_json())
		return;
	LOCK_SCOPE(&mutex);
	if (noted == NULL)
		noted = json_array();
	/* The last one always counts: it may be why all ends. */
	if (json_array_size(noted) == NOTED_MAX)
		json_array_remove(noted, NOTED_MAX - 1);
	json_array_append_new(noted,
			report_json_problem(code, message, object));
}

static int print(json_t *document) REQUIRES(mutex)
{
	errno = 0;
	printed = true;
	int err = json_dumpf(document, stdout,
			JSON_INDENT(2) | JSON_ENSURE_ASCII);
	json_decref(document);
	if (err == 0 && (putchar('\n') == EOF || fflush(stdout) != 0))
		err = -1;
	if (err == 0)
		return 0;
	stdout_error = errno != 0 ? errno : document == NULL ? ENOMEM : EIO;
	return -stdout_error;
}

json_t *report_json_document(json_t *object)
{
	json_t *document = json_pack("{s:i}", "schema", SCHEMA);
	if (object == NULL || json_object_update(document, object) < 0) {
		json_decref(document);
		document = NULL;
	}
	json_decref(object);
	return document;
}

int report_print_json(json_t *object)
{
	LOCK_SCOPE(&mutex);
	if (noted != NULL)
		json_object_set(object, "errors", noted);
	return print(report_json_document(object));
}

/* The last failure that was told. */
static json_t *why_it_ended(int status) REQUIRES(mutex)
{
	size_t count = json_array_size(noted);
	if (count > 0)
		return json_incref(json_array_get(noted, count - 1));
	return status == EXIT_INTERRUPTED
			? report_json_problem("interrupted", "interrupted",
					NULL)
			: report_json_problem("failed",
					"standard error says why", NULL);
}

static void at_exit(int status, void *ctx)
{
	(void)ctx;
	if (!report_json() || status == EXIT_DONE || getpid() != owner)
		return;
	LOCK_SCOPE(&mutex);
	if (!printed)
		print(json_pack("{s:i,s:o}", "schema", SCHEMA, "error",
				why_it_ended(status)));
}

void report_json_begin(char *const *argv)
{
	const struct report_options json = { .json = true };
	for (; *argv != NULL && strcmp(*argv, "--") != 0; argv++)
		if (strcmp(*argv, "--json") == 0)
			report_setup("amberfs", &json);
	owner = getpid();
	on_exit(at_exit, NULL);
}

int report_finish(int status)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout) && stdout_error == 0)
		return status;
	int err = stdout_error != 0 ? stdout_error : errno;
	report_error("can't write to standard output%s%s", err != 0 ? ": " : "",
			err != 0 ? strerror(err) : "");
	return status == EXIT_DONE ? EXIT_FAILED : status;
}
