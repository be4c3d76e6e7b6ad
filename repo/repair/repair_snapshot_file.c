/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which of the two ways restores what a file has lost. */
#include "repair_internal.h"

#include <errno.h>

#include "repo/base/error.h"
#include "repo/base/interrupt.h"

ssize_t repair_snapshot_file(struct repair_snapshot *repair,
		const struct snapshot *snap, const struct snapshot_file *file,
		const struct repair_fault *faults, size_t count, bool *again)
{
	ssize_t n = repair->byte_copy
			? repair_from_copy(repair, faults, count)
			: repair_from_image(repair, snap, file, faults, count);
	*again = false;
	for (size_t i = 0; n > 0 && i < count; i++)
		*again = *again || faults[i].node;
	if (interrupt_flag && n >= 0)
		n = fail(-ECANCELED, "interrupted");
	return n;
}
