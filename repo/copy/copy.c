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

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"

#define FRAME_CACHE ((uint64_t)64 << 20)

static int begin_reading(struct copy *c)
{
	struct image_reader_options ro = { .cache_size = FRAME_CACHE };
	int err = session_begin(&c->reading, c->from, SESSION_READ, "copy");
	if (session_unwritable(err)) {
		report_warning("%s can't be written, so nobody sees this copy: a "
			       "prune there meanwhile may break it",
				store_path(c->from->store));
		err = 0;
	}
	return err < 0 ? err : image_reader_new(&c->reader, c->from->packs, &ro);
}

int copy_begin(struct copy *c, struct repository *from, struct repository *to,
		const struct copy_options *o)
{
	const struct snapshot_writer_options so = { .activity = "copy",
		.workers = o->workers, .bwlimit = o->bwlimit };
	*c = (struct copy){ .from = from };
	if (memcmp(from->config.repo_id, to->config.repo_id, REPO_ID_SIZE) == 0)
		return fail(-EINVAL,
				"%s and %s are the same repository; a copy needs one "
				"made by 'amberfs init'",
				store_path(from->store), store_path(to->store));
	int err = begin_reading(c);
	return err < 0 ? err : snapshot_writer_begin(&c->to, to, &so);
}

void copy_end(struct copy *c)
{
	snapshot_writer_end(&c->to);
	image_reader_free(c->reader);
	session_end(c->reading);
	snapshot_list_clear(&c->there);
	snapshot_list_clear(&c->here);
	free(c->source);
	*c = (struct copy){ 0 };
}

void copy_progress(void *ctx, struct progress_numbers *now)
{
	struct copy *c = ctx;
	struct chunk_sink_stats st;
	chunk_sink_stats(c->to.sink, &st);
	now->done = c->counts.done;
	now->total = c->file_size;
	now->all_done = c->all_done + now->done;
	now->all_total = c->all_total > c->file_size ? c->all_total : 0;
	now->fresh = st.new_bytes;
}

/* --- one snapshot --- */

static int no_memory(void)
{
	return fail_errno(-ENOMEM, "copying a snapshot");
}

/* Publishes the roots of SNAP in FROM, then looks whether it is still there. */
static int stand_on(struct copy *c, const struct snapshot *snap,
		struct id **roots)
{
	*roots = calloc(snap->file_count + 1, sizeof(**roots));
	if (*roots == NULL)
		return no_memory();
	for (uint32_t i = 0; i < snap->file_count; i++)
		(*roots)[i] = snap->files[i].root.id;
	int err = c->reading ? session_add_roots(c->reading, *roots,
						 snap->file_count)
			   : 0;
	if (err < 0) {
		free(take_ptr(*roots));
		return err;
	}
	return snapshot_object_exists(c->from, snap);
}

/* What is stored of SNAP: the same, but its origin and its place there. */
static int make_record(struct copy *c, const struct snapshot *snap,
		const struct tree_root *roots, struct snapshot **out)
{
	struct snapshot *s;
	int err = snapshot_object_load(c->from, snap->object, &s);
	if (err < 0)
		return err;
	if (!id_equal(&s->id, &snap->id)) {
		snapshot_free(s);
		return fail(-ESTALE, "another snapshot took its place meanwhile");
	}
	s->predecessor = copy_base_predecessor(c, snap);
	s->has_origin = true;
	memcpy(s->origin_repository, c->from->config.repo_id, REPO_ID_SIZE);
	s->origin_snapshot = snap->id;
	for (uint32_t i = 0; i < s->file_count; i++)
		s->files[i].root = roots[i];
	*out = s;
	return 0;
}

