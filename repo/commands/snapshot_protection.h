/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What protects snapshots from forget, for commands that show it: pins and the
 * minimum age. */
#ifndef AMBERFS_COMMANDS_SNAPSHOT_PROTECTION_H
#define AMBERFS_COMMANDS_SNAPSHOT_PROTECTION_H

#include "command.h"
#include "repo/repository/min_age.h"
#include "repo/snapshot/pins.h"

struct snapshot_protection {
	struct pins pins;
	struct min_age retention;
	int64_t now;
};

/* Warns about what can't be loaded; that is empty then. */
void snapshot_protection_load(struct snapshot_protection *protection,
		struct repository *repo);
void snapshot_protection_clear(struct snapshot_protection *protection);

/* 0: not protected; else until when. */
int64_t snapshot_protection_until(const struct snapshot_protection *protection,
		const struct snapshot *snap);

/* Adds "pinned", and "protected_until" if it is, to the JSON of SNAP. */
void snapshot_protection_to_json(const struct snapshot_protection *protection,
		const struct snapshot *snap, json_t *json);

#endif
