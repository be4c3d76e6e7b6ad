/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A repair:
 *
 *	1 each recorded frame and trailer is read again: what opens is no longer
 *	  recorded
 *	2 each pack's trailer is read, and on request each frame
 *	3 each tree is walked, which shows what is lost and what that touches
 *	4 with another repository: packs come back whole (from a byte copy), then
 *	  the trees are walked again, file by file, the newest snapshot first, and
 *	  what is lost is repaired; a file that got a tree node back is walked
 *	  again. What was stored is made durable; a last walk shows what is left
 *	5 records go that say nothing any more: of packs that are gone, and, with
 *	  all snapshots whole, that something is missing
 *
 * A damaged frame that nobody needs stays recorded until prune has removed its
 * pack. A pack with an unreadable trailer is removed here once all snapshots
 * are whole without it, as prune can't tell what it holds.
 */
#include "repair.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repair_snapshot.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/pack/exclusions.h"

/* A repaired node shows what else is lost: at most once per level, and data. */
#define ROUNDS_MAX 8

struct repair {
	struct repository *repo, *from;
	const struct repair_options *options;
	struct repair_result *res;
	struct session *session; /* of a dry run; or NULL */
	struct snapshot_writer storing;
	struct repair_snapshot *mend; /* NULL: nothing to take from */
	struct check_trees check;
	pthread_mutex_t mutex; /* protects res->damages and error */
	int error GUARDED_BY(mutex);
	/* Of the file under way. */
	struct repair_fault *faults;
	size_t fault_count, fault_room;
	bool mending;	/* no longer only listing */
	bool mended;	/* anything, in this run */
	bool mend_done; /* checking what is left */
};

/* Damaged, or on a part of the disk that can't be read. */
static bool unreadable(int err)
{
	return err == -EBADMSG || err == -EIO;
}

/* --- 1 the records --- */

static int clear(struct repair *repair, const struct damaged_frame *frame)
{
	repair->res->records_removed++;
	return exclusions_clear_damaged(repair->repo->exclusions, frame,
			!repair->options->dry_run);
}

static int look_at_record(struct repair *repair, const struct damaged_frame *d,
		struct check_frames_buffers *buffers)
{
	static const struct pack_id none;
	struct trailer *trailer = NULL;
	if (memcmp(d->pack.b, none.b, PACK_ID_SIZE) == 0)
		return 0; /* something is missing: shown by the trees */
	int err = pack_cache_peek(repair->repo->packs, &d->pack, &trailer);
	if (err == -ENOENT)
		return clear(repair, d);
	if (unreadable(err))
		return damages_add_trailer(&repair->res->damages, &d->pack,
				err);
	if (err < 0)
		return err;
	bool frame = d->frame != TRAILER_AD && d->frame < trailer->frame_count;
	if (frame)
		err = check_frames_one(repair->repo, trailer, d->frame,
				buffers);
	if (err == 0 || err == -ENOENT)
		err = clear(repair, d);
	else if (err != -ENOMEM)
		err = damages_add_frame(&repair->res->damages, trailer,
				d->frame, err);
	trailer_free(trailer);
	return err;
}

static int look_at_records(struct repair *repair)
{
	CLEANUP_FREE struct damaged_frame *all = NULL;
	struct check_frames_buffers b;
	size_t count = 0;
	int err = check_frames_init(&b);
	if (err == 0)
		err = exclusions_list_damaged(repair->repo->exclusions, &all,
				&count);
	for (size_t i = 0; err == 0 && i < count; i++)
		err = interrupt_flag ? fail(-ECANCELED, "interrupted")
				     : look_at_record(repair, &all[i], &b);
	check_frames_clear(&b);
	return err;
}

/* --- 2 the packs --- */

static void keep_error(struct repair *repair, int e)
{
	LOCK_SCOPE(&repair->mutex);
	if (e < 0 && repair->error == 0)
		repair->error = e;
}

static int kept_error(struct repair *repair)
{
	LOCK_SCOPE(&repair->mutex);
	return repair->error;
}

static void look_at_frames(struct repair *repair, struct trailer *trailer)
{
	struct check_frames_buffers b;
	int e = check_frames_init(&b);
	for (uint32_t i = 0; e == 0 && i < trailer->frame_count; i++) {
		int r = check_frames_one(repair->repo, trailer, i, &b);
		repair->res->counts.frames++;
		repair->res->counts.done += trailer->frames[i].stored_len;
		if (r == 0)
			continue;
		if (r == -ENOENT || r == -ENOMEM)
			e = r;
		if (unreadable(r))
			exclusions_add_damaged(repair->repo->exclusions,
					&trailer->pack, i);
		LOCK_SCOPE(&repair->mutex);
		if (e == 0)
			e = damages_add_frame(&repair->res->damages, trailer, i,
					r);
	}
	check_frames_clear(&b);
	keep_error(repair, e == -ENOENT ? 0 : e);
}

