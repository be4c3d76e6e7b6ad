/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Forgetting a snapshot; see snapshot_forget.h. */
#include "snapshot_forget.h"

#include "high_water.h"
#include "repo/session/marking.h"
#include "snapshot_list.h"

int snapshot_forget(struct repository *repo, const struct snapshot *snap)
{
	struct snapshot *left = NULL;
	int err = marking_wait(repo);
	if (err != 0)
		return err;
	err = store_delete(repo->store, snap->object);
	/* What this machine forgot by itself is no rollback. Forgetting an older
	 * one says nothing about the newest that was seen. */
	if (err != 0)
		return err;
	if (snap->sequence >= high_water_get(repo, snap->source)
			&& snapshot_list_newest(repo, snap->source, &left)
					== 0) {
		high_water_set(repo, snap->source,
				left != NULL ? left->sequence : 0);
		snapshot_free(left);
	}
	return 0;
}
