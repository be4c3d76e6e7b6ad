/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From a job's settings to the commands that do it. Keys go by the environment,
 * where other users don't see them; everything else is options, as a person would
 * type them.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "run_internal.h"

#define DOING "planning a job"
#define SECONDS_PER_DAY 86400

struct plan {
	struct run_job *job;
	const struct configuration *configuration;
	struct run_step *step; /* the one under way */
	int err;	       /* -ENOMEM: the rest is left out */
};

/* --- words --- */

static void add(struct plan *plan, const char *word)
{
	if (plan->err == 0)
		plan->err = run_words_add(&plan->step->argv, word);
}

__attribute__((format(printf, 2, 3))) static void add_env(struct plan *plan,
		const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0 && plan->err == 0)
		plan->err = fail_no_memory(DOING);
	va_end(ap);
	if (plan->err == 0)
		plan->err = run_words_add(&plan->step->env, text);
	free(text);
}

/* --OPTION VALUE for each value of SETTING. */
static void add_values(struct plan *plan, const char *setting,
		const char *option)
{
	const struct configuration_entry *entry = NULL;
	while ((entry = configuration_next(plan->job->section, setting, entry))
			!= NULL) {
		char dashed[64];
		snprintf(dashed, sizeof(dashed), "--%s", option);
		add(plan, dashed);
		add(plan, entry->value);
	}
}

/* Those whose option has their own name. */
static void add_same(struct plan *plan, const char *const *settings)
{
	for (; *settings != NULL; settings++)
		add_values(plan, *settings, *settings);
}

static bool is_set(const struct plan *plan, const char *setting)
{
	return configuration_value(plan->job->section, setting) != NULL;
}

/* --- repositories --- */

static void add_key(struct plan *plan,
		const struct configuration_section *repository,
		const char *prefix)
{
	static const char *const kinds[][2] = { { "key-file", "KEY_FILE" },
		{ "passphrase-file", "PASSPHRASE_FILE" },
		{ "passphrase-command", "PASSPHRASE_COMMAND" } };
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const char *value =
				configuration_value(repository, kinds[i][0]);
		if (value != NULL)
			add_env(plan, "%s%s=%s", prefix, kinds[i][1], value);
	}
}

static void add_index(struct plan *plan,
		const struct configuration_section *repository,
		const char *option)
{
	const char *value = configuration_value(repository, "index-dir");
	if (value == NULL)
		return;
	add(plan, option);
	add(plan, value);
}

/* --- steps --- */

/* Begins a step: amberfs COMMAND PLACE --json. */
__attribute__((format(printf, 3, 4))) static void begin(struct plan *plan,
		enum run_kind kind, const char *fmt, ...)
{
	struct run_job *job = plan->job;
	struct run_step *grown = reallocarray(job->steps, job->count + 1,
			sizeof(*grown));
	va_list ap;
	if (grown == NULL) {
		plan->err = fail_no_memory(DOING);
		return;
	}
	job->steps = grown;
	plan->step = &grown[job->count++];
	*plan->step = (struct run_step){ .kind = kind };
	va_start(ap, fmt);
	if (vasprintf(&plan->step->title, fmt, ap) < 0) {
		plan->step->title = NULL;
		plan->err = fail_no_memory(DOING);
	}
	va_end(ap);
	add(plan, "amberfs");
	add(plan, run_kind_name(kind));
	add(plan, configuration_value(job->repository, "place"));
	add(plan, "--json");
	add_key(plan, job->repository, "AMBERFS_");
	add_index(plan, job->repository, "--index-dir");
}

static void add_backup_limits(struct plan *plan)
{
	static const char *const same[] = { "jobs", "bwlimit", "compression",
		NULL };
	add_same(plan, same);
}

static void add_domain_options(struct plan *plan)
{
	static const char *const same[] = { "connect", "quiesce", "wait",
		"scratch-dir", "jobs-domains", "hook-timeout", "disk",
		"exclude-disk", "source", NULL };
	add_backup_limits(plan);
	add_same(plan, same);
	add_values(plan, "hooks", "hook");
}

static bool is_pattern(const char *name)
{
	return strpbrk(name, "*?[\\") != NULL;
}

/* Domains by their names: it is a failure if one is missing. */
static void plan_named_domains(struct plan *plan)
{
	const struct configuration_entry *entry = NULL;
	bool begun = false;
	while ((entry = configuration_next(plan->job->section, "domains",
				entry))
			!= NULL) {
		if (is_pattern(entry->value) || plan->err < 0)
			continue;
		if (!begun) {
			begin(plan, RUN_BACKUP, "Domains");
			add_domain_options(plan);
		}
		begun = true;
		add(plan, "--domain");
		add(plan, entry->value);
	}
}

