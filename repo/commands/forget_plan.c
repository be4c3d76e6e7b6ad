/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which snapshots go: those named, or those that no rule keeps. Pins and the
 * least age hold for both. Nothing is deleted here.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/units.h"
#include "forget.h"

const char *forget_plan_shown(const struct forget_entry *e)
{
	return e->object + strlen("snapshots/");
}

int forget_plan_begin(struct forget_plan *p)
{
	p->now = time(NULL);
	int err = min_age_load(p->repo, &p->retention);
	if (err == 0)
		err = pins_load(p->repo, &p->pins);
	if (err == 0)
		min_age_check_clock(p->repo);
	return err;
}

void forget_plan_clear(struct forget_plan *p)
{
	for (size_t i = 0; i < p->count; i++) {
		snapshot_free(p->items[i].snap);
		free(p->items[i].object);
	}
	free(p->items);
	pins_clear(&p->pins);
	min_age_clear(&p->retention);
	p->items = NULL;
	p->count = p->room = 0;
}

/* Takes SNAP (may be NULL) over, also on failure. */
static int add(struct forget_plan *p, struct snapshot *snap,
		const char *object, int64_t time)
{
	if (p->count == p->room) {
		size_t room = p->room ? 2 * p->room : 64;
		struct forget_entry *more = reallocarray(p->items, room,
				sizeof(*more));
		if (more == NULL) {
			snapshot_free(snap);
			return fail_errno(-ENOMEM, "listing snapshots");
		}
		p->items = more;
		p->room = room;
	}
	struct forget_entry e = { .snap = snap, .object = strdup(object),
		.time = time, .pinned = pins_have(&p->pins, object),
		.protected = min_age_protects(&p->retention, time, p->now),
		.until = min_age_until(&p->retention, time) };
	if (e.object == NULL) {
		snapshot_free(snap);
		return fail_errno(-ENOMEM, "listing snapshots");
	}
	p->items[p->count++] = e;
	return 0;
}

/* --- by name --- */

/* 0, or an error that says what to do. */
static int check_free(const struct forget_plan *p, const struct forget_entry *e)
{
	char until[UTC_TEXT_MAX], rest[SIZE_TEXT_MAX];
	if (e->pinned)
		return fail(-EPERM, "%s is pinned; to let it go: amberfs unpin "
				"%s %s", forget_plan_shown(e),
				store_path(p->repo->store), forget_plan_shown(e));
	if (e->protected)
		return fail(-EPERM, "%s is protected until %s (for another %s) "
				"by this repository's least age; 'amberfs "
				"protect' shows it", forget_plan_shown(e),
				utc_format(until, e->until),
				age_format(rest, e->until - p->now));
	return 0;
}

static bool named_before(const struct forget_plan *p, const char *object)
{
	for (size_t i = 0; i < p->count; i++)
		if (strcmp(p->items[i].object, object) == 0)
			return true;
	return false;
}

static int add_named(struct forget_plan *p, const char *name)
{
	char object[OBJECT_NAME_MAX] = "";
	struct snapshot *s = NULL;
	CLEANUP_FREE char *file = NULL;
	int64_t time = 0;
	int err = snapshot_resolve(p->repo, name, &s, &file);
	if (err == -EBADMSG) {
		/* What can't be read any more is no use to anybody. */
		report_warning("%s", error_text(err));
		err = snapshot_resolve_unread(name, object, &time);
	} else if (err == 0 && file != NULL) {
		err = fail(-EINVAL, "%s names a file; only whole snapshots can be "
				  "forgotten", name);
	} else if (err == 0) {
		snprintf(object, sizeof(object), "%s", s->object);
		time = s->time;
	}
	if (err < 0 || named_before(p, object)) {
		snapshot_free(s);
		return err;
	}
	err = add(p, s, object, time);
	if (err < 0)
		return err;
	struct forget_entry *last = &p->items[p->count - 1];
	err = check_free(p, last);
	last->remove = err == 0;
	return err;
}

int forget_plan_names(struct forget_plan *p, char **names, int count)
{
	for (int i = 0; i < count; i++) {
		int err = add_named(p, names[i]);
		if (err == -ENOMEM)
			return err;
		if (err < 0) {
			report_error("%s", error_text(err));
			p->failed++;
		}
	}
	return 0;
}

/* --- by policy --- */

static void leave_damaged(void *ctx, const char *object, int err)
{
	struct forget_plan *p = ctx;
	p->damaged++;
	report_warning("%s can't be read, so no rule looks at it and it stays: %s",
			object + strlen("snapshots/"), error_text(err));
}

/* Snapshots FROM up to the end are all of one source. */
static int decide(struct forget_plan *p, size_t from)
{
	size_t count = p->count - from;
	CLEANUP_FREE int64_t *times = calloc(count + 1, sizeof(*times));
	CLEANUP_FREE struct keep_verdict *v = calloc(count + 1, sizeof(*v));
	bool any = false;
	if (times == NULL || v == NULL)
		return fail_errno(-ENOMEM, "applying the rules");
	for (size_t i = 0; i < count; i++)
		times[i] = p->items[from + i].time;
	keep_policy_apply(&p->policy, times, count, v);
	for (size_t i = 0; i < count; i++) {
		struct forget_entry *e = &p->items[from + i];
		e->verdict = v[i];
		any = any || v[i].rules != 0;
		e->remove = v[i].rules == 0 && !e->pinned && !e->protected;
	}
	if (any)
		return 0;
	return fail(-EINVAL, "the rules would keep nothing of %s",
			p->items[from].snap->source);
}

static int add_sources(struct forget_plan *p, const char *source)
{
	struct snapshot_list l = { 0 };
	unsigned damaged = p->damaged;
	size_t from = p->count;
	int err = snapshot_list_load(p->repo, source, &l, leave_damaged, p);
	if (err == 0 && source != NULL && l.count == 0 && p->damaged == damaged)
		err = fail(-ENOENT, "there is no snapshot of a source %s; with "
				"--keep-... rules, name sources, as 'amberfs "
				"list' shows them", source);
	for (size_t i = 0; err == 0 && i < l.count; i++) {
		struct snapshot *s = take_ptr(l.items[i]);
		bool last = i + 1 == l.count ||
			    strcmp(s->source, l.items[i + 1]->source) != 0;
		err = add(p, s, s->object, s->time);
		if (err == 0 && last) {
			err = decide(p, from);
			from = p->count;
		}
	}
	snapshot_list_clear(&l);
	return err;
}

static bool planned_before(const struct forget_plan *p, const char *source)
{
	for (size_t i = 0; i < p->count; i++)
		if (strcmp(p->items[i].snap->source, source) == 0)
			return true;
	return false;
}

int forget_plan_sources(struct forget_plan *p, char **names, int count)
{
	if (count == 0)
		return add_sources(p, NULL);
	for (int i = 0; i < count; i++) {
		CLEANUP_FREE char *source = snapshot_resolve_source(names[i]);
		if (source == NULL)
			return fail_errno(-ENOMEM, "listing snapshots");
		if (planned_before(p, source))
			continue;
		int err = add_sources(p, source);
		if (err < 0 && err != -ENOENT)
			return err;
		if (err < 0) {
			report_error("%s", error_text(err));
			p->failed++;
		}
	}
	return 0;
}
