/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sections and problems of a configuration, and looking them up. */
#include "configuration.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "configuration_internal.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"

#define DOING "reading the configuration"

struct configuration *configuration_new(void)
{
	return calloc(1, sizeof(struct configuration));
}

static void section_free(struct configuration_section *section)
{
	for (size_t i = 0; i < section->count; i++)
		free(section->entries[i].value);
	free(section->entries);
	free(section->name);
	free(section);
}

void configuration_free(struct configuration *configuration)
{
	if (configuration == NULL)
		return;
	for (size_t i = 0; i < configuration->section_count; i++)
		section_free(configuration->sections[i]);
	for (size_t i = 0; i < configuration->problem_count; i++)
		free(configuration->problems[i].text);
	for (size_t i = 0; i < configuration->file_count; i++)
		free(configuration->files[i]);
	free(configuration->sections);
	free(configuration->problems);
	free(configuration->files);
	free(configuration);
}

int configuration_add_file(struct configuration *configuration,
		const char *name, const char **kept)
{
	CLEANUP_FREE char *copy = strdup(name);
	char **grown = reallocarray(configuration->files,
			configuration->file_count + 1, sizeof(*grown));
	if (grown != NULL)
		configuration->files = grown;
	if (grown == NULL || copy == NULL)
		return fail_no_memory(DOING);
	*kept = copy;
	grown[configuration->file_count++] = take_ptr(copy);
	return 0;
}

int configuration_problem(struct configuration *configuration,
		struct configuration_section *section, const char *file,
		unsigned line, const char *fmt, ...)
{
	struct configuration_problem problem = { .file = file, .line = line };
	struct configuration_problem *grown;
	va_list ap;
	va_start(ap, fmt);
	int len = vasprintf(&problem.text, fmt, ap);
	va_end(ap);
	if (len < 0)
		return fail_no_memory(DOING);
	grown = reallocarray(configuration->problems,
			configuration->problem_count + 1, sizeof(*grown));
	if (grown == NULL) {
		free(problem.text);
		return fail_no_memory(DOING);
	}
	configuration->problems = grown;
	grown[configuration->problem_count++] = problem;
	if (section != NULL)
		section->bad = true;
	return 0;
}

const struct configuration_section *configuration_find(
		const struct configuration *configuration,
		enum section_kind kind, const char *name)
{
	for (size_t i = 0; i < configuration->section_count; i++)
		if (configuration->sections[i]->kind == kind
				&& strcmp(configuration->sections[i]->name,
						   name)
						== 0)
			return configuration->sections[i];
	return NULL;
}

const struct configuration_entry *configuration_next(
		const struct configuration_section *section, const char *name,
		const struct configuration_entry *after)
{
	size_t at = after != NULL ? (size_t)(after - section->entries) + 1 : 0;
	for (; at < section->count; at++)
		if (strcmp(section->entries[at].setting->name, name) == 0)
			return &section->entries[at];
	return NULL;
}

const struct configuration_entry *configuration_entry(
		const struct configuration_section *section, const char *name)
{
	return configuration_next(section, name, NULL);
}

const char *configuration_value(const struct configuration_section *section,
		const char *name)
{
	const struct configuration_entry *entry =
			configuration_next(section, name, NULL);
	return entry != NULL ? entry->value : NULL;
}

char *configuration_names(const struct configuration *configuration,
		enum section_kind kind)
{
	char *names = NULL;
	for (size_t i = 0; i < configuration->section_count; i++) {
		const struct configuration_section *section =
				configuration->sections[i];
		char *more;
		if (section->kind != kind)
			continue;
		int len = asprintf(&more, "%s%s%s", names != NULL ? names : "",
				names != NULL ? ", " : "", section->name);
		free(names);
		if (len < 0)
			return NULL;
		names = more;
	}
	return names;
}
