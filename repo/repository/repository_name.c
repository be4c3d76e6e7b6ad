/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The configuration is read once, when the first name is looked up, and stays:
 * its strings go into options. A mistake elsewhere in it does not keep anybody
 * from a repository whose own section is right.
 */
#include "repository_name.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/units.h"
#include "repo/configuration/configuration.h"

const char *repository_name_file;

static int load(const struct configuration **out)
{
	static struct configuration *loaded;
	int err = loaded != NULL
			? 0
			: configuration_load(&loaded, repository_name_file);
	*out = loaded;
	return err;
}

static bool is_directory(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static const char *source_of(const struct configuration *configuration)
{
	return configuration->file_count > 0 ? configuration->files[0]
					     : configuration_default_file();
}

/* 0: it is a path all the same. */
static int not_configured(const struct configuration *configuration,
		const char *name)
{
	CLEANUP_FREE char *names =
			configuration_names(configuration, SECTION_REPOSITORY);
	for (size_t i = 0; configuration->refused
			&& i < configuration->problem_count;
			i++)
		if (configuration->problems[i].line == 0)
			return fail(-EINVAL,
					"%s can't be looked up: %s (a directory "
					"here would be ./%s)",
					name, configuration->problems[i].text,
					name);
	if (is_directory(name)
			|| (names == NULL && repository_name_file == NULL))
		return 0;
	return fail(-ENOENT,
			"no repository is called %s; %s has %s%s; a directory "
			"here would be ./%s",
			name, source_of(configuration),
			names != NULL ? "these: " : "none",
			names != NULL ? names : "", name);
}

static int wrong(const struct configuration *configuration,
		const struct configuration_section *section)
{
	for (size_t i = 0; i < configuration->problem_count; i++) {
		const struct configuration_problem *problem =
				&configuration->problems[i];
		if (problem->file == section->file
				&& problem->line >= section->line)
			return fail(-EINVAL,
					"%s, line %u: %s; 'amberfs config "
					"check' lists all mistakes",
					problem->file, problem->line,
					problem->text);
	}
	return fail(-EINVAL,
			"[repository %s] has mistakes: see 'amberfs config "
			"check'",
			section->name);
}

static void apply(struct repository_options *options,
		const struct configuration_section *section)
{
	struct configured_credentials *configured =
			&options->credentials.configured;
	const char *age = configuration_value(section, "min-age");
	configured->key_file = configuration_value(section, "key-file");
	configured->passphrase_file =
			configuration_value(section, "passphrase-file");
	configured->passphrase_command =
			configuration_value(section, "passphrase-command");
	if (options->index_dir == NULL)
		options->index_dir = configuration_value(section, "index-dir");
	if (age != NULL && age_parse(&options->min_age, age) < 0)
		options->min_age = 0; /* it has been checked */
}

static bool same_place(const char *a, const char *b)
{
	struct stat one, two;
	return strcmp(a, b) == 0
			|| (stat(a, &one) == 0 && stat(b, &two) == 0
					&& one.st_dev == two.st_dev
					&& one.st_ino == two.st_ino);
}

void repository_name_of_place(struct repository_options *options,
		const char *place)
{
	const struct configuration *configuration;
	if (load(&configuration) < 0) {
		error_clear();
		return;
	}
	for (size_t i = 0; i < configuration->section_count; i++) {
		const struct configuration_section *section =
				configuration->sections[i];
		if (section->kind != SECTION_REPOSITORY || section->bad
				|| !same_place(configuration_value(section,
							       "place"),
						place))
			continue;
		apply(options, section);
		return;
	}
}

int repository_name_resolve(void *options, const char **repo)
{
	const struct configuration *configuration;
	if (!setting_is_name(*repo))
		return 0;
	int err = load(&configuration);
	if (err < 0)
		return err;
	const struct configuration_section *section =
			configuration_find(configuration, SECTION_REPOSITORY,
					*repo);
	if (section == NULL)
		return not_configured(configuration, *repo);
	if (section->bad)
		return wrong(configuration, section);
	apply(options, section);
	*repo = configuration_value(section, "place");
	return 0;
}
