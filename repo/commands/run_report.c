/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The reports of jobs; see run_report.h. */
#include "run_report.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "repo/base/interrupt.h"
#include "repo/base/printable.h"
#include "repo/base/report.h"
#include "repo/base/units.h"

#define LINE_SHOWN_MAX 4096

/* --- for people --- */

static const char *verdict(enum exit_status status)
{
	switch (status) {
	case EXIT_DONE:
		return "done, with warnings";
	case EXIT_PARTLY:
		return "PARTLY FAILED";
	default:
		return "FAILED";
	}
}

static bool is_worth_telling(const struct run_step *step)
{
	return step->skipped != NULL || step->status != EXIT_DONE
			|| (step->messages != NULL && *step->messages != '\0');
}

static void print_indented(const char *text)
{
	while (*text != '\0') {
		int len = (int)strcspn(text, "\n");
		fprintf(stderr, "  %.*s\n", len, text);
		text += len + (text[len] == '\n');
	}
}

/* BEFORE: the last step that was told of; what it said is not said again. */
static void print_step(const struct run_step *step,
		const struct run_step *before)
{
	const char *text = step->messages != NULL ? step->messages : "";
	if (step->skipped != NULL) {
		fprintf(stderr, "\n%s:\n  not done, as %s\n", step->title,
				step->skipped);
		return;
	}
	fprintf(stderr, "\n%s:\n", step->title);
	if (*text == '\0')
		fprintf(stderr, "  it ended with exit status %d\n",
				step->status);
	else if (before != NULL && before->messages != NULL
			&& strcmp(before->messages, text) == 0)
		fprintf(stderr, "  failed for the same reason\n");
	else
		print_indented(text);
}

void run_report_print(const struct run_job *job)
{
	char host[256] = "this host";
	const struct run_step *before = NULL;
	bool any = false;
	if (job->refused != NULL) {
		report_error("job %s: %s", job->section->name, job->refused);
		return;
	}
	for (size_t i = 0; i < job->count; i++)
		any = any || is_worth_telling(&job->steps[i]);
	if (!any)
		return;
	gethostname(host, sizeof(host) - 1);
	report_error("job %s of %s into %s: %s", job->section->name, host,
			configuration_value(job->repository, "place"),
			verdict(job->status));
	for (size_t i = 0; i < job->count; i++) {
		if (!is_worth_telling(&job->steps[i]))
			continue;
		print_step(&job->steps[i], before);
		before = &job->steps[i];
	}
	if (interrupt_flag)
		fprintf(stderr, "\nEnded by SIG%s before it was complete.\n",
				sigabbrev_np(interrupt_flag));
}

/* --- as JSON --- */

static const char *result_name(enum exit_status status)
{
	switch (status) {
	case EXIT_DONE:
		return "done";
	case EXIT_PARTLY:
		return "partly";
	default:
		return "failed";
	}
}

static json_t *command_json(const struct run_step *step)
{
	json_t *list = json_array();
	for (size_t i = 0; i < step->argv.count; i++)
		json_array_append_new(list,
				report_json_text(step->argv.items[i]));
	return list;
}

/* What became of it. */
static json_t *outcome_json(const struct run_step *step)
{
	if (step->skipped != NULL)
		return json_pack("{s:s,s:s}", "status", "skipped", "reason",
				step->skipped);
	return json_pack("{s:s,s:o,s:f,s:i,s:o,s:O?}", "status",
			result_name(step->status), "started",
			report_json_time(step->start), "seconds", step->seconds,
			"exit_status", (int)step->status, "messages",
			report_json_lines(step->messages), "report",
			step->report);
}

static json_t *step_json(const struct run_step *step, bool ran)
{
	json_t *row = json_pack("{s:s,s:o,s:o}", "step",
			run_kind_name(step->kind), "title",
			report_json_text(step->title), "command",
			command_json(step));
	if (ran && row != NULL)
		json_object_update_new(row, outcome_json(step));
	return row;
}

json_t *run_report_json(const struct run_job *job, bool ran)
{
	const char *name = job->section->name;
	json_t *steps = json_array();
	for (size_t i = 0; job->refused == NULL && i < job->count; i++)
		json_array_append_new(steps, step_json(&job->steps[i], ran));
	json_t *row = json_pack("{s:s,s:s*,s:o}", "job", name, "repository",
			job->repository != NULL ? job->repository->name : NULL,
			"steps", steps);
	if (row != NULL && ran)
		json_object_update_new(row,
				json_pack("{s:s,s:o,s:f,s:i}", "status",
						result_name(job->status),
						"started",
						report_json_time(job->start),
						"seconds", job->seconds,
						"exit_status",
						(int)job->status));
	if (row != NULL && job->refused != NULL)
		json_object_set_new(row, "error",
				report_json_problem(job->refused_code,
						job->refused, name));
	return row;
}

/* --- as commands --- */

/* WORD as a shell takes it. */
static void print_word(const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-_./=:,+@%";
	char shown[LINE_SHOWN_MAX];
	if (*word != '\0' && strspn(word, plain) == strlen(word)) {
		fputs(word, stdout);
		return;
	}
	putchar('\'');
	for (const char *at = printable(shown, sizeof(shown), word);
			*at != '\0'; at++)
		if (*at == '\'')
			fputs("'\\''", stdout);
		else
			putchar(*at);
	putchar('\'');
}

static void print_variable(const char *variable)
{
	int name = (int)strcspn(variable, "=") + 1;
	if (strstr(variable, "PASSPHRASE_COMMAND=") != NULL) {
		printf("%.*s...", name, variable); /* it may be a secret */
		return;
	}
	printf("%.*s", name, variable);
	print_word(variable + name);
}

void run_report_print_commands(const struct run_job *job)
{
	printf("# job %s%s%s\n", job->section->name,
			job->refused != NULL ? ": " : "",
			job->refused != NULL ? job->refused : "");
	for (size_t i = 0; i < job->count; i++) {
		const struct run_step *step = &job->steps[i];
		for (size_t j = 0; j < step->env.count; j++) {
			print_variable(step->env.items[j]);
			putchar(' ');
		}
		for (size_t j = 0; j < step->argv.count; j++) {
			if (j > 0)
				putchar(' ');
			print_word(step->argv.items[j]);
		}
		putchar('\n');
	}
}
