/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Backing up one domain. */
#ifndef AMBERFS_INGEST_COMMANDS_BACKUP_DOMAIN_H
#define AMBERFS_INGEST_COMMANDS_BACKUP_DOMAIN_H

#include "ingest/backup/backup_run.h"
#include "ingest/backup/domain_state.h"

/* Makes one snapshot and its row in the report, which also has any failure. */
void backup_domain(struct backup_lane *lane, struct domain_state *domain);

#endif
