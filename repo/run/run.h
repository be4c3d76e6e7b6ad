/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A job of the configuration: the amberfs commands that it consists of, run one
 * after the other as processes of their own, and what became of each. What is
 * safe after a failure and what is not is decided in run_job.c.
 *
 * Threading: one thread, which has called interrupt_setup().
 */
#ifndef AMBERFS_RUN_RUN_H
#define AMBERFS_RUN_RUN_H

#include <jansson.h>

#include "repo/base/options.h"
#include "repo/configuration/configuration.h"

enum run_kind {
	RUN_BACKUP,
	RUN_FORGET,
	RUN_PRUNE,
	RUN_COPY,
	RUN_VERIFY,
	RUN_PROVE,
};

/* Strings of its own, NULL-ended, as exec takes them. */
struct run_words {
	char **items;
	size_t count;
};

struct run_step {
	enum run_kind kind;
	char *title;		 /* "Files of router" */
	struct run_words argv;	 /* "amberfs", "backup", … */
	struct run_words env;	 /* "AMBERFS_KEY_FILE=/etc/…", for it alone */
	const char *skipped;	 /* why it was not done; NULL: it was */
	enum exit_status status; /* its own, or EXIT_FAILED if it has none */
	int64_t start;		 /* UTC second */
	double seconds;
	char *messages; /* lines for people; "": none; NULL: it did not run */
	json_t *report; /* what it printed; NULL: nothing of use */
};

struct run_job {
	const struct configuration_section *section, *repository;
	struct run_step *steps;
	size_t count;
	enum exit_status status;
	char *refused;		  /* why nothing was done; NULL: it was */
	const char *refused_code; /* error_code of it */
	int64_t start;		  /* UTC second */
	double seconds;
};

/*
 * Fills in JOB's steps from its section. If the section or those of its
 * repositories have mistakes, it is refused, with EXIT_USAGE. 0, or -ENOMEM with
 * a text. To be cleared in any case.
 */
int run_job_plan(struct run_job *job, const struct configuration *configuration,
		const struct configuration_section *section);
/* Takes the job's lock (if another run has it: refused, with EXIT_FAILED) and,
 * as soon as no other job has it, that of its repository; then does the steps. */
void run_job_carry_out(struct run_job *job);
void run_job_clear(struct run_job *job);

/* "backup" and so on. */
const char *run_kind_name(enum run_kind kind);

#endif
