/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The settings that a configuration may have: one table, with what each may be.
 * Whether files exist is not asked here. Threading: no state.
 */
#ifndef AMBERFS_CONFIGURATION_SETTING_H
#define AMBERFS_CONFIGURATION_SETTING_H

#include <stdbool.h>

enum section_kind {
	SECTION_REPOSITORY,
	SECTION_JOB,
};

/* What a value names, which has to be there when it is used. */
enum setting_names {
	NAMES_NOTHING,
	NAMES_REPOSITORY, /* a section [repository NAME] */
	NAMES_PLACE,	  /* of a repository */
	NAMES_FILE,
	NAMES_DIRECTORY,
	NAMES_SOURCE_FILE,   /* NAME PATH */
	NAMES_SOURCE_DEVICE, /* NAME PATH */
};

struct setting {
	const char *name;
	enum section_kind of;
	bool list;   /* may be given many times */
	bool secret; /* never printed */
	enum setting_names names;
	/* 0, or -EINVAL with a text that tells what is expected. */
	int (*check)(const char *value);
	const char *fallback; /* what is done without it, for people; or NULL */
};

/* NULL: there is none. */
const struct setting *setting_find(enum section_kind of, const char *name);
/* The nearest to what may have been meant, or NULL. */
const char *setting_nearest(enum section_kind of, const char *name);
/* All, ended by a NULL name. */
const struct setting *setting_table(void);

/* "repository" or "job". */
const char *section_kind_name(enum section_kind kind);

/* Whether NAME may be that of a section: 1 to 32 of letters, digits, '-', '_'
 * and '.', first a letter or digit. */
bool setting_is_name(const char *name);

/* Where the second word of TEXT begins (at its end: there is none), and the
 * length of the first. */
const char *setting_after_word(const char *text, int *first);

/* "1/7": of SHARES parts, one. 0, or -EINVAL with a text. */
int setting_parse_share(const char *text, unsigned *shares);

#endif
