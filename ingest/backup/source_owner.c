/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is dated more than a day ahead of now says nothing: it is not what the
 * next snapshot is based on either.
 */
#include "source_owner.h"

#include <errno.h>
#include <string.h>

#include "repo/base/units.h"
#include "repo/snapshot/snapshot_identity.h"
#include "repo/snapshot/snapshot_list.h"

static int refuse(const struct snapshot *snap, const struct snapshot *owner)
{
	char theirs[SNAPSHOT_IDENTITY_TEXT_MAX],
			ours[SNAPSHOT_IDENTITY_TEXT_MAX], time[UTC_TEXT_MAX];
	return fail(-EEXIST,
			"the source %s belongs to %s, whose last snapshot is "
			"of %s, and not to %s; to continue its history use "
			"--adopt, to keep both apart store this one under "
			"another name with %s NAME",
			NAME_SHOWN(snap->source),
			snapshot_identity_text(theirs, owner),
			utc_format(time, owner->time),
			snapshot_identity_text(ours, snap),
			snap->kind == SNAPSHOT_DOMAIN ? "--source" : "--name");
}

static int compare(const struct backup_snapshot *snapshot,
		const struct snapshot *other)
{
	const struct snapshot *snap = snapshot->snap;
	return snapshot_identity_same(snap, other) ? 0 : refuse(snap, other);
}

/* Files have no UUID; a host that is renamed is no reason to fail. */
static void say_other_host(const struct snapshot *snap,
		const struct snapshot *base)
{
	if (snap->kind == SNAPSHOT_FILES && base->kind == SNAPSHOT_FILES
			&& strcmp(snap->host, base->host) != 0)
		report_warning("the last snapshot of %s was made on %s, not "
			       "on %s: if these are other files, use another "
			       "--name",
				NAME_SHOWN(snap->source),
				NAME_SHOWN(base->host), NAME_SHOWN(snap->host));
}

static bool is_ahead(const struct snapshot *snap)
{
	return time_is_ahead(snap->time, realtime_ns() / 1000000000);
}

/* Without a base: its last snapshot may be unreadable or just forgotten. */
static int check_newest(struct backup_snapshot *snapshot)
{
	struct snapshot_list list;
	int err = snapshot_list_load_later(snapshot->run->repo,
			snapshot->snap->source, INT64_MIN, &list);
	if (err < 0)
		return err;
	while (list.count > 0 && is_ahead(list.items[list.count - 1]))
		snapshot_free(list.items[--list.count]);
	if (list.count > 0) {
		const struct snapshot *newest = list.items[list.count - 1];
		snapshot->owner_time = newest->time;
		err = compare(snapshot, newest);
	}
	snapshot_list_clear(&list);
	return err;
}

int source_owner_check(struct backup_snapshot *snapshot)
{
	snapshot->owner_time = INT64_MIN;
	if (snapshot->base != NULL) {
		snapshot->owner_time = snapshot->base->time;
		say_other_host(snapshot->snap, snapshot->base);
	}
	if (snapshot->run->options->adopt)
		return 0;
	return snapshot->base != NULL ? compare(snapshot, snapshot->base)
				      : check_newest(snapshot);
}

int source_owner_check_later(struct backup_snapshot *snapshot)
{
	struct snapshot_list list;
	if (snapshot->run->options->adopt)
		return 0;
	int err = snapshot_list_load_later(snapshot->run->repo,
			snapshot->snap->source, snapshot->owner_time, &list);
	for (size_t i = 0; err == 0 && i < list.count; i++)
		if (!is_ahead(list.items[i]))
			err = compare(snapshot, list.items[i]);
	snapshot_list_clear(&list);
	return err;
}
