/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files that repair share. */
#ifndef AMBERFS_REPAIR_REPAIR_INTERNAL_H
#define AMBERFS_REPAIR_REPAIR_INTERNAL_H

#include "repair_snapshot.h"

/* Stores the bytes if they are what WANTED names. 1, 0, -errno. */
int repair_snapshot_put(struct repair_snapshot *repair, enum pack_kind kind,
		const struct id *wanted, const void *data, uint32_t len);
/* Nothing more can be stored, or somebody interrupted. */
bool repair_snapshot_stopped(const struct repair_snapshot *repair);
void repair_snapshot_forget_other(struct repair_snapshot *repair);

/* The two ways; as repair_snapshot_file. */
ssize_t repair_from_copy(struct repair_snapshot *repair,
		const struct repair_fault *faults, size_t count);
ssize_t repair_from_image(struct repair_snapshot *repair,
		const struct snapshot *snap, const struct snapshot_file *file,
		const struct repair_fault *faults, size_t count);

#endif
