/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs config: all mistakes of the configuration at once, and what it says. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/error.h"
#include "repo/base/printable.h"

#define SHOWN_MAX 2048
#define PLACE_MAX 512

/* --- problems --- */

/* "FILE, line 12", or "FILE". */
static const char *place_of(char out[PLACE_MAX],
		const struct configuration_problem *problem)
{
	char file[PLACE_MAX - 32];
	printable(file, sizeof(file), problem->file);
	if (problem->line > 0)
		snprintf(out, PLACE_MAX, "%s, line %u", file, problem->line);
	else
		snprintf(out, PLACE_MAX, "%s", file);
	return out;
}

/* Those of whole files begin with the file's name themselves, mostly. */
static bool names_its_file(const struct configuration_problem *problem)
{
	return problem->line == 0
			&& strstr(problem->text, problem->file) != NULL;
}

void config_print_problems(const struct configuration *configuration)
{
	char place[PLACE_MAX], text[SHOWN_MAX];
	for (size_t i = 0; i < configuration->problem_count; i++) {
		const struct configuration_problem *problem =
				&configuration->problems[i];
		printable(text, sizeof(text), problem->text);
		if (names_its_file(problem))
			fprintf(stderr, "%s\n", text);
		else
			fprintf(stderr, "%s: %s\n", place_of(place, problem),
					text);
	}
}

json_t *config_problems_json(const struct configuration *configuration)
{
	json_t *list = json_array();
	char place[PLACE_MAX];
	for (size_t i = 0; i < configuration->problem_count; i++) {
		const struct configuration_problem *problem =
				&configuration->problems[i];
		json_t *row = json_pack("{s:s,s:o,s:s,s:o}", "code", "invalid",
				"message", report_json_text(problem->text),
				"object", place_of(place, problem), "file",
				report_json_text(problem->file));
		if (row != NULL && problem->line > 0)
			json_object_set_new(row, "line",
					json_integer(problem->line));
		json_array_append_new(list, row);
	}
	return list;
}

/* --- the two commands --- */

static json_t *files_json(const struct configuration *configuration)
{
	json_t *list = json_array();
	for (size_t i = 0; i < configuration->file_count; i++)
		json_array_append_new(list,
				report_json_text(configuration->files[i]));
	return list;
}

static void print_well(const struct configuration *configuration)
{
	char a[COUNT_TEXT_MAX], b[COUNT_TEXT_MAX];
	uint64_t jobs = 0;
	for (size_t i = 0; i < configuration->section_count; i++)
		jobs += configuration->sections[i]->kind == SECTION_JOB;
	uint64_t rest = configuration->section_count - jobs;
	printf("All is well: %" PRIu64 " %s and %s in %s.\n", rest,
			rest == 1 ? "repository" : "repositories",
			count_format(a, jobs, "job"),
			count_format(b, configuration->file_count, "file"));
}

static int print(const struct configuration *configuration, bool show)
{
	bool well = configuration->problem_count == 0;
	int err = 0;
	if (report_json()) {
		json_t *report = json_pack("{s:b,s:o,s:o}", "ok", (int)well,
				"files", files_json(configuration), "problems",
				config_problems_json(configuration));
		if (report != NULL && show)
			json_object_set_new(report, "settings",
					config_show_json(configuration));
		err = report_print_json(report);
	} else if (show) {
		err = config_show_text(configuration);
	} else if (well && report_wants_summary()) {
		print_well(configuration);
	}
	config_print_problems(configuration);
	return err;
}

static int run(const char *file, bool show)
{
	struct configuration *configuration;
	int err = configuration_load(&configuration, file);
	if (err == 0)
		err = configuration_check_files(configuration);
	if (err < 0)
		return command_failed(err);
	int status = configuration->problem_count > 0 ? EXIT_USAGE : EXIT_DONE;
	if (configuration->file_count == 0) {
		report_failure(fail(-ENOENT,
					       "there is no configuration: %s "
					       "does not exist; an example is "
					       "in /usr/share/doc/amberfs/"
					       "examples",
					       configuration_default_file()),
				configuration_default_file());
		status = EXIT_USAGE;
	} else {
		err = print(configuration, show);
	}
	configuration_free(configuration);
	return err < 0 ? command_failed(err) : status;
}

int command_config(int argc, char **argv)
{
	static const char *const verbs[] = { "check", "show" };
	struct report_options report = { 0 };
	const char *file = NULL;
	const struct option own[] = {
		{ "config", 0, OPTION_TEXT, &file, "FILE",
				"this file alone (-: standard input)" },
		{ NULL, 0, OPTION_FLAG, NULL, NULL, NULL },
	};
	const struct option *tables[] = { own, report_option_table(&report),
		NULL };
	const struct command_line cl = {
		.program = "amberfs config",
		.operands = "check|show",
		.purpose = "Check the configuration and say everything that is "
			   "wrong with it, or show the\n"
			   "values in force and where they come from. The exit "
			   "status is 2 if anything is\nwrong.",
		.tables = tables,
		.min_operands = 1,
		.max_operands = 1,
	};
	options_parse(&cl, argc, argv);
	report_setup(cl.program, &report);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcmp(argv[1], verbs[i]) == 0)
			return report_finish(run(file, i == 1));
	options_error(&cl, "unknown subcommand \"%s\": use check or show",
			argv[1]);
}
