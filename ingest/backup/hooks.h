/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The operator's own programs around each domain's backup: every executable of
 * a directory, in the order of their names, with the details in the
 * environment. Their output goes to our stderr, their stdin is empty.
 * Threading: hooks of different domains may run at once; a hook ends with the
 * thread that runs it.
 */
#ifndef AMBERFS_INGEST_BACKUP_HOOKS_H
#define AMBERFS_INGEST_BACKUP_HOOKS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum hook_phase {
	HOOK_BEFORE_FREEZE, /* a failure prevents the backup */
	HOOK_AFTER_THAW,    /* running domains only */
	HOOK_AFTER_COMMIT,
	HOOK_FAILURE,
};

/* What a hook gets to know; raw texts; NULL: not set. */
struct hook_event {
	enum hook_phase phase;
	const char *domain, *uuid, *repository;
	const char *result; /* "done", "partly", "failed" */
	const char *error, *snapshot, *consistency;
	const char *nbd_socket, *nbd_exports;
	/* Told the process group of a program that runs, then 0. NULL: nobody
	 * needs to know. */
	void (*running)(void *ctx, pid_t group);
	void *ctx;
};

/*
 * DIR NULL: no hooks. 0; otherwise the text names the program and how it
 * failed, and the rest is not run: -EIO; -ETIMEDOUT: it was killed after the
 * limit; -ECANCELED: interrupted. Hooks of after-commit and failure, which undo
 * what before-freeze did, run in spite of an interruption.
 */
int hooks_run(const char *dir, const struct hook_event *event);

/* 0 if DIR (NULL allowed) can be read and nobody else may write it; else -errno
 * with a text. Call before any work. */
int hooks_check(const char *dir);

/* Sets the time limit of one program; 300 s if never called. Call while there
 * is only one thread. */
void hooks_limit(int64_t seconds);

#endif
