/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The operator's own programs around each domain's backup: every executable of
 * a directory, in the order of their names, with what happens in the environment.
 * Their output goes to our stderr, their stdin is empty.
 * Threading: hooks of different domains may run at once; a hook ends when the
 * thread that runs it ends.
 */
#ifndef AMBERFS_INGEST_BACKUP_HOOKS_H
#define AMBERFS_INGEST_BACKUP_HOOKS_H

#include <stddef.h>
#include <stdint.h>

enum hook_phase {
	HOOK_BEFORE_FREEZE, /* a failure keeps the domain from the backup */
	HOOK_AFTER_THAW,    /* running domains only */
	HOOK_AFTER_COMMIT,
	HOOK_FAILURE,
};

/* What a hook is told; raw texts; NULL: not set. */
struct hook_event {
	enum hook_phase phase;
	const char *domain, *uuid, *repository;
	const char *result; /* "done", "partly", "failed" */
	const char *error, *snapshot, *consistency;
	const char *nbd_socket, *nbd_exports;
};

/*
 * DIR NULL: none. 0; or with a text that names the program that failed and
 * how, and the rest is not run then: -EIO; -ETIMEDOUT it was killed after the
 * limit; -ECANCELED we were interrupted. Those of after-commit and failure,
 * which undo what before-freeze did, run in spite of an interruption.
 */
int hooks_run(const char *dir, const struct hook_event *event);

/* 0 if DIR (NULL allowed) can be read and nobody else may write there; else
 * -errno with a text. To be asked before any work. */
int hooks_check(const char *dir);

/* The longest that one program may take; 300 s if this is never called. While
 * there is one thread. */
void hooks_limit(int64_t seconds);

#endif
