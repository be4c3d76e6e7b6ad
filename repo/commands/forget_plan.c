/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which snapshots go: those named, or those that no rule keeps. Pins and the
 * minimum age apply to both. Nothing is deleted here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "forget.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/units.h"
#include "repo/snapshot/snapshot_list.h"
#include "repo/snapshot/snapshot_resolve.h"

const char *forget_plan_shown(const struct forget_entry *entry)
{
	return entry->shown;
}

int forget_plan_begin(struct forget_plan *plan)
{
	plan->now = time(NULL);
	int err = min_age_load(plan->repo, &plan->retention);
	if (err != 0)
		return err;
	err = pins_load(plan->repo, &plan->pins);
	if (err != 0)
		return err;
	min_age_check_clock(plan->repo);
	return 0;
}

void forget_plan_clear(struct forget_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		snapshot_free(plan->items[i].snap);
		free(plan->items[i].object);
		free(plan->items[i].shown);
	}
	free(plan->items);
	pins_clear(&plan->pins);
	min_age_clear(&plan->retention);
	plan->items = NULL;
	plan->count = plan->room = 0;
}

/* Takes ownership of SNAP (may be NULL), also on failure. */
static int add(struct forget_plan *plan, struct snapshot *snap,
		const char *object, int64_t time)
{
	if (plan->count == plan->room) {
		size_t room = plan->room ? 2 * plan->room : 64;
		struct forget_entry *more =
				reallocarray(plan->items, room, sizeof(*more));
		if (more == NULL) {
			snapshot_free(snap);
			return fail_no_memory("listing snapshots");
		}
		plan->items = more;
		plan->room = room;
	}
	/* Of one that can't be read, its time is all that is known. */
	const struct min_age_of of = { time, snap != NULL ? snap->arrived : 0 };
	char shown[SNAPSHOT_SHOWN_MAX];
	struct forget_entry e = { .snap = snap,
		.object = strdup(object),
		.shown = strdup(snapshot_shown(shown, object)),
		.time = time,
		.pinned = pins_have(&plan->pins, object),
		.protected = min_age_protects(&plan->retention, of, plan->now),
		.until = min_age_until(&plan->retention, of) };
	if (e.object == NULL || e.shown == NULL) {
		free(e.object);
		free(e.shown);
		snapshot_free(snap);
		return fail_no_memory("listing snapshots");
	}
	plan->items[plan->count++] = e;
	return 0;
}

/* --- by name --- */

/* 0, or an error that says what to do. */
static int check_free(const struct forget_plan *plan,
		const struct forget_entry *entry)
{
	char until[UTC_TEXT_MAX], rest[SIZE_TEXT_MAX];
	if (entry->pinned)
		return fail(-EPERM,
				"%s is pinned; to release it: amberfs unpin "
				"%s %s",
				forget_plan_shown(entry),
				store_path(plan->repo->store),
				entry->object + strlen("snapshots/"));
	if (entry->protected)
		return fail(-EPERM,
				"%s is protected until %s (for another %s) "
				"by the repository's minimum age; see "
				"'amberfs protect'",
				forget_plan_shown(entry),
				utc_format(until, entry->until),
				age_format(rest, entry->until - plan->now));
	return 0;
}

static bool named_before(const struct forget_plan *plan, const char *object)
{
	for (size_t i = 0; i < plan->count; i++)
		if (strcmp(plan->items[i].object, object) == 0)
			return true;
	return false;
}

static int add_named(struct forget_plan *plan, const char *name)
{
	char object[OBJECT_NAME_MAX] = "";
	struct snapshot *snap = NULL;
	CLEANUP_FREE char *file = NULL;
	int64_t time = 0;
	int err = snapshot_resolve(plan->repo, name, &snap, &file);
	if (err == -EBADMSG) {
		/* A snapshot that can't be read is of no use to anybody. */
		report_warning("%s", error_text(err));
		err = snapshot_resolve_unread(name, object, &time);
	} else if (err == 0 && file != NULL) {
		err = fail(-EINVAL,
				"%s is a file; only whole snapshots can be "
				"forgotten",
				name);
	} else if (err == 0) {
		snprintf(object, sizeof(object), "%s", snap->object);
		time = snap->time;
	}
	if (err < 0 || named_before(plan, object)) {
		snapshot_free(snap);
		return err;
	}
	err = add(plan, snap, object, time);
	if (err < 0)
		return err;
	struct forget_entry *last = &plan->items[plan->count - 1];
	err = check_free(plan, last);
	last->remove = err == 0;
	return err;
}

int forget_plan_names(struct forget_plan *plan, char **names, int count)
{
	for (int i = 0; i < count; i++) {
		int err = add_named(plan, names[i]);
		if (err == -ENOMEM)
			return err;
		if (err < 0) {
			report_failure(err, names[i]);
			plan->failed++;
		}
	}
	return 0;
}

/* --- by policy --- */

