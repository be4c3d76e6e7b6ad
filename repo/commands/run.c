/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs run: the jobs of the configuration, one after the other. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "config.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/base/units.h"
#include "run_report.h"

struct run_command {
	struct report_options report;
	const char *file;
	bool dry_run;
	struct configuration *configuration;
	struct run_job *jobs;
	size_t count;
};

/* --- which jobs --- */

static int plan_one(struct run_command *command,
		const struct configuration_section *section)
{
	for (size_t i = 0; i < command->count; i++)
		if (command->jobs[i].section == section)
			return 0; /* named twice */
	return run_job_plan(&command->jobs[command->count++],
			command->configuration, section);
}

static int plan_named(struct run_command *command, char **names, int count)
{
	int err = 0;
	for (int i = 0; err == 0 && i < count; i++) {
		const struct configuration_section *section =
				configuration_find(command->configuration,
						SECTION_JOB, names[i]);
		CLEANUP_FREE char *all = NULL;
		if (section != NULL) {
			err = plan_one(command, section);
			continue;
		}
		all = configuration_names(command->configuration, SECTION_JOB);
		err = fail(-ENOENT,
				"no job is called %s; the configuration has "
				"%s%s",
				names[i], all != NULL ? "these: " : "none",
				all != NULL ? all : "");
	}
	return err;
}

static int plan_all(struct run_command *command)
{
	const struct configuration *configuration = command->configuration;
	int err = 0;
	for (size_t i = 0; err == 0 && i < configuration->section_count; i++)
		if (configuration->sections[i]->kind == SECTION_JOB)
			err = plan_one(command, configuration->sections[i]);
	if (err == 0 && command->count == 0)
		err = fail(-ENOENT, "%s has no jobs",
				configuration->file_count > 0
						? "the configuration"
						: configuration_default_file());
	return err;
}

static int plan(struct run_command *command, char **names, int count)
{
	command->jobs = calloc(command->configuration->section_count + 1,
			sizeof(*command->jobs));
	if (command->jobs == NULL)
		return fail_no_memory("planning the run");
	return count > 0 ? plan_named(command, names, count)
			 : plan_all(command);
}

/* --- what became of them --- */

static enum exit_status status_of(const struct run_command *command)
{
	bool well = command->configuration->problem_count == 0;
	bool begun = false;
	enum exit_status best = EXIT_INTERRUPTED, worst = EXIT_DONE;
	for (size_t i = 0; i < command->count; i++) {
		enum exit_status status = command->jobs[i].status;
		begun = begun || status != EXIT_USAGE;
		if (status == EXIT_USAGE)
			status = EXIT_FAILED;
		best = status < best ? status : best;
		worst = status > worst ? status : worst;
	}
	if (!begun)
		return EXIT_USAGE;
	if (best == worst)
		return best == EXIT_DONE && !well ? EXIT_PARTLY : best;
	return EXIT_PARTLY;
}

static json_t *jobs_json(const struct run_command *command)
{
	json_t *list = json_array();
	for (size_t i = 0; i < command->count; i++)
		json_array_append_new(list,
				run_report_json(&command->jobs[i],
						!command->dry_run));
	return list;
}

static int print_json(const struct run_command *command,
		enum exit_status status)
{
	char host[256] = "";
	gethostname(host, sizeof(host) - 1);
	return report_print_json(json_pack("{s:o,s:b,s:i,s:o,s:o}", "host",
			report_json_text(host), "dry_run",
			(int)command->dry_run, "exit_status", (int)status,
			"jobs", jobs_json(command), "problems",
			config_problems_json(command->configuration)));
}

static void print_text(const struct run_command *command)
{
	for (size_t i = 0; i < command->count; i++) {
		const struct run_job *job = &command->jobs[i];
		char took[SIZE_TEXT_MAX];
		run_report_print(job);
		if (job->status == EXIT_DONE && report_wants_text())
			printf("Job %s: all done in %s.\n", job->section->name,
					duration_format(took, job->seconds));
	}
}

static enum exit_status carry_out(struct run_command *command)
{
	for (size_t i = 0; !command->dry_run && i < command->count; i++)
		run_job_carry_out(&command->jobs[i]);
	enum exit_status status = status_of(command);
	config_print_problems(command->configuration);
	if (!command->dry_run)
		print_text(command);
	else if (!report_json())
		for (size_t i = 0; i < command->count; i++)
			run_report_print_commands(&command->jobs[i]);
	if (report_json() && print_json(command, status) < 0)
		status = EXIT_FAILED;
	return status;
}

static int run(struct run_command *command, char **names, int count)
{
	int status = EXIT_USAGE;
	int err = configuration_load(&command->configuration, command->file);
	if (err == 0)
		err = plan(command, names, count);
	if (err == 0)
		status = (int)carry_out(command);
	else if (err == -ENOMEM)
		status = command_failed(err);
	else
		report_failure(err, NULL);
	if (err == -ENOENT)
		config_print_problems(command->configuration);
	for (size_t i = 0; i < command->count; i++)
		run_job_clear(&command->jobs[i]);
	free(command->jobs);
	configuration_free(command->configuration);
	return report_finish(status);
}

int command_run(int argc, char **argv)
{
	struct run_command c = { .file = NULL };
	const struct option own[] = {
		{ "config", 0, OPTION_TEXT, &c.file, "FILE",
				"this file alone (-: standard input)" },
		{ "dry-run", 'n', OPTION_FLAG, &c.dry_run, NULL,
				"show the commands, and run none" },
		{ NULL, 0, OPTION_FLAG, NULL, NULL, NULL },
	};
	const struct option *tables[] = { own, report_option_table(&c.report),
		NULL };
	const struct command_line cl = {
		.program = "amberfs run",
		.operands = "[JOB...]",
		.purpose = "Run jobs of the configuration (default: all): "
			   "backup, forget, prune, copy,\n"
			   "verify and prove, as each says. Prints nothing if "
			   "all goes well.",
		.notes = "Exit status: 0 done, 1 nothing could be done, 2 "
			 "wrong configuration, 3 some\n"
			 "of it failed.\n",
		.tables = tables,
		.min_operands = 0,
		.max_operands = -1,
	};
	int n = options_parse(&cl, argc, argv);
	report_setup(cl.program, &c.report);
	interrupt_setup();
	return run(&c, argv + 1, n);
}
