/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For the files of this directory. All return 0, or -ENOMEM with a text. */
#ifndef AMBERFS_CONFIGURATION_CONFIGURATION_INTERNAL_H
#define AMBERFS_CONFIGURATION_CONFIGURATION_INTERNAL_H

#include "configuration.h"

struct configuration *configuration_new(void);

/* NAME is copied; *KEPT lives as long as the configuration. */
int configuration_add_file(struct configuration *configuration,
		const char *name, const char **kept);

/* SECTION, if not NULL, is then bad. */
int configuration_problem(struct configuration *configuration,
		struct configuration_section *section, const char *file,
		unsigned line, const char *fmt, ...)
		__attribute__((format(printf, 5, 6)));

/* Reads TEXT, LEN bytes, in addition. FILE is of configuration_add_file. */
int configuration_read(struct configuration *configuration, const char *file,
		const char *text, size_t len);

/* What can only be said of the whole: after all files have been read. */
int configuration_check(struct configuration *configuration);

#endif
