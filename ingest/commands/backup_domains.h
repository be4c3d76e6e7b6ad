/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Backing up several domains in one run. */
#ifndef AMBERFS_INGEST_COMMANDS_BACKUP_DOMAINS_H
#define AMBERFS_INGEST_COMMANDS_BACKUP_DOMAINS_H

#include "ingest/backup/backup_run.h"
#include "ingest/libvirt/connection.h"

/* Each of the COUNT domains gets its own snapshot and row in the report; a
 * failure does not affect the others. NAMES are names or UUIDs; a domain named
 * twice is backed up once. Adds the lanes. 0, or -errno if nothing was
 * begun. */
int backup_domains(struct backup_run *run, struct connection *conn,
		char *const *names, unsigned count);

#endif
