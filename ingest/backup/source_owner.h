/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A source belongs to the domain, or to the files, of its last snapshot. Another
 * domain of the same name, or files, may not continue its history unless the
 * user says so (--adopt).
 */
#ifndef AMBERFS_INGEST_BACKUP_SOURCE_OWNER_H
#define AMBERFS_INGEST_BACKUP_SOURCE_OWNER_H

#include "backup_run.h"

/* Before anything is read, with SNAPSHOT's base found. 0; -EEXIST with a text
 * that names both and the ways out; -errno. */
int source_owner_check(struct backup_snapshot *snapshot);

/* The same for what others committed since then; right before the commit, and
 * after it, when of two that commit at once at least one sees the other. */
int source_owner_check_later(struct backup_snapshot *snapshot);

#endif
