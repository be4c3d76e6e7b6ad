/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The operator's own programs around each domain's backup: every executable of
 * a folder, in the order of their names, with what happens in the environment.
 * Their output goes to our stderr.
 * Threading: hooks of different domains may run at once.
 */
#ifndef AMBERFS_INGEST_HOOKS_H
#define AMBERFS_INGEST_HOOKS_H

#include <stddef.h>

enum hook_phase {
	HOOK_BEFORE_FREEZE,	/* a failure keeps the domain from the backup */
	HOOK_AFTER_THAW,	/* running domains only */
	HOOK_AFTER_COMMIT,
	HOOK_FAILURE,
};

/* What a hook is told; raw texts; NULL: not set. */
struct hook_event {
	enum hook_phase phase;
	const char *domain, *uuid, *repository;
	const char *result;	/* "done", "partly", "failed" */
	const char *error, *snapshot, *consistency;
	const char *nbd_socket, *nbd_exports;
};

/* DIR NULL: none. 0, or -EIO with a text that names the program that failed
 * and how; the rest is not run then. */
int hooks_run(const char *dir, const struct hook_event *e);

#endif
