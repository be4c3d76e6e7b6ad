/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The hooks of one domain's backup at the right moments; see hooks.h. Nothing
 * happens without --hook.
 */
#ifndef AMBERFS_INGEST_BACKUP_BACKUP_HOOKS_H
#define AMBERFS_INGEST_BACKUP_BACKUP_HOOKS_H

#include "backup_run.h"
#include "ingest/libvirt/domain.h"

/* Before anything of the guest is touched. An error: it must not be. */
int backup_hooks_before(struct backup_snapshot *snapshot,
		const struct domain_facts *facts);

/* A running guest goes on, its disks are served: SOCKET, and EXPORTS with
 * blanks between them. A failure is a warning and makes the backup partly. */
void backup_hooks_after_thaw(struct backup_snapshot *snapshot,
		const struct domain_facts *facts, const char *socket,
		const char *exports);

/*
 * The last: ERR 0, the snapshot is committed; else the domain was not backed
 * up, for the reason that is this thread's text (and stays that). Before
 * backup_snapshot_end. A failure as above.
 */
void backup_hooks_end(struct backup_snapshot *snapshot,
		const struct domain_facts *facts, int err);

/* The same for a domain of which nothing is known but NAME. */
void backup_hooks_unopened(const struct backup_options *options,
		const char *name, int err);

#endif
