/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What keeps snapshots from forget, for commands that show them: pins and the
 * least age. */
#ifndef AMBERFS_COMMANDS_KEEPING_H
#define AMBERFS_COMMANDS_KEEPING_H

#include "repo/snapshot/pins.h"
#include "repo/repository/min_age.h"
#include "command.h"

struct keeping {
	struct pins pins;
	struct retention retention;
	int64_t now;
};

/* Warns about what can't be loaded; that is empty then. */
void keeping_load(struct keeping *k, struct repository *r);
void keeping_clear(struct keeping *k);

/* 0: not protected; else until when. */
int64_t keeping_until(const struct keeping *k, const struct snapshot *s);

/* Adds "pinned", and "protected_until" if it is, to the JSON of S. */
void keeping_to_json(const struct keeping *k, const struct snapshot *s,
		json_t *json);

#endif
