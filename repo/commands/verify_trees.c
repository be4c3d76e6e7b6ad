/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every tree of the snapshots, the newest first; what is bad is reported in
 * runs of adjacent bytes with the same cause. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/snapshot/snapshot_list.h"
#include "repo/snapshot/snapshot_resolve.h"
#include "verify.h"

/* A run of bad bytes, reported as one. */
struct bad_run {
	struct verify *verify;
	const struct snapshot *snap;
	const struct snapshot_file *file;
	uint64_t from, to; /* to 0: none */
	int err;
	char text[512];
};

static bool is_forgotten(struct verify *verify, const struct snapshot *snap)
{
	uint64_t size;
	return store_size(verify->store, snap->object, &size) == -ENOENT;
}

/* What a forgotten snapshot lacks is no problem: prune removed it. */
static void report_run(struct bad_run *run)
{
	if (run->to == 0)
		return;
	char shown[SNAPSHOT_SHOWN_MAX];
	snapshot_shown(shown, run->snap->object);
	if (!is_forgotten(run->verify, run->snap))
		verify_problem(run->verify, run->err, shown,
				"snapshot %s, %s, bytes %" PRIu64 " to %" PRIu64
				": %s",
				shown, run->file->name, run->from, run->to - 1,
				run->text);
	run->to = 0;
	run->text[0] = '\0';
}

static int note_fault(void *ctx, const struct tree_fault *fault)
{
	struct bad_run *run = ctx;
	char text[sizeof(run->text)];
	snprintf(text, sizeof(text), "%.500s", error_text(fault->err));
	if (run->file != fault->file || run->to != fault->offset
			|| strcmp(run->text, text) != 0) {
		report_run(run);
		run->snap = fault->snap;
		run->file = fault->file;
		run->from = fault->offset;
		run->err = fault->err;
		memcpy(run->text, text, sizeof(run->text));
	}
	run->to = fault->offset + fault->len;
	return 0;
}

static void bad_snapshot(void *ctx, const char *object, int err)
{
	char shown[SNAPSHOT_SHOWN_MAX];
	verify_problem(ctx, err, snapshot_shown(shown, object), "%s: %s",
			object, error_text(err));
}

/* The roots of SNAP that are still to be walked; *COUNT of them, malloc'ed. */
static struct id *roots_to_walk(const struct check_trees *check,
		const struct snapshot *snap, size_t *count)
{
	struct id *roots = calloc(snap->file_count + 1, sizeof(*roots));
	*count = 0;
	for (uint32_t i = 0; roots != NULL && i < snap->file_count; i++)
		if (!id_set_contains(check->sound, &snap->files[i].root.id))
			roots[(*count)++] = snap->files[i].root.id;
	return roots;
}

/* Publishes what is about to be walked, so that no prune removes it
 * meanwhile. */
static int stand_on(struct verify *verify, const struct id *roots,
		size_t *count)
{
	if (verify->session == NULL || *count == 0) {
		*count = 0;
		return 0;
	}
	int err = session_add_roots(verify->session, roots, *count);
	if (!session_unwritable(err))
		return err;
	/* A full disk is treated like a read-only repository. */
	report_warning("%s; a prune running meanwhile may look like damage",
			error_text(err));
	*count = 0;
	return 0;
}

/* One snapshot; its runs must be reported before it is freed. One that was
 * forgotten meanwhile is passed over. */
static int check_one(struct check_trees *check, struct verify *verify,
		const struct snapshot *snap)
{
	size_t count;
	CLEANUP_FREE struct id *roots = roots_to_walk(check, snap, &count);
	if (roots == NULL)
		return fail_no_memory("checking trees");
	int err = stand_on(verify, roots, &count);
	/* The snapshot's existence counts only once it is published. */
	if (err == 0 && !is_forgotten(verify, snap))
		err = check_trees_snapshot(check, snap);
	report_run(check->ctx);
	if (count != 0)
		session_leave_later(verify->session, roots, count);
	return err;
}

static int check_list(struct check_trees *check, struct verify *verify,
		const char *spec)
{
	struct snapshot_list all;
	struct snapshot *one;
	int err;
	if (spec != NULL) {
		err = snapshot_resolve(verify->repo, spec, &one, NULL);
		if (err < 0)
			return err;
		err = check_one(check, verify, one);
		if (err == 0 && verify->counts.snapshots == 0)
			err = fail(-ENOENT, "snapshot %s was removed meanwhile",
					spec);
		snapshot_free(one);
		return err;
	}
	err = snapshot_list_load(verify->repo, NULL, &all, bad_snapshot,
			verify);
	if (err < 0)
		return err;
	/* The newest first: their problems matter most. */
	for (size_t i = all.count; err == 0 && i-- > 0;)
		err = check_one(check, verify, all.items[i]);
	snapshot_list_clear(&all);
	return err;
}

int verify_trees(struct verify *verify, const char *snapshot)
{
	struct bad_run run = { .verify = verify };
	struct check_trees c = { .repo = verify->repo,
		.counts = &verify->counts,
		.fault = note_fault,
		.ctx = &run };
	int err = check_trees_begin(&c);
	if (err == 0)
		err = check_list(&c, verify, snapshot);
	check_trees_end(&c);
	return err;
}