/* The list of what is there grows with what is copied, in order of time. */
static int note_copied(struct copy *c, struct snapshot *made)
{
	struct snapshot_list *l = &c->there;
	struct snapshot **more = realloc(l->items,
			(l->count + 1) * sizeof(struct snapshot *));
	if (more == NULL) {
		snapshot_free(made);
		return no_memory();
	}
	l->items = more;
	size_t at = l->count++;
	for (; at > 0 && more[at - 1]->time > made->time; at--)
		more[at] = more[at - 1];
	more[at] = made;
	return 0;
}

static int copy_files(struct copy *c, const struct snapshot *snap,
		struct copy_result *out)
{
	struct copy_base base;
	struct snapshot *made = NULL;
	CLEANUP_FREE struct tree_root *roots =
			calloc(snap->file_count + 1, sizeof(*roots));
	if (roots == NULL)
		return no_memory();
	int err = copy_base_find(c, snap, &base);
	for (uint32_t i = 0; err == 0 && i < snap->file_count; i++) {
		err = copy_file(c, &snap->files[i], &base, &roots[i]);
		if (err < 0)
			err = fail_within(err, "%s", snap->files[i].name);
	}
	if (err == 0)
		err = make_record(c, snap, roots, &made);
	if (err == 0)
		err = snapshot_writer_barrier(&c->to);
	if (err == 0)
		err = snapshot_writer_commit(&c->to, made, snapshot_object_commit_at);
	copy_base_leave(c, &base);
	if (err < 0 || made == NULL) {
		snapshot_free(made);
		return err;
	}
	out->id = made->id;
	return note_copied(c, made);
}

/* Somebody is in SNAP's place: SNAP itself, or another one. */
static int compare_there(const struct copy *c, const struct snapshot *snap,
		const struct snapshot *there, struct copy_result *out)
{
	char time[UTC_TEXT_MAX];
	if (!snapshot_object_is_copy(c->from, snap, c->to.repo, there))
		return fail(-EEXIST,
				"%s has a snapshot %s/%s that is not a copy of this "
				"one; if that is the one to go, forget it there",
				store_path(c->to.repo->store), snap->source,
				utc_format(time, snap->time));
	out->status = COPY_THERE;
	out->id = there->id;
	return 0;
}

/* The commit found the place taken: by another run that copies, perhaps. */
static int taken_meanwhile(struct copy *c, const struct snapshot *snap,
		struct copy_result *out)
{
	struct snapshot *there;
	int err = snapshot_object_load(c->to.repo, snap->object, &there);
	if (err < 0)
		return err;
	err = compare_there(c, snap, there, out);
	snapshot_free(there);
	return err;
}

static int copy_missing(struct copy *c, const struct snapshot *snap,
		struct copy_result *out)
{
	struct chunk_sink_stats before, after;
	CLEANUP_FREE struct id *roots = NULL;
	uint64_t read_before = c->read;
	chunk_sink_stats(c->to.sink, &before);
	int err = stand_on(c, snap, &roots);
	if (err == 0)
		err = copy_files(c, snap, out);
	if (c->reading && roots)
		session_leave_later(c->reading, roots, snap->file_count);
	chunk_sink_stats(c->to.sink, &after);
	out->read = c->read - read_before;
	out->new_bytes = after.new_bytes - before.new_bytes;
	out->stored_bytes = after.stored_bytes - before.stored_bytes;
	return err == -EEXIST ? taken_meanwhile(c, snap, out) : err;
}

int copy_snapshot(struct copy *c, const struct snapshot *snap,
		struct copy_result *out)
{
	*out = (struct copy_result){ .status = COPY_DONE };
	uint64_t size;
	int err = copy_base_load_source(c, snap->source);
	const struct snapshot *there = err == 0 ? copy_base_counterpart(c, snap) : NULL;
	if (there != NULL)
		err = compare_there(c, snap, there, out);
	else if (err == 0 && store_size(c->to.repo->store, snap->object, &size)
			== 0) /* it can't be read, or came just now */
		err = taken_meanwhile(c, snap, out);
	else if (err == 0)
		err = copy_missing(c, snap, out);
	if (err < 0)
		out->status = COPY_FAILED;
	return err;
}
