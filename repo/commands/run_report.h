/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What `amberfs run` tells: a mail where something is to be told, else nothing;
 * JSON; or the commands that it would run. */
#ifndef AMBERFS_COMMANDS_RUN_REPORT_H
#define AMBERFS_COMMANDS_RUN_REPORT_H

#include "repo/run/run.h"

/* Of JOB, to stderr; nothing if all went well without a word. */
void run_report_print(const struct run_job *job);
/* RAN: with what became of it. A new reference; NULL without memory. */
json_t *run_report_json(const struct run_job *job, bool ran);
/* To stdout, as a shell would take them. */
void run_report_print_commands(const struct run_job *job);

#endif
