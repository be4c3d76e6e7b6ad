/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The highest snapshot number that this machine has seen of each source, kept
 * outside of the repository, so that putting back an older state of it shows:
 * in $AMBERFS_STATE_DIR, else /var/lib/amberfs for root, else
 * $XDG_STATE_HOME/amberfs (~/.local/state/amberfs). Advice only: losing it
 * loses a warning.
 */
#ifndef AMBERFS_SNAPSHOT_HIGH_WATER_H
#define AMBERFS_SNAPSHOT_HIGH_WATER_H

#include "repo/repository/repository.h"

/* 0: none known. SOURCE is escaped. */
uint64_t high_water_get(struct repository *repo, const char *source);
void high_water_set(struct repository *repo, const char *source,
		uint64_t sequence);

#endif