static void look_at_pack(void *ctx, const char *name)
{
	struct repair *repair = ctx;
	struct trailer *trailer = NULL;
	struct pack_id id;
	if (pack_name_parse(&id, name) < 0)
		return;
	int err = pack_cache_peek(repair->repo->packs, &id, &trailer);
	repair->res->counts.packs++;
	if (unreadable(err)) {
		LOCK_SCOPE(&repair->mutex);
		err = damages_add_trailer(&repair->res->damages, &id, err);
	}
	if (err == 0 && trailer != NULL && repair->options->read_data)
		look_at_frames(repair, trailer);
	trailer_free(trailer);
	keep_error(repair, err == -ENOENT ? 0 : err);
}

static int look_at_packs(struct repair *repair)
{
	report_progress_begin(repair->options->read_data ? "frames" : "packs",
			check_packs_progress, &repair->res->counts);
	int err = check_packs_each(repair->repo->store, repair->options->jobs,
			&repair->res->counts, look_at_pack, repair);
	report_progress_end();
	if (err == 0 && kept_error(repair) != 0)
		err = fail_errno(kept_error(repair), "examining the packs");
	return err < 0 ? err
		       : damages_find(&repair->res->damages,
				       repair->repo->packs);
}

/* --- 3 the trees --- */

/* That another copy exists is relevant only until something was repaired. */
static bool note_chunk(void *ctx, const struct tree_fault *fault, bool whole)
{
	struct repair *repair = ctx;
	if (whole && repair->mending)
		return false;
	int err = damages_note_chunk(&repair->res->damages, fault, whole);
	keep_error(repair, err);
	return err == 1;
}

/* The id of the node that is lost at FAULT. */
static struct id lost_node(struct repair *repair,
		const struct tree_fault *fault)
{
	struct id id = { .b = { 0 } };
	struct image *image;
	uint64_t from, to;
	if (image_open(&image, repair->check.reader, &fault->file->root,
			    fault->file->size)
			< 0)
		return id;
	if (image_seek_piece(image, fault->offset, &from, &to, &id) == 0)
		id = (struct id){ .b = { 0 } };
	image_close(image);
	return id;
}

/* Remembered for the repair. */
static int collect(struct repair *repair, const struct tree_fault *fault)
{
	if (repair->fault_count == repair->fault_room) {
		size_t room = repair->fault_room ? 2 * repair->fault_room : 256;
		struct repair_fault *more = reallocarray(repair->faults, room,
				sizeof(*more));
		if (more == NULL)
			return fail_no_memory("repairing");
		repair->faults = more;
		repair->fault_room = room;
	}
	repair->faults[repair->fault_count++] =
			(struct repair_fault){ .offset = fault->offset,
				.len = fault->len,
				.node = fault->chunk == NULL,
				.id = fault->chunk != NULL
						? fault->chunk->id
						: lost_node(repair, fault) };
	return 0;
}

static int note_fault(void *ctx, const struct tree_fault *fault)
{
	struct repair *repair = ctx;
	int err = kept_error(repair);
	/* A chunk of a damaged frame was noted there. */
	if (err != 0)
		return err;
	if (!(fault->chunk != NULL
			    && damages_marked(&repair->res->damages,
					    &fault->chunk->id)))
		err = damages_note_fault(&repair->res->damages, fault);
	if (err != 0)
		return err;
	err = damage_ranges_add(&repair->res->lost, fault, false);
	if (err != 0)
		return err;
	if (repair->mending)
		err = collect(repair, fault);
	return err;
}

/* Walks one file, and repairs as long as there is progress. */
static int look_at_file(struct repair *repair, const struct snapshot *snap,
		const struct snapshot_file *file)
{
	bool again = true;
	int err = 0;
	for (int i = 0; err == 0 && again && i < ROUNDS_MAX; i++) {
		repair->fault_count = 0;
		again = false;
		err = check_trees_file(&repair->check, snap, file);
		if (err < 0 || !repair->mending || repair->mend_done
				|| repair->fault_count == 0)
			break;
		ssize_t n = repair_snapshot_file(repair->mend, snap, file,
				repair->faults, repair->fault_count, &again);
		repair->mended = repair->mended || n > 0;
		err = n < 0 ? (int)n : 0;
		if (err == 0 && again)
			err = repair_snapshot_barrier(repair->mend);
	}
	return err;
}

/* All trees, the newest snapshots first; again: from an empty list of what is
 * lost. */
