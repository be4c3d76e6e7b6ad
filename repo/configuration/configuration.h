/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the configuration files say: repositories and jobs, and everything that
 * is wrong with them, each with its file and line. One mistake does not hide the
 * next, nor the sections that have none.
 *
 * A file that others than root and this process's user can change, or replace
 * by way of a directory above it, is not read. Threading: none; it is constant
 * once loaded. Strings live as long as the configuration.
 */
#ifndef AMBERFS_CONFIGURATION_CONFIGURATION_H
#define AMBERFS_CONFIGURATION_CONFIGURATION_H

#include <stddef.h>

#include "setting.h"

struct configuration_entry {
	const struct setting *setting;
	char *value;
	const char *file;
	unsigned line; /* from 1 */
};

/* [repository NAME] or [job NAME] */
struct configuration_section {
	enum section_kind kind;
	char *name;
	const char *file;
	unsigned line;
	struct configuration_entry *entries; /* as in the file */
	size_t count;
	bool bad; /* a problem is within it */
};

struct configuration_problem {
	const char *file;
	unsigned line; /* 0: of the file as a whole */
	char *text;
};

struct configuration {
	struct configuration_section **sections;
	size_t section_count;
	struct configuration_problem *problems;
	size_t problem_count;
	char **files; /* that were read, or refused */
	size_t file_count;
	bool refused; /* a file could not be read, or may not be */
};

#define CONFIGURATION_STDIN "-"

/*
 * Loads FILE alone (CONFIGURATION_STDIN: standard input); NULL: root's are
 * /etc/amberfs/amberfs.conf and /etc/amberfs/conf.d/X.conf, those of another user
 * in $XDG_CONFIG_HOME/amberfs if there are any, else root's. No file at all is
 * no problem, except FILE. Problems are in *OUT. 0, or -ENOMEM with a text.
 */
int configuration_load(struct configuration **out, const char *file);

/* LEN bytes of TEXT, called FILE, as a whole configuration. The same. */
int configuration_parse(struct configuration **out, const char *file,
		const char *text, size_t len);

void configuration_free(struct configuration *configuration); /* or NULL */

/* NULL: there is none. */
const struct configuration_section *configuration_find(
		const struct configuration *configuration,
		enum section_kind kind, const char *name);

/* The entry of a setting that is no list, or its value; NULL: it is not set. */
const struct configuration_entry *configuration_entry(
		const struct configuration_section *section, const char *name);
const char *configuration_value(const struct configuration_section *section,
		const char *name);
/* The next entry of the setting NAME after AFTER (NULL: the first), or NULL. */
const struct configuration_entry *configuration_next(
		const struct configuration_section *section, const char *name,
		const struct configuration_entry *after);

/* "main, offsite": the names of all sections of KIND; NULL: there are none, or
 * no memory. To free. */
char *configuration_names(const struct configuration *configuration,
		enum section_kind kind);

/* Adds what is missing on this host: key files, directories, devices. 0, or
 * -ENOMEM with a text. */
int configuration_check_files(struct configuration *configuration);

/* The file that is read first where no other is named, for messages. */
const char *configuration_default_file(void);

#endif
