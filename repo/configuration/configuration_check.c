/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is wrong although each line is right: names that lead nowhere, settings
 * that need others or exclude each other; and what is missing on this host.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "configuration_internal.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"

#define AT(configuration, section, entry, ...)                                 \
	configuration_problem((configuration), (section), (entry)->file,       \
			(entry)->line, __VA_ARGS__)

static bool has(const struct configuration_section *section, const char *name)
{
	return configuration_value(section, name) != NULL;
}

static bool has_any(const struct configuration_section *section,
		const char *const *names)
{
	for (; *names != NULL; names++)
		if (has(section, *names))
			return true;
	return false;
}

/* --- of a repository --- */

static int check_repository(struct configuration *configuration,
		struct configuration_section *section)
{
	static const char *const keys[] = { "key-file", "passphrase-file",
		"passphrase-command" };
	const char *first = NULL;
	int err = 0;
	if (!has(section, "place") && !section->bad)
		err = AT(configuration, section, section,
				"[repository %s] has no place, the directory "
				"that it is in",
				section->name);
	for (size_t i = 0; err == 0 && i < ARRAY_SIZE(keys); i++) {
		const struct configuration_entry *entry =
				configuration_entry(section, keys[i]);
		if (entry != NULL && first != NULL)
			err = AT(configuration, section, entry,
					"%s and %s exclude each other", keys[i],
					first);
		if (entry != NULL && first == NULL)
			first = keys[i];
	}
	return err;
}

/* --- of a job --- */

static int check_reference(struct configuration *configuration,
		struct configuration_section *section,
		const struct configuration_entry *entry)
{
	const char *own = configuration_value(section, "repository");
	bool copy = strcmp(entry->setting->name, "copy-to") == 0;
	if (configuration_find(configuration, SECTION_REPOSITORY, entry->value)
			== NULL) {
		CLEANUP_FREE char *names = configuration_names(configuration,
				SECTION_REPOSITORY);
		return AT(configuration, section, entry,
				"there is no [repository %s]; there %s%s",
				entry->value, names != NULL ? "are: " : "is ",
				names != NULL ? names : "none");
	}
	if (copy && own != NULL && strcmp(own, entry->value) == 0)
		return AT(configuration, section, entry,
				"%s can't be copied to itself", own);
	return 0;
}

/* Each needs one of the others. */
static const struct {
	const char *name;
	const char *needs[8];
} needs[] = {
	{ "exclude", { "domains" } },
	{ "connect", { "domains", "prove" } },
	{ "quiesce", { "domains" } },
	{ "wait", { "domains" } },
	{ "scratch-dir", { "domains" } },
	{ "disk", { "domains" } },
	{ "exclude-disk", { "domains" } },
	{ "source", { "domains" } },
	{ "hooks", { "domains" } },
	{ "hook-timeout", { "hooks" } },
	{ "jobs-domains", { "domains" } },
	{ "keep-source",
			{ "keep-last", "keep-hourly", "keep-daily",
					"keep-weekly", "keep-monthly",
					"keep-yearly", "keep-within" } },
	{ "prove-accept", { "prove" } },
	{ "prove-timeout", { "prove" } },
	{ "picture-dir", { "prove" } },
};

static int check_needs(struct configuration *configuration,
		struct configuration_section *section)
{
	int err = 0;
	for (size_t i = 0; err == 0 && i < ARRAY_SIZE(needs); i++) {
		const struct configuration_entry *entry =
				configuration_entry(section, needs[i].name);
		if (entry != NULL && !has_any(section, needs[i].needs))
			err = AT(configuration, section, entry,
					"%s means nothing without %s%s",
					needs[i].name, needs[i].needs[0],
					needs[i].needs[2] != NULL
							? " or another rule"
							: "");
	}
	return err;
}

static int check_keep(struct configuration *configuration,
		struct configuration_section *section)
{
	const struct configuration_entry *first = NULL;
	bool keeps = false;
	for (size_t i = 0; i < section->count; i++) {
		const struct configuration_entry *entry = &section->entries[i];
		const char *name = entry->setting->name;
		if (strncmp(name, "keep-", 5) != 0
				|| strcmp(name, "keep-source") == 0)
			continue;
		first = first != NULL ? first : entry;
		keeps = keeps
				|| strspn(entry->value, "0")
						< strlen(entry->value);
	}
	return first == NULL || keeps
			? 0
			: AT(configuration, section, first,
					"these rules would keep nothing: at "
					"least one must be above 0");
}