static int look_at_trees(struct repair *repair)
{
	const struct snapshot_list *all = &repair->res->snapshots;
	repair->res->lost.count = 0;
	repair->res->counts.snapshots = repair->res->counts.files = 0;
	repair->check = (struct check_trees){ .repo = repair->repo,
		.counts = &repair->res->counts,
		.fault = note_fault,
		.chunk = note_chunk,
		.ctx = repair };
	int err = check_trees_begin(&repair->check);
	for (size_t i = all->count; err == 0 && i-- > 0;) {
		const struct snapshot *snap = all->items[i];
		repair->res->counts.snapshots++;
		for (uint32_t n = 0; err == 0 && n < snap->file_count; n++)
			err = look_at_file(repair, snap, &snap->files[n]);
	}
	check_trees_end(&repair->check);
	return err < 0 ? err : kept_error(repair);
}

/* --- snapshots --- */

static void note_unreadable(void *ctx, const char *object, int err)
{
	struct repair *repair = ctx;
	struct repair_result *res = repair->res;
	struct repair_unreadable *more = reallocarray(res->unreadable,
			res->unreadable_count + 1, sizeof(*more));
	if (more == NULL) {
		keep_error(repair, fail_no_memory("repairing"));
		return;
	}
	res->unreadable = more;
	more[res->unreadable_count++] =
			(struct repair_unreadable){ .object = strdup(object),
				.cause = strdup(error_text(err)) };
	if (more[res->unreadable_count - 1].object == NULL
			|| more[res->unreadable_count - 1].cause == NULL)
		keep_error(repair, fail_no_memory("repairing"));
}

static int load_snapshots(struct repair *repair)
{
	struct repair_result *res = repair->res;
	bool some = false;
	int err = snapshot_list_load(repair->repo, NULL, &res->snapshots,
			note_unreadable, repair);
	if (err == 0)
		err = kept_error(repair);
	for (size_t i = 0; err >= 0 && repair->mend != NULL
			&& i < res->unreadable_count;
			i++) {
		err = repair_from_copy_snapshot(repair->mend,
				res->unreadable[i].object);
		res->unreadable[i].mended = err == 1;
		some = some || err == 1;
	}
	if (err < 0 || !some)
		return err;
	snapshot_list_clear(&res->snapshots);
	struct repair_unreadable *kept = res->unreadable;
	size_t count = res->unreadable_count;
	/* Once more, with those that came back; the list of what was bad is
	 * kept. */
	res->unreadable = NULL;
	res->unreadable_count = 0;
	err = snapshot_list_load(repair->repo, NULL, &res->snapshots,
			note_unreadable, repair);
	for (size_t i = 0; i < res->unreadable_count; i++) {
		free(res->unreadable[i].object);
		free(res->unreadable[i].cause);
	}
	free(res->unreadable);
	res->unreadable = kept;
	res->unreadable_count = count;
	return err;
}

/* --- 5 the records, at the end --- */

static int count_others(void *ctx, const char *id, bool alive,
		const struct session_record *record)
{
	struct repair *repair = ctx;
	(void)record;
	return alive && strcmp(id, session_id(repair->storing.session)) != 0;
}

/* Nothing needs it, and no other session might still read it by a trailer in
 * memory. */
static int remove_pack(struct repair *repair, const struct damaged_frame *frame)
{
	char name[PACK_NAME_SIZE];
	struct trailer *trailer = NULL;
	int err = pack_cache_peek(repair->repo->packs, &frame->pack, &trailer);
	trailer_free(trailer);
	if (err != -EBADMSG) /* a disk that fails now may work later */
		return err == -ENOENT || err == -EIO ? 0 : err;
	err = session_list(repair->repo, count_others, repair);
	if (err != 0)
		return err < 0 ? err : 0;
	err = session_check(repair->storing.session);
	if (err < 0)
		return err;
	pack_name(name, &frame->pack);
	err = store_delete(repair->repo->store, name);
	if (err < 0 && err != -ENOENT)
		return err;
	pack_cache_drop(repair->repo->packs, &frame->pack);
	repair->res->packs_removed++;
	return clear(repair, frame);
}

static int tidy_record(struct repair *repair, const struct damaged_frame *frame)
{
	static const struct pack_id none;
	char name[PACK_NAME_SIZE];
	uint64_t size;
	if (memcmp(frame->pack.b, none.b, PACK_ID_SIZE) == 0)
		return repair->res->whole ? clear(repair, frame) : 0;
	pack_name(name, &frame->pack);
	int err = store_size(repair->repo->store, name, &size);
	if (err == -ENOENT)
		return clear(repair, frame);
	if (err == 0 && frame->frame == TRAILER_AD && repair->res->whole)
		return remove_pack(repair, frame);
	if (err == 0 && frame->frame != TRAILER_AD)
		repair->res->frames_left++;
	return err;
}