/* Domains by patterns, except those that are named. */
static void plan_domain_patterns(struct plan *plan)
{
	const struct configuration_entry *entry = NULL;
	bool begun = false, named = false;
	while ((entry = configuration_next(plan->job->section, "domains",
				entry))
			!= NULL) {
		named = named || !is_pattern(entry->value);
		if (!is_pattern(entry->value) || plan->err < 0)
			continue;
		if (!begun) {
			begin(plan, RUN_BACKUP, "Domains");
			add(plan, "--all-domains");
			add_domain_options(plan);
			add_values(plan, "exclude", "exclude");
		}
		begun = true;
		if (strcmp(entry->value, "*") == 0)
			continue;
		add(plan, "--include");
		add(plan, entry->value);
	}
	while (begun && named
			&& (entry = configuration_next(plan->job->section,
					    "domains", entry))
					!= NULL)
		if (!is_pattern(entry->value)) {
			add(plan, "--exclude");
			add(plan, entry->value);
		}
}

/* --- files --- */

static bool same_source(const struct configuration_entry *a,
		const struct configuration_entry *b)
{
	int n, m;
	setting_after_word(a->value, &n);
	setting_after_word(b->value, &m);
	return n == m && strncmp(a->value, b->value, (size_t)n) == 0;
}

static bool is_file(const struct configuration_entry *entry)
{
	return entry->setting->names == NAMES_SOURCE_FILE
			|| entry->setting->names == NAMES_SOURCE_DEVICE;
}

static void plan_files_of(struct plan *plan,
		const struct configuration_entry *first)
{
	const struct configuration_section *section = plan->job->section;
	char name[256];
	int len;
	setting_after_word(first->value, &len);
	snprintf(name, sizeof(name), "%.*s", len, first->value);
	begin(plan, RUN_BACKUP, "Files of %s", name);
	add_backup_limits(plan);
	add(plan, "--name");
	add(plan, name);
	add(plan, "--");
	for (size_t i = 0; i < section->count; i++)
		if (is_file(&section->entries[i])
				&& same_source(&section->entries[i], first))
			add(plan,
					setting_after_word(
							section->entries[i]
									.value,
							&len));
}

static bool is_first_of_source(const struct configuration_section *section,
		size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (is_file(&section->entries[i])
				&& same_source(&section->entries[i],
						&section->entries[at]))
			return false;
	return true;
}

static void plan_command(struct plan *plan, const char *value)
{
	char name[256], file[256];
	int len;
	const char *rest = setting_after_word(value, &len);
	snprintf(name, sizeof(name), "%.*s", len, value);
	const char *command = setting_after_word(rest, &len);
	snprintf(file, sizeof(file), "%.*s", len, rest);
	begin(plan, RUN_BACKUP, "Output of a command of %s", name);
	add_backup_limits(plan);
	add(plan, "--name");
	add(plan, name);
	add(plan, "--stdin-name");
	add(plan, file);
	add(plan, "--stdin-from-command");
	add(plan, "--");
	add(plan, "/bin/sh");
	add(plan, "-c");
	add(plan, command);
}

static void plan_files(struct plan *plan)
{
	const struct configuration_section *section = plan->job->section;
	for (size_t i = 0; plan->err == 0 && i < section->count; i++)
		if (is_file(&section->entries[i])
				&& is_first_of_source(section, i))
			plan_files_of(plan, &section->entries[i]);
	const struct configuration_entry *entry = NULL;
	while (plan->err == 0
			&& (entry = configuration_next(section, "command",
					    entry))
					!= NULL)
		plan_command(plan, entry->value);
}

/* --- what comes after the backup --- */

static void plan_rotation(struct plan *plan)
{
	static const char *const rules[] = { "keep-last", "keep-hourly",
		"keep-daily", "keep-weekly", "keep-monthly", "keep-yearly",
		"keep-within", NULL };
	static const char *const pruning[] = { "jobs", "max-unused",
		"max-rewrite", NULL };
	const struct configuration_section *section = plan->job->section;
	const struct configuration_entry *entry = NULL;
	const char *prune = configuration_value(section, "prune");
	bool rotates = false;
	for (size_t i = 0; rules[i] != NULL; i++)
		rotates = rotates || is_set(plan, rules[i]);
	if (rotates) {
		begin(plan, RUN_FORGET, "Removing old snapshots");
		add_same(plan, rules);
		add(plan, "--");
		while ((entry = configuration_next(section, "keep-source",
					entry))
				!= NULL)
			add(plan, entry->value);
	}
	if (prune != NULL ? strcmp(prune, "yes") != 0 : !rotates)
		return;
	if (plan->err == 0)
		begin(plan, RUN_PRUNE, "Freeing space");
	add_same(plan, pruning);
}

