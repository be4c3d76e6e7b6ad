/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of `amberfs config` share. */
#ifndef AMBERFS_COMMANDS_CONFIG_H
#define AMBERFS_COMMANDS_CONFIG_H

#include "command.h"
#include "repo/configuration/configuration.h"

/* "FILE, line 12: …" of each problem on stderr. */
void config_print_problems(const struct configuration *configuration);
/* The same as JSON: a list of objects. A new reference; NULL without memory. */
json_t *config_problems_json(const struct configuration *configuration);

/* The values in force and where they come from. 0, or -errno with a text. */
int config_show_text(const struct configuration *configuration);
/* The list of sections. A new reference; NULL without memory. */
json_t *config_show_json(const struct configuration *configuration);

#endif
