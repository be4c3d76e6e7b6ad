/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every tree of the snapshots, the newest first; what is bad is reported in
 * runs of adjacent bytes with the same cause. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/error.h"
#include "verify.h"

/* A run of bad bytes, reported as one. */
struct bad_run {
	struct verify *verify;
	const struct snapshot *snap;
	const struct snapshot_file *file;
	uint64_t from, to;	/* to 0: none */
	char text[512];
};

static void report_run(struct bad_run *b)
{
	if (b->to == 0)
		return;
	verify_problem(b->verify,
			"snapshot %s, %s, bytes %" PRIu64 " to %" PRIu64 ": %s",
			b->snap->object + strlen("snapshots/"), b->file->name,
			b->from, b->to - 1, b->text);
	b->to = 0;
	b->text[0] = '\0';
}

static int note_fault(void *ctx, const struct tree_fault *f)
{
	struct bad_run *b = ctx;
	const char *text = error_text(f->err);
	if (b->file != f->file || b->to != f->offset
			|| strcmp(b->text, text) != 0) {
		report_run(b);
		b->snap = f->snap;
		b->file = f->file;
		b->from = f->offset;
		snprintf(b->text, sizeof(b->text), "%.500s", text);
	}
	b->to = f->offset + f->len;
	return 0;
}

static void bad_snapshot(void *ctx, const char *object, int err)
{
	verify_problem(ctx, "%s: %s", object, error_text(err));
}

/* One snapshot; its runs must be reported before it is freed. */
static int check_one(struct tree_check *c, const struct snapshot *s)
{
	int e = tree_check_snapshot(c, s);
	report_run(c->ctx);
	return e;
}

static int check_list(struct tree_check *c, struct verify *v, const char *spec)
{
	struct snapshot_list all;
	struct snapshot *one;
	int e;
	if (spec != NULL) {
		e = snapshot_resolve(v->repo, spec, &one, NULL);
		if (e < 0)
			return e;
		e = check_one(c, one);
		snapshot_free(one);
		return e;
	}
	e = snapshot_list_load(v->repo, NULL, &all, bad_snapshot, v);
	if (e < 0)
		return e;
	/* The newest first: their problems matter most. */
	for (size_t i = all.count; e == 0 && i-- > 0;)
		e = check_one(c, all.items[i]);
	snapshot_list_clear(&all);
	return e;
}

int verify_trees(struct verify *v, const char *snapshot)
{
	struct bad_run run = { .verify = v };
	struct tree_check c = { .repo = v->repo, .counts = &v->counts,
		.fault = note_fault, .ctx = &run };
	int e = tree_check_begin(&c);
	if (e == 0)
		e = check_list(&c, v, snapshot);
	tree_check_end(&c);
	return e;
}
