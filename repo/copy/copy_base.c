/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What both repositories have of one source, and the base: the copied snapshot
 * nearest before the one to be copied, else the nearest after it. It counts
 * only while both sides have it: the first for its ids, the second for its
 * spans.
 */
#include <errno.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "copy.h"

static int no_memory(void)
{
	return fail_errno(-ENOMEM, "copying snapshots");
}

/* One that is damaged is no base; whether it is in the way shows when a
 * snapshot is to take its place. */
static void pass_over(void *ctx, const char *object, int err)
{
	const struct copy *c = ctx;
	(void)c;
	report_verbose("%s: %s", object, error_text(err));
}

int copy_base_load_source(struct copy *c, const char *source)
{
	if (c->source != NULL && strcmp(c->source, source) == 0)
		return 0;
	snapshot_list_clear(&c->here);
	snapshot_list_clear(&c->there);
	free(take_ptr(c->source));
	int err = snapshot_list_load(c->from, source, &c->here, pass_over, c);
	if (err == 0)
		err = snapshot_list_load(c->to.repo, source, &c->there,
				pass_over, c);
	if (err < 0)
		return err;
	c->source = strdup(source);
	return c->source ? 0 : no_memory();
}

const struct snapshot *copy_base_counterpart(const struct copy *c,
		const struct snapshot *snap)
{
	for (size_t i = 0; i < c->there.count; i++)
		if (c->there.items[i]->time == snap->time)
			return c->there.items[i];
	return NULL;
}

struct id copy_base_predecessor(const struct copy *c, const struct snapshot *snap)
{
	struct id found = { { 0 } };
	for (size_t i = 0; i < c->there.count; i++)
		if (c->there.items[i]->time < snap->time)
			found = c->there.items[i]->id;
	return found;
}

/* The snapshot of FROM that THERE is a copy of, or NULL. */
static const struct snapshot *original_of(const struct copy *c,
		const struct snapshot *there)
{
	for (size_t i = 0; i < c->here.count; i++)
		if (snapshot_object_is_copy(c->from, c->here.items[i], c->to.repo,
				    there))
			return c->here.items[i];
	return NULL;
}

static void choose(const struct copy *c, const struct snapshot *snap,
		struct copy_base *out)
{
	for (size_t i = 0; i < c->there.count; i++) {
		const struct snapshot *to = c->there.items[i];
		const struct snapshot *from = original_of(c, to);
		if (from == NULL)
			continue;
		/* By time: the last before it, or the first after it. */
		if (to->time > snap->time && out->to != NULL)
			return;
		out->to = to;
		out->from = from;
	}
}

/* Publishes S's roots in SESSION (NULL: not at all), then looks at it again.
 * 1 it is there, 0 it was forgotten just before. */
static int publish(struct repository *r, struct session *session,
		const struct snapshot *s, struct id **roots, uint32_t *count)
{
	*roots = calloc(s->file_count + 1, sizeof(**roots));
	if (*roots == NULL)
		return no_memory();
	for (uint32_t i = 0; i < s->file_count; i++)
		(*roots)[i] = s->files[i].root.id;
	if (session != NULL) {
		int err = session_add_roots(session, *roots, s->file_count);
		if (err < 0)
			return err;
		*count = s->file_count;
	}
	if (snapshot_object_exists(r, s) == 0)
		return 1;
	/* Nobody may take what is gone for something in use. */
	if (session != NULL)
		session_leave_all(session, *roots, *count);
	*count = 0;
	return 0;
}

int copy_base_find(struct copy *c, const struct snapshot *snap,
		struct copy_base *out)
{
	*out = (struct copy_base){ 0 };
	choose(c, snap, out);
	if (out->to == NULL)
		return 0;
	int err = publish(c->to.repo, c->to.session, out->to, &out->to_roots,
			&out->to_count);
	if (err == 1)
		err = publish(c->from, c->reading, out->from, &out->from_roots,
				&out->from_count);
	if (err != 1)
		out->from = out->to = NULL;
	return err < 0 ? err : 0;
}

void copy_base_leave(struct copy *c, struct copy_base *b)
{
	if (b->to_count != 0)
		session_leave_later(c->to.session, b->to_roots, b->to_count);
	if (b->from_count != 0)
		session_leave_later(c->reading, b->from_roots, b->from_count);
	free(b->to_roots);
	free(b->from_roots);
	*b = (struct copy_base){ 0 };
}
