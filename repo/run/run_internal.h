/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For the files of this directory. */
#ifndef AMBERFS_RUN_RUN_INTERNAL_H
#define AMBERFS_RUN_RUN_INTERNAL_H

#include "run.h"

/* Adds a copy of WORD. 0, or -ENOMEM with a text. */
int run_words_add(struct run_words *words, const char *word);
void run_words_clear(struct run_words *words);

/* Runs STEP's command to its end, or ends it when a signal came; fills in what
 * became of it. */
void run_step_carry_out(struct run_step *step);

/* What to tell people of a command that wrote ERRORS to stderr and printed
 * REPORT (or NULL): lines, to free; NULL without memory. */
char *run_messages_make(const char *errors, const json_t *report);

/*
 * Locks held by this process and the commands that it starts, so that they stay
 * locked while one of them is still at work. The first: the job's, not waited
 * for; the second: the repository's. A descriptor, -EBUSY: another run has it;
 * -ECANCELED: a signal came; -errno; with a text.
 */
int run_lock_job(const struct configuration_section *job);
int run_lock_repository(const struct configuration_section *repository);

#endif