static int tidy_records(struct repair *repair)
{
	CLEANUP_FREE struct damaged_frame *all = NULL;
	size_t count = 0;
	int err = exclusions_list_damaged(repair->repo->exclusions, &all,
			&count);
	for (size_t i = 0; err == 0 && i < count; i++)
		err = tidy_record(repair, &all[i]);
	return err;
}

/* --- the run --- */

static int begin(struct repair *repair)
{
	const struct snapshot_writer_options so = { .activity = "repair",
		.workers = repair->options->jobs };
	if (!repair->options->dry_run)
		return snapshot_writer_begin(&repair->storing, repair->repo,
				&so);
	int err = session_begin(&repair->session, repair->repo, SESSION_READ,
			"repair");
	if (session_unwritable(err))
		err = exclusions_load(repair->repo->exclusions);
	if (err == 0)
		err = index_reconcile(repair->repo->index);
	return err == -EAGAIN ? 0 : err;
}

/* Damaged packs are restored whole if a byte copy has them. */
static int mend_packs(struct repair *repair)
{
	struct damages *damages = &repair->res->damages;
	int err = 0;
	for (size_t i = 0; err >= 0 && i < damages->count; i++) {
		if (damages->items[i].kind != DAMAGE_FRAME
				&& damages->items[i].kind != DAMAGE_TRAILER)
			continue;
		err = interrupt_flag ? fail(-ECANCELED, "interrupted")
				     : repair_from_copy_pack(repair->mend,
						     &damages->items[i].pack);
		repair->mended = repair->mended || err == 1;
	}
	return err < 0 ? err : 0;
}

static int mend_all(struct repair *repair)
{
	repair->mending = true;
	int err = mend_packs(repair);
	if (err == 0 && (repair->res->lost.count != 0 || repair->mended))
		err = look_at_trees(repair);
	if (err < 0 || !repair->mended)
		return err;
	err = repair_snapshot_barrier(repair->mend);
	if (err < 0)
		return err;
	/* What was repaired last may have been counted as lost before: check
	 * again. */
	repair->mend_done = true;
	return look_at_trees(repair);
}

static int look_and_mend(struct repair *repair)
{
	int err = look_at_records(repair);
	if (err < 0)
		return err;
	err = look_at_packs(repair);
	if (err < 0)
		return err;
	err = load_snapshots(repair);
	if (err < 0)
		return err;
	err = look_at_trees(repair);
	return err < 0 || repair->mend == NULL ? err : mend_all(repair);
}

static void finish(struct repair *repair)
{
	struct repair_result *res = repair->res;
	for (size_t i = 0; i < res->damages.count; i++)
		damage_ranges_join(&res->damages.items[i].ranges);
	damage_ranges_join(&res->lost);
	res->whole = res->lost.count == 0;
	for (size_t i = 0; i < res->unreadable_count; i++)
		res->whole = res->whole && res->unreadable[i].mended;
	if (repair->mend != NULL) {
		res->packs = repair->mend->packs;
		res->chunks = repair->mend->chunks;
		res->bytes = repair->mend->bytes;
		res->trees = repair->mend->trees;
	}
}

int repair_run(struct repository *repo, struct repository *from,
		const struct repair_options *options, struct repair_result *res)
{
	struct repair k = { .repo = repo,
		.from = from,
		.options = options,
		.res = res };
	struct repair_snapshot mend;
	memset(res, 0, sizeof(*res));
	pthread_mutex_init(&k.mutex, NULL);
	int err = begin(&k);
	if (err == 0 && from != NULL && !options->dry_run) {
		k.mend = &mend;
		err = repair_snapshot_begin(&mend, &k.storing, from);
	}
	if (err == 0)
		err = look_and_mend(&k);
	finish(&k);
	if (err == 0 && !options->dry_run)
		err = tidy_records(&k);
	if (k.mend != NULL)
		repair_snapshot_end(k.mend);
	snapshot_writer_end(&k.storing);
	session_end(k.session);
	free(k.faults);
	pthread_mutex_destroy(&k.mutex);
	return err;
}

void repair_result_clear(struct repair_result *res)
{
	damages_clear(&res->damages);
	free(res->lost.items);
	for (size_t i = 0; i < res->unreadable_count; i++) {
		free(res->unreadable[i].object);
		free(res->unreadable[i].cause);
	}
	free(res->unreadable);
	snapshot_list_clear(&res->snapshots);
	memset(res, 0, sizeof(*res));
}