static void plan_copies(struct plan *plan)
{
	static const char *const same[] = { "jobs", "bwlimit", NULL };
	const struct configuration_entry *entry = NULL;
	while (plan->err == 0
			&& (entry = configuration_next(plan->job->section,
					    "copy-to", entry))
					!= NULL) {
		const struct configuration_section *to =
				configuration_find(plan->configuration,
						SECTION_REPOSITORY,
						entry->value);
		begin(plan, RUN_COPY, "Copying to %s", entry->value);
		add(plan, configuration_value(to, "place"));
		add_key(plan, to, "AMBERFS_TO_");
		add_index(plan, to, "--to-index-dir");
		add_same(plan, same);
	}
}

/* Each day another share, so that after SHARES days all has been read. */
static void add_share(struct plan *plan, unsigned shares)
{
	char text[32];
	unsigned day = (unsigned)(time(NULL) / SECONDS_PER_DAY);
	snprintf(text, sizeof(text), "%u/%u", day % shares + 1, shares);
	add(plan, "--read-data-subset");
	add(plan, text);
}

static void plan_checks(struct plan *plan)
{
	const struct configuration_section *section = plan->job->section;
	const char *verify = configuration_value(section, "verify");
	const char *prove = configuration_value(section, "prove");
	static const char *const same[] = { "connect", "picture-dir", NULL };
	unsigned shares;
	if (verify != NULL && strcmp(verify, "no") != 0) {
		begin(plan, RUN_VERIFY, "Verifying");
		add_values(plan, "jobs", "jobs");
		if (strcmp(verify, "data") == 0)
			add(plan, "--read-data");
		else if (strcmp(verify, "maps") != 0
				&& setting_parse_share(verify, &shares) == 0)
			add_share(plan, shares);
	}
	if (prove == NULL || strcmp(prove, "yes") != 0 || plan->err < 0)
		return;
	begin(plan, RUN_PROVE, "Proving that guests boot");
	add_same(plan, same);
	add_values(plan, "prove-accept", "accept");
	add_values(plan, "prove-timeout", "timeout");
}

/* --- all --- */

static bool is_sound(const struct plan *plan,
		const struct configuration_section *section)
{
	const struct configuration_entry *entry = NULL;
	if (section->bad || plan->job->repository == NULL
			|| plan->job->repository->bad)
		return false;
	while ((entry = configuration_next(section, "copy-to", entry)) != NULL)
		if (configuration_find(plan->configuration, SECTION_REPOSITORY,
				    entry->value)
						->bad)
			return false;
	return true;
}

static int refuse(struct run_job *job)
{
	job->status = EXIT_USAGE;
	job->refused = strdup("not run, as its configuration has mistakes");
	job->refused_code = "invalid";
	return job->refused != NULL ? 0 : fail_no_memory(DOING);
}

int run_job_plan(struct run_job *job, const struct configuration *configuration,
		const struct configuration_section *section)
{
	struct plan plan = { .job = job, .configuration = configuration };
	const char *name = configuration_value(section, "repository");
	*job = (struct run_job){ .section = section };
	if (name != NULL)
		job->repository = configuration_find(configuration,
				SECTION_REPOSITORY, name);
	if (!is_sound(&plan, section))
		return refuse(job);
	plan_named_domains(&plan);
	if (plan.err == 0)
		plan_domain_patterns(&plan);
	if (plan.err == 0)
		plan_files(&plan);
	if (plan.err == 0)
		plan_rotation(&plan);
	if (plan.err == 0)
		plan_copies(&plan);
	if (plan.err == 0)
		plan_checks(&plan);
	return plan.err;
}

void run_job_clear(struct run_job *job)
{
	for (size_t i = 0; i < job->count; i++) {
		struct run_step *step = &job->steps[i];
		run_words_clear(&step->argv);
		run_words_clear(&step->env);
		free(step->title);
		free(step->messages);
		json_decref(step->report);
	}
	free(job->steps);
	free(job->refused);
	*job = (struct run_job){ .section = NULL };
}

const char *run_kind_name(enum run_kind kind)
{
	static const char *const names[] = {
		[RUN_BACKUP] = "backup",
		[RUN_FORGET] = "forget",
		[RUN_PRUNE] = "prune",
		[RUN_COPY] = "copy",
		[RUN_VERIFY] = "verify",
		[RUN_PROVE] = "prove",
	};
	return names[kind];
}
