/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz entry: a configuration file. Input: its text. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "repo/configuration/configuration.h"

static void check_section(const struct configuration *configuration,
		const struct configuration_section *section, unsigned lines)
{
	must(setting_is_name(section->name));
	must(section->line >= 1 && section->line <= lines);
	must(configuration_find(configuration, section->kind, section->name)
			== section);
	for (size_t i = 0; i < section->count; i++) {
		const struct configuration_entry *entry = &section->entries[i];
		must(entry->setting->of == section->kind);
		must(entry->setting->list
				|| configuration_entry(section,
						   entry->setting->name)
						== entry);
		must(entry->line > section->line && entry->line <= lines);
		must(*entry->value != '\0'
				&& entry->setting->check(entry->value) == 0);
		must(strpbrk(entry->value, "\n\r") == NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct configuration *configuration = NULL;
	unsigned lines = 1, before = 0;
	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	must(configuration_parse(&configuration, "fuzz", (const char *)data,
			     size)
			== 0);
	for (size_t i = 0; i < configuration->problem_count; i++) {
		const struct configuration_problem *problem =
				&configuration->problems[i];
		must(*problem->text != '\0' && problem->line <= lines);
		must(problem->line >= before);
		before = problem->line;
	}
	for (size_t i = 0; i < configuration->section_count; i++)
		check_section(configuration, configuration->sections[i], lines);
	for (int kind = SECTION_REPOSITORY; kind <= SECTION_JOB; kind++)
		free(configuration_names(configuration,
				(enum section_kind)kind));
	configuration_free(configuration);
	return 0;
}
