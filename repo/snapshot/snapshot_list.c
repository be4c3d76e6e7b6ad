/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Listing snapshots; see snapshot_list.h. */
#include "snapshot_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "high_water.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/report.h"
#include "repo/base/units.h"
#include "repo/format/name.h"
#include "repo/store/names.h"
#include "snapshot_object.h"

/* The objects' names, sorted: by source, then by time. SOURCE NULL: all. */
static int snapshot_names(struct repository *repo, const char *source,
		struct names *out)
{
	char prefix[OBJECT_NAME_MAX] = "snapshots/";
	*out = (struct names){ 0 };
	if (source != NULL) {
		char component[NAME_COMPONENT_MAX + 1];
		name_component(component, source);
		snprintf(prefix, sizeof(prefix), "snapshots/%s/", component);
	}
	int err = store_list(repo->store, prefix, names_add, out);
	if (err < 0) {
		names_clear(out);
		return err;
	}
	names_sort(out);
	return 0;
}

/* Takes the time out of "snapshots/SOURCE/TIME". Another name is of no use. */
static bool is_later(const char *object, int64_t after)
{
	int64_t time;
	return utc_parse(&time, strrchr(object, '/') + 1) < 0 || time > after;
}

static int load_since(struct repository *repo, const char *source,
		int64_t after, struct snapshot_list *out,
		snapshot_bad_fn *on_bad, void *ctx)
{
	struct names names;
	*out = (struct snapshot_list){ 0 };
	int err = snapshot_names(repo, source, &names);
	if (err < 0)
		return err;
	out->items = calloc(names.count + 1, sizeof(*out->items));
	if (out->items == NULL) {
		names_clear(&names);
		return fail_no_memory("listing snapshots");
	}
	for (size_t i = 0; err == 0 && i < names.count; i++) {
		if (!is_later(names.items[i], after))
			continue;
		err = snapshot_object_load(repo, names.items[i],
				&out->items[out->count]);
		if (err == 0) {
			out->count++;
		} else if (err == -ENOENT) {
			err = 0; /* forgotten meanwhile */
		} else if (on_bad != NULL) {
			on_bad(ctx, names.items[i], err);
			err = 0;
		}
	}
	names_clear(&names);
	if (err < 0)
		snapshot_list_clear(out);
	return err;
}

int snapshot_list_load(struct repository *repo, const char *source,
		struct snapshot_list *out, snapshot_bad_fn *on_bad, void *ctx)
{
	return load_since(repo, source, INT64_MIN, out, on_bad, ctx);
}

static void ignore_bad(void *ctx, const char *object, int err)
{
	(void)ctx;
	(void)object;
	(void)err;
}

int snapshot_list_load_later(struct repository *repo, const char *source,
		int64_t after, struct snapshot_list *out)
{
	return load_since(repo, source, after, out, ignore_bad, NULL);
}

void snapshot_list_clear(struct snapshot_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		snapshot_free(list->items[i]);
	free(list->items);
	*list = (struct snapshot_list){ 0 };
}

/* --- the newest --- */

static bool is_ahead(const struct snapshot *snap)
{
	return time_is_ahead(snap->time, realtime_ns() / 1000000000);
}

int snapshot_list_newest(struct repository *repo, const char *source,
		struct snapshot **out)
{
	struct names names;
	*out = NULL;
	int err = snapshot_names(repo, source, &names);
	for (size_t i = names.count; err == 0 && i-- > 0 && *out == NULL;) {
		err = snapshot_object_load(repo, names.items[i], out);
		if (err == -ENOENT)
			err = 0;
	}
	names_clear(&names);
	return err;
}

/* The newest made: the last by name, unless its time is ahead of ours; then the
 * numbers tell. */
static int newest_by_number(struct repository *repo, const char *source,
		struct snapshot **out)
{
	struct snapshot_list all;
	size_t newest = 0;
	int err = snapshot_list_load(repo, source, &all, ignore_bad, NULL);
	if (err < 0)
		return err;
	for (size_t i = 1; i < all.count; i++)
		if (all.items[i]->sequence >= all.items[newest]->sequence)
			newest = i;
	if (all.count > 0) {
		snapshot_free(*out);
		*out = take_ptr(all.items[newest]);
	}
	snapshot_list_clear(&all);
	return 0;
}

bool snapshot_list_is_later(const struct snapshot *snap,
		const struct snapshot *other)
{
	bool complete = snapshot_is_complete(snap);
	if (is_ahead(snap) != is_ahead(other))
		return is_ahead(other);
	if (complete != snapshot_is_complete(other))
		return complete;
	return snap->sequence > other->sequence;
}

bool snapshot_list_is_latest(const struct snapshot *snap, uint64_t highest,
		uint64_t seen)
{
	return highest >= seen && snapshot_is_complete(snap) && !is_ahead(snap);
}

int snapshot_list_newest_complete(struct repository *repo, const char *source,
		struct snapshot **out)
{
	struct names names;
	uint64_t seen = high_water_get(repo, source), highest = 0;
	*out = NULL;
	int err = snapshot_names(repo, source, &names);
	for (size_t i = names.count; err == 0 && i-- > 0;) {
		struct snapshot *snap = NULL;
		err = snapshot_object_load(repo, names.items[i], &snap);
		if (err < 0) {
			err = err == -ENOENT ? 0 : err;
			continue;
		}
		highest = max_u64(highest, snap->sequence);
		if (*out == NULL || snapshot_list_is_later(snap, *out)) {
			struct snapshot *other = *out;
			*out = snap;
			snap = other;
		}
		snapshot_free(snap);
		if (snapshot_list_is_latest(*out, highest, seen))
			break;
	}
	names_clear(&names);
	if (err < 0)
		snapshot_free(take_ptr(*out));
	return err;
}

int snapshot_list_latest(struct repository *repo, const char *source,
		struct snapshot **out)
{
	int err = snapshot_list_newest(repo, source, out);
	if (err == 0 && *out != NULL && is_ahead(*out))
		err = newest_by_number(repo, source, out);
	if (err < 0)
		return err;
	uint64_t have = *out != NULL ? (*out)->sequence : 0;
	uint64_t seen = high_water_get(repo, source);
	if (have < seen)
		report_warning("the newest snapshot of %s has number %llu, "
			       "but this machine has seen number %llu: newer "
			       "ones were forgotten elsewhere, or the "
			       "repository was rolled back to an older state",
				NAME_SHOWN(source), (unsigned long long)have,
				(unsigned long long)seen);
	return 0;
}

uint64_t snapshot_list_next_sequence(struct repository *repo,
		const char *source, const struct snapshot *base)
{
	uint64_t last = base != NULL ? base->sequence : 0;
	uint64_t seen = high_water_get(repo, source);
	return (last > seen ? last : seen) + 1;
}
