/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A run, and one snapshot of it:
 *
 *	1 in FROM: the roots are published, then the snapshot is looked at
 *	  again: from here on no prune takes its chunks
 *	2 in TO: the same with the base's roots
 *	3 each file is taken over, or read where it differs, and stored
 *	4 durable packs, our session, the snapshot, our session (snapshot_writer.c)
 *
 * What a killed run has stored is found again by the next one; the snapshots
 * that it finished are recognised by their origin.
 */
#include "copy.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"
#include "repo/snapshot/snapshot_commit.h"
#include "repo/snapshot/snapshot_object.h"

#define FRAME_CACHE ((uint64_t)64 << 20)

static int begin_reading(struct copy *copy)
{
	struct image_reader_options ro = { .cache_size = FRAME_CACHE };
	int err = session_begin(&copy->reading, copy->from, SESSION_READ,
			"copy");
	if (session_unwritable(err)) {
		report_warning("%s is not writable, so this copy can't "
			       "register a session there: a prune there "
			       "meanwhile may break it",
				store_path(copy->from->store));
		err = 0;
	}
	return err < 0 ? err
		       : image_reader_new(&copy->reader, copy->from->packs,
				       &ro);
}

int copy_begin(struct copy *copy, struct repository *from,
		struct repository *repo, const struct copy_options *options)
{
	const struct snapshot_writer_options so = { .activity = "copy",
		.workers = options->workers,
		.bwlimit = options->bwlimit };
	*copy = (struct copy){ .from = from,
		.adopt = options->adopt,
		.max_expansion = options->max_expansion };
	if (memcmp(from->config.repo_id, repo->config.repo_id, REPO_ID_SIZE)
			== 0)
		return fail(-EINVAL,
				"%s and %s are the same repository; copy to "
				"one made by 'amberfs init'",
				store_path(from->store),
				store_path(repo->store));
	copy->memo = copy_memo_new();
	if (copy->memo == NULL)
		return fail_no_memory("starting to copy");
	int err = begin_reading(copy);
	return err < 0 ? err : snapshot_writer_begin(&copy->to, repo, &so);
}

void copy_end(struct copy *copy)
{
	snapshot_writer_end(&copy->to);
	image_reader_free(copy->reader);
	copy_memo_free(copy->memo);
	session_end(copy->reading);
	snapshot_list_clear(&copy->there);
	snapshot_list_clear(&copy->here);
	free(copy->source);
	*copy = (struct copy){ 0 };
}

void copy_progress(void *ctx, struct progress_numbers *now)
{
	struct copy *copy = ctx;
	struct chunk_sink_stats st;
	chunk_sink_stats(copy->to.sink, &st);
	now->done = copy->counts.done;
	now->total = copy->file_size;
	now->all_done = copy->all_done + now->done;
	now->all_total =
			copy->all_total > copy->file_size ? copy->all_total : 0;
	now->fresh = st.new_bytes;
}

/* --- one snapshot --- */

/* Publishes the roots of SNAP in FROM, then looks whether it is still there. */
static int stand_on(struct copy *copy, const struct snapshot *snap,
		struct id **roots)
{
	*roots = calloc(snap->file_count + 1, sizeof(**roots));
	if (*roots == NULL)
		return fail_no_memory("copying a snapshot");
	for (uint32_t i = 0; i < snap->file_count; i++)
		(*roots)[i] = snap->files[i].root.id;
	int err = copy->reading != NULL ? session_add_roots(copy->reading,
				  *roots, snap->file_count)
					: 0;
	if (err < 0) {
		free(take_ptr(*roots));
		return err;
	}
	return snapshot_object_exists(copy->from, snap);
}

/* What is stored of SNAP: the same, but its origin and its place there. */
static int make_record(struct copy *copy, const struct snapshot *snap,
		const struct tree_root *roots, struct snapshot **out)
{
	struct snapshot *snapshot;
	int err = snapshot_object_load(copy->from, snap->object, &snapshot);
	if (err < 0)
		return err;
	if (!id_equal(&snapshot->id, &snap->id)) {
		snapshot_free(snapshot);
		return fail(-ESTALE,
				"another snapshot took its place in the "
				"meantime");
	}
	snapshot->predecessor = copy_base_predecessor(copy, snap);
	snapshot->has_origin = true;
	memcpy(snapshot->origin_repository, copy->from->config.repo_id,
			REPO_ID_SIZE);
	snapshot->origin_snapshot = snap->id;
	snapshot->arrived = time(NULL); /* whatever it says of before */
	for (uint32_t i = 0; i < snapshot->file_count; i++)
		snapshot->files[i].root = roots[i];
	*out = snapshot;
	return 0;
}

