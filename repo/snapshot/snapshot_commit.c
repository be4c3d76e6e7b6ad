/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Committing a snapshot; see snapshot_commit.h. */
#include "snapshot_commit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "high_water.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/format/envelope.h"
#include "repo/format/json_fields.h"

/* Snapshots of one source within this many seconds of each other are enough to
 * call the clock broken. */
#define COMMIT_TRIES 3600

/* Encodes, and reads back what others will see before anything is stored: so
 * no snapshot is ever committed that could not be loaded again. */
static int encode_snapshot(struct repository *repo, struct snapshot *snap,
		const char *name, char **text)
{
	struct snapshot *again;
	json_t *json = snapshot_json_encode(snap);
	CLEANUP_FREE char *made = json != NULL
			? json_dumps(json, JSON_FIELDS_DUMP_FLAGS)
			: NULL;
	json_decref(json);
	if (made == NULL)
		return fail_errno(-ENOMEM, "writing snapshot %s", name);
	int err = snapshot_json_decode(&again, repo->seal, name, made,
			strlen(made));
	if (err < 0)
		return err;
	snap->id = again->id;
	free(snap->object);
	snap->object = take_ptr(again->object);
	snapshot_free(again);
	*text = take_ptr(made);
	return 0;
}

static int put_snapshot(struct repository *repo, struct snapshot *snap)
{
	CLEANUP_FREE char *text = NULL;
	CLEANUP_FREE uint8_t *object = NULL;
	char name[OBJECT_NAME_MAX];
	size_t len;
	snapshot_object_name(name, sizeof(name), snap->source, snap->time);
	int err = encode_snapshot(repo, snap, name, &text);
	if (err < 0)
		return err;
	err = envelope_seal(repo->seal, repo->config.repo_id, ENVELOPE_SNAPSHOT,
			name, text, strlen(text), &object, &len);
	return err < 0 ? err : store_put(repo->store, name, object, len, true);
}

int snapshot_commit(struct repository *repo, struct snapshot *snap)
{
	for (int i = 0; i < COMMIT_TRIES; i++, snap->time++) {
		int err = put_snapshot(repo, snap);
		if (err == 0)
			high_water_set(repo, snap->source, snap->sequence);
		if (err != -EEXIST)
			return err;
	}
	return fail(-EEXIST,
			"there is already a snapshot of %s for every second "
			"of the next hour: check the clock",
			NAME_SHOWN(snap->source));
}

int snapshot_commit_at(struct repository *repo, struct snapshot *snap)
{
	int err = put_snapshot(repo, snap);
	if (err != 0)
		return err;
	if (snap->sequence > high_water_get(repo, snap->source))
		high_water_set(repo, snap->source, snap->sequence);
	return 0;
}
