/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Making the index anew from the trailers of all packs. */
#include <errno.h>
#include <unistd.h>

#include "index_internal.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"

int index_rebuild(struct index *index)
{
	LOCK_SCOPE(&index->work);
	CLEANUP_FD int lock = -1;
	int err = index_place_lock(&lock, &index->place, index_tuning.lock_ms);
	if (err < 0)
		return index_merge_explain(index, err);
	/* Without room for it, reconciling goes on in memory. */
	index_empty(index, lock);
	close(take_fd(&lock));
	return index_reconcile_held(index);
}
