/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every tree of the snapshots, the newest first; what is bad is reported in
 * runs of adjacent bytes with the same cause. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "verify.h"

/* A run of bad bytes, reported as one. */
struct bad_run {
	struct verify *verify;
	const struct snapshot *snap;
	const struct snapshot_file *file;
	uint64_t from, to;	/* to 0: none */
	char text[512];
};

static bool is_forgotten(struct verify *v, const struct snapshot *s)
{
	uint64_t size;
	return store_size(v->store, s->object, &size) == -ENOENT;
}

/* What a forgotten snapshot lacks is no problem: a prune took it. */
static void report_run(struct bad_run *b)
{
	if (b->to == 0)
		return;
	if (!is_forgotten(b->verify, b->snap))
		verify_problem(b->verify,
				"snapshot %s, %s, bytes %" PRIu64 " to %" PRIu64
				": %s",
				b->snap->object + strlen("snapshots/"),
				b->file->name, b->from, b->to - 1, b->text);
	b->to = 0;
	b->text[0] = '\0';
}

static int note_fault(void *ctx, const struct tree_fault *f)
{
	struct bad_run *b = ctx;
	char text[sizeof(b->text)];
	snprintf(text, sizeof(text), "%.500s", error_text(f->err));
	if (b->file != f->file || b->to != f->offset
			|| strcmp(b->text, text) != 0) {
		report_run(b);
		b->snap = f->snap;
		b->file = f->file;
		b->from = f->offset;
		memcpy(b->text, text, sizeof(b->text));
	}
	b->to = f->offset + f->len;
	return 0;
}

static void bad_snapshot(void *ctx, const char *object, int err)
{
	verify_problem(ctx, "%s: %s", object, error_text(err));
}

/* The roots of S that are still to be walked; *COUNT of them, malloc'ed. */
static struct id *roots_to_walk(const struct check_trees *c,
		const struct snapshot *s, size_t *count)
{
	struct id *roots = calloc(s->file_count + 1, sizeof(*roots));
	*count = 0;
	for (uint32_t i = 0; roots && i < s->file_count; i++)
		if (!id_set_contains(c->sound, &s->files[i].root.id))
			roots[(*count)++] = s->files[i].root.id;
	return roots;
}

/* Publishes what is going to be walked, so that no prune takes it meanwhile. */
static int stand_on(struct verify *v, const struct id *roots, size_t *count)
{
	if (v->session == NULL || *count == 0) {
		*count = 0;
		return 0;
	}
	int err = session_add_roots(v->session, roots, *count);
	if (!session_unwritable(err))
		return err;
	/* A full disk: as for one who can't write there. */
	report_warning("%s; a prune meanwhile may look like damage",
			error_text(err));
	*count = 0;
	return 0;
}

/* One snapshot; its runs must be reported before it is freed. One that was
 * forgotten meanwhile is passed over. */
static int check_one(struct check_trees *c, struct verify *v,
		const struct snapshot *s)
{
	size_t count;
	CLEANUP_FREE struct id *roots = roots_to_walk(c, s, &count);
	if (roots == NULL)
		return fail_errno(-ENOMEM, "checking trees");
	int err = stand_on(v, roots, &count);
	/* Only now does it count that the snapshot is there. */
	if (err == 0 && !is_forgotten(v, s))
		err = check_trees_snapshot(c, s);
	report_run(c->ctx);
	if (count != 0)
		session_leave_later(v->session, roots, count);
	return err;
}

static int check_list(struct check_trees *c, struct verify *v, const char *spec)
{
	struct snapshot_list all;
	struct snapshot *one;
	int err;
	if (spec != NULL) {
		err = snapshot_resolve(v->repo, spec, &one, NULL);
		if (err < 0)
			return err;
		err = check_one(c, v, one);
		if (err == 0 && v->counts.snapshots == 0)
			err = fail(-ENOENT, "snapshot %s was removed meanwhile",
					spec);
		snapshot_free(one);
		return err;
	}
	err = snapshot_list_load(v->repo, NULL, &all, bad_snapshot, v);
	if (err < 0)
		return err;
	/* The newest first: their problems matter most. */
	for (size_t i = all.count; err == 0 && i-- > 0;)
		err = check_one(c, v, all.items[i]);
	snapshot_list_clear(&all);
	return err;
}

int verify_trees(struct verify *v, const char *snapshot)
{
	struct bad_run run = { .verify = v };
	struct check_trees c = { .repo = v->repo, .counts = &v->counts,
		.fault = note_fault, .ctx = &run };
	int err = check_trees_begin(&c);
	if (err == 0)
		err = check_list(&c, v, snapshot);
	check_trees_end(&c);
	return err;
}
