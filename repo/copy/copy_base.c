/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What both repositories have of one source, and the base: the copied snapshot
 * nearest before the one to be copied, else the nearest after it. It counts
 * only while both sides have it: the first for its ids, the second for its
 * spans.
 */
#include <errno.h>
#include <string.h>

#include "copy.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/snapshot/snapshot_list.h"
#include "repo/snapshot/snapshot_object.h"

/* A damaged one can't be a base; whether it is in the way shows when a snapshot
 * is to take its place. */
static void pass_over(void *ctx, const char *object, int err)
{
	const struct copy *copy = ctx;
	(void)copy;
	report_verbose("%s: %s", object, error_text(err));
}

int copy_base_reload_source(struct copy *copy, const char *source)
{
	snapshot_list_clear(&copy->here);
	snapshot_list_clear(&copy->there);
	free(take_ptr(copy->source));
	int err = snapshot_list_load(copy->from, source, &copy->here, pass_over,
			copy);
	if (err < 0)
		return err;
	err = snapshot_list_load(copy->to.repo, source, &copy->there, pass_over,
			copy);
	if (err < 0)
		return err;
	copy->source = strdup(source);
	return copy->source != NULL ? 0 : fail_no_memory("copying snapshots");
}

int copy_base_load_source(struct copy *copy, const char *source)
{
	return copy->source != NULL && strcmp(copy->source, source) == 0
			? 0
			: copy_base_reload_source(copy, source);
}

const struct snapshot *copy_base_counterpart(const struct copy *copy,
		const struct snapshot *snap)
{
	for (size_t i = 0; i < copy->there.count; i++)
		if (copy->there.items[i]->time == snap->time)
			return copy->there.items[i];
	return NULL;
}

struct id copy_base_predecessor(const struct copy *copy,
		const struct snapshot *snap)
{
	struct id found = { { 0 } };
	for (size_t i = 0; i < copy->there.count; i++)
		if (copy->there.items[i]->time < snap->time)
			found = copy->there.items[i]->id;
	return found;
}

/* The snapshot of FROM that THERE is a copy of, or NULL. */
static const struct snapshot *original_of(const struct copy *copy,
		const struct snapshot *there)
{
	for (size_t i = 0; i < copy->here.count; i++)
		if (snapshot_object_is_copy(copy->from, copy->here.items[i],
				    copy->to.repo, there))
			return copy->here.items[i];
	return NULL;
}

static void choose(const struct copy *copy, const struct snapshot *snap,
		struct copy_base *out)
{
	for (size_t i = 0; i < copy->there.count; i++) {
		const struct snapshot *to = copy->there.items[i];
		const struct snapshot *from = original_of(copy, to);
		if (from == NULL)
			continue;
		/* By time: the last before it, or the first after it. */
		if (to->time > snap->time && out->to != NULL)
			return;
		out->to = to;
		out->from = from;
	}
}

/* Publishes SNAP's roots in SESSION (NULL: not at all), then looks at it again.
 * 1 it is there, 0 it was forgotten just before. */
static int publish(struct repository *repo, struct session *session,
		const struct snapshot *snap, struct id **roots, uint32_t *count)
{
	*roots = calloc(snap->file_count + 1, sizeof(**roots));
	if (*roots == NULL)
		return fail_no_memory("copying snapshots");
	for (uint32_t i = 0; i < snap->file_count; i++)
		(*roots)[i] = snap->files[i].root.id;
	if (session != NULL) {
		int err = session_add_roots(session, *roots, snap->file_count);
		if (err < 0)
			return err;
		*count = snap->file_count;
	}
	if (snapshot_object_exists(repo, snap) == 0)
		return 1;
	/* What is gone must not appear to be in use. */
	if (session != NULL)
		session_leave_all(session, *roots, *count);
	*count = 0;
	return 0;
}

int copy_base_find(struct copy *copy, const struct snapshot *snap,
		struct copy_base *out)
{
	*out = (struct copy_base){ 0 };
	choose(copy, snap, out);
	if (out->to == NULL)
		return 0;
	int err = publish(copy->to.repo, copy->to.session, out->to,
			&out->to_roots, &out->to_count);
	if (err == 1)
		err = publish(copy->from, copy->reading, out->from,
				&out->from_roots, &out->from_count);
	if (err != 1)
		out->from = out->to = NULL;
	return err < 0 ? err : 0;
}

void copy_base_leave(struct copy *copy, struct copy_base *base)
{
	if (base->to_count != 0)
		session_leave_later(copy->to.session, base->to_roots,
				base->to_count);
	if (base->from_count != 0)
		session_leave_later(copy->reading, base->from_roots,
				base->from_count);
	free(base->to_roots);
	free(base->from_roots);
	*base = (struct copy_base){ 0 };
}