static int check_job(struct configuration *configuration,
		struct configuration_section *section)
{
	static const char *const work[] = { "domains", "file", "device",
		"command", "keep-last", "keep-hourly", "keep-daily",
		"keep-weekly", "keep-monthly", "keep-yearly", "keep-within",
		"prune", "copy-to", "verify", "prove", NULL };
	bool before = section->bad;
	int err = check_needs(configuration, section);
	if (err == 0)
		err = check_keep(configuration, section);
	for (size_t i = 0; err == 0 && i < section->count; i++)
		if (section->entries[i].setting->names == NAMES_REPOSITORY)
			err = check_reference(configuration, section,
					&section->entries[i]);
	if (err == 0 && !before && !has(section, "repository"))
		err = AT(configuration, section, section,
				"[job %s] names no repository", section->name);
	if (err == 0 && !before && !has_any(section, work))
		err = AT(configuration, section, section,
				"[job %s] has nothing to do: give it domains, "
				"file, device or command",
				section->name);
	return err;
}

static int in_order(const void *left, const void *right, void *ctx)
{
	const struct configuration_problem *a = left, *b = right;
	const struct configuration *configuration = ctx;
	size_t i = 0;
	if (a->file == b->file)
		return a->line < b->line ? -1 : a->line > b->line;
	while (i < configuration->file_count
			&& configuration->files[i] != a->file
			&& configuration->files[i] != b->file)
		i++;
	return i < configuration->file_count
					&& configuration->files[i] == a->file
			? -1
			: 1;
}

static void sort_problems(struct configuration *configuration)
{
	if (configuration->problem_count > 0)
		qsort_r(configuration->problems, configuration->problem_count,
				sizeof(*configuration->problems), in_order,
				configuration);
}

int configuration_check(struct configuration *configuration)
{
	int err = 0;
	for (size_t i = 0; err == 0 && i < configuration->section_count; i++) {
		struct configuration_section *section =
				configuration->sections[i];
		err = section->kind == SECTION_REPOSITORY
				? check_repository(configuration, section)
				: check_job(configuration, section);
	}
	sort_problems(configuration);
	return err;
}

/* --- on this host --- */

/* What is wrong with PATH, or NULL. */
static const char *missing(const char *path, enum setting_names names)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return strerror(errno);
	bool directory = names == NAMES_DIRECTORY || names == NAMES_PLACE;
	if (directory != S_ISDIR(st.st_mode))
		return directory ? "it is no directory" : "it is a directory";
	if (names == NAMES_SOURCE_DEVICE && !S_ISBLK(st.st_mode))
		return "it is no block device";
	return access(path, R_OK) < 0 ? strerror(errno) : NULL;
}

static int check_entry(struct configuration *configuration,
		struct configuration_section *section,
		const struct configuration_entry *entry)
{
	enum setting_names names = entry->setting->names;
	const char *path = entry->value, *why;
	int len;
	if (names == NAMES_NOTHING || names == NAMES_REPOSITORY)
		return 0;
	if (names == NAMES_SOURCE_FILE || names == NAMES_SOURCE_DEVICE)
		path = setting_after_word(path, &len);
	why = missing(path, names);
	return why == NULL
			? 0
			: AT(configuration, section, entry, "%s %s: %s%s",
					entry->setting->name, path, why,
					names == NAMES_PLACE ? "; 'amberfs "
							       "init' makes a "
							       "repository"
							     : "");
}

int configuration_check_files(struct configuration *configuration)
{
	int err = 0;
	for (size_t i = 0; i < configuration->section_count; i++) {
		struct configuration_section *section =
				configuration->sections[i];
		for (size_t j = 0; err == 0 && j < section->count; j++)
			err = check_entry(configuration, section,
					&section->entries[j]);
	}
	sort_problems(configuration);
	return err;
}