/* The list of what is there grows with what is copied, in order of time. */
static int note_copied(struct copy *copy, struct snapshot *made)
{
	struct snapshot_list *list = &copy->there;
	struct snapshot **more = realloc(list->items,
			(list->count + 1) * sizeof(struct snapshot *));
	if (more == NULL) {
		snapshot_free(made);
		return fail_no_memory("copying a snapshot");
	}
	list->items = more;
	size_t at = list->count++;
	for (; at > 0 && more[at - 1]->time > made->time; at--)
		more[at] = more[at - 1];
	more[at] = made;
	return 0;
}

static int copy_files(struct copy *copy, const struct snapshot *snap,
		struct copy_result *out)
{
	struct copy_base base;
	struct snapshot *made = NULL;
	CLEANUP_FREE struct tree_root *roots =
			calloc(snap->file_count + 1, sizeof(*roots));
	if (roots == NULL)
		return fail_no_memory("copying a snapshot");
	int err = copy_base_find(copy, snap, &base);
	for (uint32_t i = 0; err == 0 && i < snap->file_count; i++) {
		err = copy_file(copy, &snap->files[i], &base, &roots[i]);
		if (err < 0)
			err = fail_within(err, "%s", snap->files[i].name);
	}
	if (err == 0)
		err = make_record(copy, snap, roots, &made);
	if (err == 0)
		err = snapshot_writer_barrier(&copy->to);
	/* It was not in TO, so there is no base. */
	if (err == 0 && copy->there.count == 0)
		err = copy_base_reload_source(copy, snap->source);
	if (err == 0)
		err = copy_owner_check(copy, snap);
	if (err == 0)
		err = snapshot_writer_commit(&copy->to, made,
				snapshot_commit_at);
	copy_base_leave(copy, &base);
	if (err < 0 || made == NULL) {
		snapshot_free(made);
		return err;
	}
	out->id = made->id;
	return note_copied(copy, made);
}

/* SNAP's place is taken: by SNAP itself, or by another snapshot. */
static int compare_there(const struct copy *copy, const struct snapshot *snap,
		const struct snapshot *there, struct copy_result *out)
{
	char shown[SNAPSHOT_SHOWN_MAX];
	if (!snapshot_object_is_copy(copy->from, snap, copy->to.repo, there))
		return fail(-EEXIST,
				"%s already has a different snapshot %s; "
				"to replace it, forget it there",
				store_path(copy->to.repo->store),
				snapshot_shown(shown, snap->object));
	out->status = COPY_THERE;
	out->id = there->id;
	return 0;
}

/* The commit found the place taken, perhaps by another copy. */
static int taken_meanwhile(struct copy *copy, const struct snapshot *snap,
		struct copy_result *out)
{
	struct snapshot *there;
	int err = snapshot_object_load(copy->to.repo, snap->object, &there);
	if (err < 0)
		return err;
	err = compare_there(copy, snap, there, out);
	snapshot_free(there);
	return err;
}

static int copy_missing(struct copy *copy, const struct snapshot *snap,
		struct copy_result *out)
{
	struct chunk_sink_stats before, after;
	CLEANUP_FREE struct id *roots = NULL;
	uint64_t read_before = copy->read;
	chunk_sink_stats(copy->to.sink, &before);
	int err = copy_owner_check(copy, snap);
	if (err == 0)
		err = copy_limit_check(copy, snap);
	if (err == 0)
		err = stand_on(copy, snap, &roots);
	if (err == 0)
		err = copy_files(copy, snap, out);
	if (copy->reading != NULL && roots != NULL)
		session_leave_later(copy->reading, roots, snap->file_count);
	chunk_sink_stats(copy->to.sink, &after);
	out->read = copy->read - read_before;
	out->new_bytes = after.new_bytes - before.new_bytes;
	out->stored_bytes = after.stored_bytes - before.stored_bytes;
	return err == -EEXIST ? taken_meanwhile(copy, snap, out) : err;
}

int copy_snapshot(struct copy *copy, const struct snapshot *snap,
		struct copy_result *out)
{
	*out = (struct copy_result){ .status = COPY_DONE };
	uint64_t size;
	int err = copy_base_load_source(copy, snap->source);
	const struct snapshot *there =
			err == 0 ? copy_base_counterpart(copy, snap) : NULL;
	if (there != NULL)
		err = compare_there(copy, snap, there, out);
	else if (err == 0
			&& store_size(copy->to.repo->store, snap->object, &size)
					== 0) /* it can't be read, or came just now */
		err = taken_meanwhile(copy, snap, out);
	else if (err == 0 && time_is_ahead(snap->time, time(NULL)))
		err = fail(-ERANGE,
				"it is dated more than a day ahead of this "
				"machine's clock, and would be the newest "
				"there for long: not copied");
	else if (err == 0)
		err = copy_missing(copy, snap, out);
	if (err < 0)
		out->status = COPY_FAILED;
	return err;
}
