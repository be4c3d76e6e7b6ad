/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The tree roots of open files, published in the repository so that prune keeps
 * what is below them. A root stays published for a few seconds after its last
 * file was closed, so that opening it again costs nothing. Thread-safe;
 * publishing takes a few fsyncs, one at a time.
 */
#ifndef AMBERFS_FS_ROOTS_H
#define AMBERFS_FS_ROOTS_H

#include "repo/repository/repository.h"

struct roots;

/* Registers a session with ACTIVITY (escaped). If the repository is not
 * writable there is none, and *WHY_NOT (to be freed; otherwise NULL) says why:
 * then nothing is published and roots_hold always succeeds. */
int roots_new(struct roots **out, struct repository *repo, const char *activity,
		char **why_not);
/* Ends the session. NULL allowed. */
void roots_free(struct roots *roots);

/* Durable when it returns. Counted. 0 or -errno with a text. */
int roots_hold(struct roots *roots, const struct id *root);
void roots_drop(struct roots *roots, const struct id *root);
/* The same for one that turned out to be gone: not published any longer. */
void roots_drop_now(struct roots *roots, const struct id *root);

/* To be called every few seconds: withdraws what has not been held for a while,
 * and registers again if another process considered this session dead. */
void roots_tick(struct roots *roots);

#endif
