/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Runs the hooks of one domain's backup at the right moments; see hooks.h. Does
 * nothing without --hook.
 */
#ifndef AMBERFS_INGEST_BACKUP_BACKUP_HOOKS_H
#define AMBERFS_INGEST_BACKUP_BACKUP_HOOKS_H

#include "backup_run.h"
#include "ingest/libvirt/domain.h"

/* Before anything of the guest is touched. On an error it must not be. */
int backup_hooks_before(struct backup_snapshot *snapshot,
		const struct domain_facts *facts);

struct hook_exports {
	const char *socket, *names;		 /* separated by blanks */
	void (*running)(void *ctx, pid_t group); /* as in struct hook_event */
	void *ctx;
};

/* The running guest is thawed and its disks are served as EXPORTS says. A
 * failure is a warning, and the backup counts as partly done. */
void backup_hooks_after_thaw(struct backup_snapshot *snapshot,
		const struct domain_facts *facts,
		const struct hook_exports *exports);

/*
 * The last hooks. ERR 0: the snapshot is committed; else the domain was not
 * backed up, and the thread's error text says why (it is kept). Call before
 * backup_snapshot_end. A failure is treated as above.
 */
void backup_hooks_end(struct backup_snapshot *snapshot,
		const struct domain_facts *facts, int err);

/* The same for a domain of which only NAME is known. */
void backup_hooks_unopened(const struct backup_options *options,
		const char *name, int err);

#endif
