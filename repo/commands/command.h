/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A command of the amberfs program: one file each, listed in main.c. Each
 * parses its own arguments, prints its one error, and returns an exit status.
 */
#ifndef AMBERFS_COMMANDS_COMMAND_H
#define AMBERFS_COMMANDS_COMMAND_H

#include "repo/base/options.h"
#include "repo/base/report.h"
#include "repo/repository/repository.h"
#include "repo/session/session.h"

int command_config(int argc, char **argv);
int command_copy(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_forget(int argc, char **argv);
int command_index(int argc, char **argv);
int command_init(int argc, char **argv);
int command_key(int argc, char **argv);
int command_list(int argc, char **argv);
int command_pin(int argc, char **argv);
int command_protect(int argc, char **argv);
int command_prune(int argc, char **argv);
int command_repair(int argc, char **argv);
int command_restore(int argc, char **argv);
int command_run(int argc, char **argv);
int command_sessions(int argc, char **argv);
int command_show(int argc, char **argv);
int command_unpin(int argc, char **argv);
int command_verify(int argc, char **argv);

/* What nearly every command has: --json, -v, -q and the repository's. */
struct common_options {
	struct report_options report;
	struct repository_options repository;
};

/* Opens and attaches; prints the error. NULL on failure. */
struct repository *command_open(const char *path,
		const struct common_options *options);

/* For commands that only delete, which needs no space: on a full disk, where no
 * session can be registered, they continue without one (*OUT is NULL). */
int command_session_to_delete(struct session **out, struct repository *repo,
		const char *activity);

/* Runs amberfs prune with default options on an open repository in which this
 * process has no session. Prints its errors, and its result unless that goes to
 * *JSON (new, with --json; else NULL). Returns an exit status. */
int command_prune_now(struct repository *repo, json_t **json);

/* Asks QUESTION on the terminal: true if answered with yes. False too if there
 * is no terminal. */
bool command_agreed(const char *question);

/* Prints error_text(err) once and returns EXIT_FAILED. */
int command_failed(int err);

#endif