static void leave_damaged(void *ctx, const char *object, int err)
{
	struct forget_plan *plan = ctx;
	char shown[SNAPSHOT_SHOWN_MAX];
	plan->damaged++;
	snapshot_shown(shown, object);
	report_json_note(error_code(err), error_text(err), shown);
	report_warning("%s can't be read, so the rules ignore it and it is "
		       "kept: %s",
			shown, error_text(err));
}

/* By number, which is the order in which they were made. */
static int by_number(const void *a, const void *b)
{
	const struct forget_entry *x = a, *y = b;
	if (x->snap->sequence != y->snap->sequence)
		return x->snap->sequence < y->snap->sequence ? -1 : 1;
	return (x->time > y->time) - (x->time < y->time);
}

static int by_time(const void *a, const void *b)
{
	const struct forget_entry *x = a, *y = b;
	return (x->time > y->time) - (x->time < y->time);
}

static int check_clock(const struct forget_plan *plan,
		const struct keep_item *items, size_t count, const char *source)
{
	char now[UTC_TEXT_MAX];
	if (plan->trust_clock
			|| !keep_policy_any_ahead(items, count, plan->now))
		return 0;
	return fail(-ERANGE,
			"%s has snapshots that are dated more than a day ahead "
			"of this machine's clock (%s), so no rule is applied "
			"to it: set the clock, or if it is right, forget them "
			"by name or add --trust-clock",
			NAME_SHOWN(source), utc_format(now, plan->now));
}

static int apply_rules(struct forget_plan *plan, struct forget_entry *entries,
		size_t count)
{
	const char *source = entries[0].snap->source;
	CLEANUP_FREE struct keep_item *items = calloc(count, sizeof(*items));
	CLEANUP_FREE struct keep_verdict *verdicts =
			calloc(count, sizeof(*verdicts));
	bool any = false;
	if (items == NULL || verdicts == NULL)
		return fail_no_memory("applying the rules");
	for (size_t i = 0; i < count; i++)
		items[i] = (struct keep_item){ entries[i].time,
			snapshot_is_complete(entries[i].snap),
			entries[i].snap->arrived };
	int err = check_clock(plan, items, count, source);
	if (err == 0)
		err = keep_policy_apply(&plan->policy, items, count, plan->now,
				verdicts);
	if (err < 0)
		return err;
	for (size_t i = 0; i < count; i++) {
		struct forget_entry *entry = &entries[i];
		entry->verdict = verdicts[i];
		any = any || verdicts[i].rules != 0;
		entry->remove = verdicts[i].rules == 0 && !entry->pinned
				&& !entry->protected;
	}
	return any ? 0
		   : fail(-EINVAL, "the rules would keep nothing of %s",
				   NAME_SHOWN(source));
}

/* Snapshots FROM up to the end are all of one source. */
static int decide(struct forget_plan *plan, size_t from)
{
	struct forget_entry *entries = plan->items + from;
	size_t count = plan->count - from;
	qsort(entries, count, sizeof(*entries), by_number);
	int err = apply_rules(plan, entries, count);
	qsort(entries, count, sizeof(*entries), by_time);
	if (err != -ERANGE)
		return err;
	report_failure(err, NAME_SHOWN(entries->snap->source));
	plan->failed++;
	for (size_t i = 0; i < count; i++)
		entries[i].refused = true;
	return 0;
}

static int add_sources(struct forget_plan *plan, const char *source)
{
	struct snapshot_list l = { 0 };
	unsigned damaged = plan->damaged;
	size_t from = plan->count;
	int err = snapshot_list_load(plan->repo, source, &l, leave_damaged,
			plan);
	if (err == 0 && source != NULL && l.count == 0
			&& plan->damaged == damaged)
		err = fail(-ENOENT,
				"no snapshots of source %s; with --keep-... "
				"rules, name sources as 'amberfs list' shows "
				"them",
				NAME_SHOWN(source));
	for (size_t i = 0; err == 0 && i < l.count; i++) {
		struct snapshot *snap = take_ptr(l.items[i]);
		bool last = i + 1 == l.count
				|| strcmp(snap->source, l.items[i + 1]->source)
						!= 0;
		err = add(plan, snap, snap->object, snap->time);
		if (err == 0 && last) {
			err = decide(plan, from);
			from = plan->count;
		}
	}
	snapshot_list_clear(&l);
	return err;
}

static bool planned_before(const struct forget_plan *plan, const char *source)
{
	for (size_t i = 0; i < plan->count; i++)
		if (strcmp(plan->items[i].snap->source, source) == 0)
			return true;
	return false;
}

int forget_plan_sources(struct forget_plan *plan, char **names, int count)
{
	if (count == 0)
		return add_sources(plan, NULL);
	for (int i = 0; i < count; i++) {
		CLEANUP_FREE char *source = snapshot_resolve_source(names[i]);
		if (source == NULL)
			return fail_no_memory("listing snapshots");
		if (planned_before(plan, source))
			continue;
		int err = add_sources(plan, source);
		if (err < 0 && err != -ENOENT)
			return err;
		if (err < 0) {
			report_failure(err, names[i]);
			plan->failed++;
		}
	}
	return 0;
}
