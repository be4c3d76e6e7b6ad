/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether what both repositories have under one source's name is one history:
 * of the same domain or of files somewhere in it, or some of it copied already
 * from the one to the other. An adoption in either is followed so.
 */
#include <errno.h>
#include <string.h>

#include "copy.h"
#include "repo/base/error.h"
#include "repo/snapshot/snapshot_identity.h"

static bool is_from(const struct snapshot *snap, const uint8_t *repo_id)
{
	return snap->has_origin
			&& memcmp(snap->origin_repository, repo_id,
					   REPO_ID_SIZE)
			== 0;
}

static bool any_from(const struct snapshot_list *list,
		const struct repository *repo)
{
	for (size_t i = 0; i < list->count; i++)
		if (is_from(list->items[i], repo->config.repo_id))
			return true;
	return false;
}

static bool are_related(const struct snapshot *a, const struct snapshot *b)
{
	return snapshot_identity_same(a, b)
			|| (a->has_origin && is_from(b, a->origin_repository));
}

static bool is_one_history(const struct snapshot_list *here,
		const struct snapshot_list *there)
{
	for (size_t i = 0; i < here->count; i++)
		for (size_t k = 0; k < there->count; k++)
			if (are_related(here->items[i], there->items[k]))
				return true;
	return there->count == 0;
}

int copy_owner_check(const struct copy *copy, const struct snapshot *snap)
{
	const struct snapshot_list *there = &copy->there;
	char theirs[SNAPSHOT_IDENTITY_TEXT_MAX],
			ours[SNAPSHOT_IDENTITY_TEXT_MAX];
	if (copy->adopt || is_one_history(&copy->here, there)
			|| any_from(there, copy->from)
			|| any_from(&copy->here, copy->to.repo))
		return 0;
	return fail(-EPERM,
			"in %s the source %s belongs to %s, and here to %s; to "
			"put both into one history there use --adopt, to keep "
			"them apart copy this one to another repository",
			store_path(copy->to.repo->store),
			NAME_SHOWN(snap->source),
			snapshot_identity_text(theirs,
					there->items[there->count - 1]),
			snapshot_identity_text(ours, snap));
}
