/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files that mend share. */
#ifndef AMBERFS_REPAIR_REPAIR_INTERNAL_H
#define AMBERFS_REPAIR_REPAIR_INTERNAL_H

#include "repair_snapshot.h"

/* Stores the bytes if they are what WANTED names. 1, 0, -errno. */
int mend_put(struct mend *m, enum pack_kind kind, const struct id *wanted,
		const void *data, uint32_t len);
/* Nothing more can be stored, or somebody interrupted. */
bool mend_stopped(const struct mend *m);
void mend_forget_other(struct mend *m);

/* The two ways; as mend_file. */
ssize_t mend_from_copy(struct mend *m, const struct mend_fault *faults,
		size_t count);
ssize_t mend_from_image(struct mend *m, const struct snapshot *snap,
		const struct snapshot_file *file,
		const struct mend_fault *faults, size_t count);

#endif
