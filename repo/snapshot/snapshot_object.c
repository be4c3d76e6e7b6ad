/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is stored of a snapshot; see snapshot_object.h. */
#include "snapshot_object.h"

#include <errno.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/format/envelope.h"

#define SNAPSHOT_OBJECT_MAX (ENVELOPE_PAYLOAD_MAX + 4096)

int snapshot_object_load(struct repository *repo, const char *object,
		struct snapshot **out)
{
	CLEANUP_FREE void *data = NULL;
	CLEANUP_FREE char *json = NULL;
	size_t len, json_len;
	int err = store_get(repo->store, object, &data, &len,
			SNAPSHOT_OBJECT_MAX);
	if (err != 0)
		return err;
	err = envelope_open(repo->seal, repo->config.repo_id, ENVELOPE_SNAPSHOT,
			object, data, len, &json, &json_len);
	if (err != 0)
		return err;
	return snapshot_json_decode(out, repo->seal, object, json, json_len);
}

int snapshot_object_exists(struct repository *repo, const struct snapshot *snap)
{
	struct snapshot *now = NULL;
	char shown[SNAPSHOT_SHOWN_MAX];
	int err = snapshot_object_load(repo, snap->object, &now);
	if (err == 0 && !id_equal(&now->id, &snap->id))
		err = -ENOENT;
	snapshot_free(now);
	return err == -ENOENT ? fail(err, "%s was forgotten in the meantime",
			       snapshot_shown(shown, snap->object))
			      : err;
}

static bool comes_from(const struct snapshot *copy,
		const struct repository *repo, const struct snapshot *snap)
{
	return copy->has_origin
			&& memcmp(copy->origin_repository, repo->config.repo_id,
					   REPO_ID_SIZE)
			== 0
			&& id_equal(&copy->origin_snapshot, &snap->id);
}

bool snapshot_object_is_copy(const struct repository *ra,
		const struct snapshot *a, const struct repository *rb,
		const struct snapshot *b)
{
	if (comes_from(b, ra, a) || comes_from(a, rb, b))
		return true;
	return a->has_origin && b->has_origin
			&& memcmp(a->origin_repository, b->origin_repository,
					   REPO_ID_SIZE)
			== 0
			&& id_equal(&a->origin_snapshot, &b->origin_snapshot);
}
