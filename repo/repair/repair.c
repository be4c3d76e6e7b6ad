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
 *	  what is lost is mended; a file in which a tree node came back is walked
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

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/pack/exclusions.h"
#include "repair_snapshot.h"

/* A mended node shows what else is lost: at most once per level, and data. */
#define ROUNDS_MAX 8

struct repair {
	struct repository *repo, *from;
	const struct repair_options *options;
	struct repair_result *res;
	struct session *session;	/* of a dry run; or NULL */
	struct snapshot_writer storing;
	struct repair_snapshot *mend;		/* NULL: nothing to take from */
	struct check_trees check;
	pthread_mutex_t mutex;		/* protects res->damages and error */
	int error;
	/* Of the file under way. */
	struct repair_fault *faults;
	size_t fault_count, fault_room;
	bool mending;			/* no longer only looking */
	bool mended;			/* something, in this run */
	bool mend_done;			/* looking at what is left */
};

static int no_memory(void)
{
	return fail_errno(-ENOMEM, "repairing");
}

/* Damaged, or on a part of the disk that can't be read. */
static bool unreadable(int err)
{
	return err == -EBADMSG || err == -EIO;
}

/* --- 1 the records --- */

static int clear(struct repair *k, const struct damaged_frame *d)
{
	k->res->records_removed++;
	return exclusions_clear_damaged(k->repo->exclusions, d, !k->options->dry_run);
}

static int look_at_record(struct repair *k, const struct damaged_frame *d,
		struct check_frames_buffers *b)
{
	static const struct pack_id none;
	struct trailer *t = NULL;
	if (memcmp(d->pack.b, none.b, PACK_ID_SIZE) == 0)
		return 0; /* something is missing: shown by the trees */
	int err = pack_cache_peek(k->repo->packs, &d->pack, &t);
	if (err == -ENOENT)
		return clear(k, d);
	if (unreadable(err))
		return damages_add_trailer(&k->res->damages, &d->pack, err);
	if (err < 0)
		return err;
	bool frame = d->frame != TRAILER_AD && d->frame < t->frame_count;
	if (frame)
		err = check_frames_one(k->repo, t, d->frame, b);
	if (err == 0 || err == -ENOENT)
		err = clear(k, d);
	else if (err != -ENOMEM)
		err = damages_add_frame(&k->res->damages, t, d->frame, err);
	trailer_free(t);
	return err;
}

static int look_at_records(struct repair *k)
{
	CLEANUP_FREE struct damaged_frame *all = NULL;
	struct check_frames_buffers b;
	size_t count = 0;
	int err = check_frames_init(&b);
	if (err == 0)
		err = exclusions_list_damaged(k->repo->exclusions, &all, &count);
	for (size_t i = 0; err == 0 && i < count; i++)
		err = interrupt_flag ? fail(-ECANCELED, "interrupted")
				   : look_at_record(k, &all[i], &b);
	check_frames_clear(&b);
	return err;
}

/* --- 2 the packs --- */

static void keep_error(struct repair *k, int e)
{
	LOCK_SCOPE(&k->mutex);
	if (e < 0 && k->error == 0)
		k->error = e;
}

static void look_at_frames(struct repair *k, struct trailer *t)
{
	struct check_frames_buffers b;
	int e = check_frames_init(&b);
	for (uint32_t i = 0; e == 0 && i < t->frame_count; i++) {
		int r = check_frames_one(k->repo, t, i, &b);
		k->res->counts.frames++;
		k->res->counts.done += t->frames[i].stored_len;
		if (r == 0)
			continue;
		if (r == -ENOENT || r == -ENOMEM)
			e = r;
		if (unreadable(r))
			exclusions_add_damaged(k->repo->exclusions, &t->pack, i);
		LOCK_SCOPE(&k->mutex);
		if (e == 0)
			e = damages_add_frame(&k->res->damages, t, i, r);
	}
	check_frames_clear(&b);
	keep_error(k, e == -ENOENT ? 0 : e);
}

static void look_at_pack(void *ctx, const char *name)
{
	struct repair *k = ctx;
	struct trailer *t = NULL;
	struct pack_id id;
	if (pack_name_parse(&id, name) < 0)
		return;
	int err = pack_cache_peek(k->repo->packs, &id, &t);
	k->res->counts.packs++;
	if (unreadable(err)) {
		LOCK_SCOPE(&k->mutex);
		err = damages_add_trailer(&k->res->damages, &id, err);
	}
	if (err == 0 && t != NULL && k->options->read_data)
		look_at_frames(k, t);
	trailer_free(t);
	keep_error(k, err == -ENOENT ? 0 : err);
}

static int look_at_packs(struct repair *k)
{
	report_progress_begin(k->options->read_data ? "frames" : "packs",
			check_packs_progress, &k->res->counts);
	int err = check_packs_each(k->repo->store, k->options->jobs,
			&k->res->counts, look_at_pack, k);
	report_progress_end();
	if (err == 0 && k->error != 0)
		err = fail_errno(k->error, "looking at the packs");
	return err < 0 ? err : damages_find(&k->res->damages, k->repo->packs);
}

/* --- 3 the trees --- */

/* That another copy is there counts only as long as none was mended. */
static bool note_chunk(void *ctx, const struct tree_fault *at, bool whole)
{
	struct repair *k = ctx;
	if (whole && k->mending)
		return false;
	int err = damages_note_chunk(&k->res->damages, at, whole);
	keep_error(k, err);
	return err == 1;
}

/* The id of the node that is lost at F. */
static struct id lost_node(struct repair *k, const struct tree_fault *f)
{
	struct id id = { .b = { 0 } };
	struct image *image;
	uint64_t from, to;
	if (image_open(&image, k->check.reader, &f->file->root, f->file->size)
			< 0)
		return id;
	if (image_seek_piece(image, f->offset, &from, &to, &id) == 0)
		id = (struct id){ .b = { 0 } };
	image_close(image);
	return id;
}

/* Remembered for mending. */
static int collect(struct repair *k, const struct tree_fault *f)
{
	if (k->fault_count == k->fault_room) {
		size_t room = k->fault_room ? 2 * k->fault_room : 256;
		struct repair_fault *more = reallocarray(
				k->faults, room, sizeof(*more));
		if (more == NULL)
			return no_memory();
		k->faults = more;
		k->fault_room = room;
	}
	k->faults[k->fault_count++] = (struct repair_fault){
		.offset = f->offset, .len = f->len, .node = f->chunk == NULL,
		.id = f->chunk ? f->chunk->id : lost_node(k, f) };
	return 0;
}

static int note_fault(void *ctx, const struct tree_fault *f)
{
	struct repair *k = ctx;
	int err = k->error;
	/* A chunk of a damaged frame was noted there. */
	if (err == 0 && !(f->chunk != NULL
				    && damages_marked(&k->res->damages,
						    &f->chunk->id)))
		err = damages_note_fault(&k->res->damages, f);
	if (err == 0)
		err = damage_ranges_add(&k->res->lost, f, false);
	if (err == 0 && k->mending)
		err = collect(k, f);
	return err;
}

/* Walks one file, and mends while that gets on. */
static int look_at_file(struct repair *k, const struct snapshot *s,
		const struct snapshot_file *f)
{
	bool again = true;
	int err = 0;
	for (int i = 0; err == 0 && again && i < ROUNDS_MAX; i++) {
		k->fault_count = 0;
		again = false;
		err = check_trees_file(&k->check, s, f);
		if (err < 0 || !k->mending || k->mend_done
				|| k->fault_count == 0)
			break;
		ssize_t n = repair_snapshot_file(k->mend, s, f, k->faults, k->fault_count,
				&again);
		k->mended = k->mended || n > 0;
		err = n < 0 ? (int)n : 0;
		if (err == 0 && again)
			err = repair_snapshot_barrier(k->mend);
	}
	return err;
}

/* All trees, the newest snapshots first; anew: from an empty list of what is
 * lost. */
static int look_at_trees(struct repair *k)
{
	const struct snapshot_list *all = &k->res->snapshots;
	k->res->lost.count = 0;
	k->res->counts.snapshots = k->res->counts.files = 0;
	k->check = (struct check_trees){ .repo = k->repo,
		.counts = &k->res->counts, .fault = note_fault,
		.chunk = note_chunk, .ctx = k };
	int err = check_trees_begin(&k->check);
	for (size_t i = all->count; err == 0 && i-- > 0;) {
		const struct snapshot *s = all->items[i];
		k->res->counts.snapshots++;
		for (uint32_t n = 0; err == 0 && n < s->file_count; n++)
			err = look_at_file(k, s, &s->files[n]);
	}
	check_trees_end(&k->check);
	return err < 0 ? err : k->error;
}

/* --- snapshots --- */

static void note_unreadable(void *ctx, const char *object, int err)
{
	struct repair *k = ctx;
	struct repair_result *res = k->res;
	struct repair_unreadable *more = reallocarray(res->unreadable,
			res->unreadable_count + 1, sizeof(*more));
	if (more == NULL) {
		k->error = no_memory();
		return;
	}
	res->unreadable = more;
	more[res->unreadable_count++] = (struct repair_unreadable){
		.object = strdup(object), .cause = strdup(error_text(err)) };
	if (more[res->unreadable_count - 1].object == NULL
			|| more[res->unreadable_count - 1].cause == NULL)
		k->error = no_memory();
}

static int load_snapshots(struct repair *k)
{
	struct repair_result *res = k->res;
	bool some = false;
	int err = snapshot_list_load(k->repo, NULL, &res->snapshots,
			note_unreadable, k);
	if (err == 0)
		err = k->error;
	for (size_t i = 0; err >= 0 && k->mend && i < res->unreadable_count;
			i++) {
		err = repair_from_copy_snapshot(k->mend, res->unreadable[i].object);
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
	err = snapshot_list_load(k->repo, NULL, &res->snapshots, note_unreadable,
			k);
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
	struct repair *k = ctx;
	(void)record;
	return alive && strcmp(id, session_id(k->storing.session)) != 0;
}

/* Nobody needs it, and nobody else is at work who might still read it by a
 * trailer that he has in memory. */
static int remove_pack(struct repair *k, const struct damaged_frame *d)
{
	char name[PACK_NAME_SIZE];
	struct trailer *t = NULL;
	int err = pack_cache_peek(k->repo->packs, &d->pack, &t);
	trailer_free(t);
	if (err != -EBADMSG) /* a disk that fails now may do it later */
		return err == -ENOENT || err == -EIO ? 0 : err;
	err = session_list(k->repo, count_others, k);
	if (err != 0)
		return err < 0 ? err : 0;
	err = session_check(k->storing.session);
	if (err < 0)
		return err;
	pack_name(name, &d->pack);
	err = store_delete(k->repo->store, name);
	if (err < 0 && err != -ENOENT)
		return err;
	pack_cache_drop(k->repo->packs, &d->pack);
	k->res->packs_removed++;
	return clear(k, d);
}

static int tidy_record(struct repair *k, const struct damaged_frame *d)
{
	static const struct pack_id none;
	char name[PACK_NAME_SIZE];
	uint64_t size;
	if (memcmp(d->pack.b, none.b, PACK_ID_SIZE) == 0)
		return k->res->whole ? clear(k, d) : 0;
	pack_name(name, &d->pack);
	int err = store_size(k->repo->store, name, &size);
	if (err == -ENOENT)
		return clear(k, d);
	if (err == 0 && d->frame == TRAILER_AD && k->res->whole)
		return remove_pack(k, d);
	if (err == 0 && d->frame != TRAILER_AD)
		k->res->frames_left++;
	return err;
}

static int tidy_records(struct repair *k)
{
	CLEANUP_FREE struct damaged_frame *all = NULL;
	size_t count = 0;
	int err = exclusions_list_damaged(k->repo->exclusions, &all, &count);
	for (size_t i = 0; err == 0 && i < count; i++)
		err = tidy_record(k, &all[i]);
	return err;
}

/* --- the run --- */

static int begin(struct repair *k)
{
	const struct snapshot_writer_options so = { .activity = "repair",
		.workers = k->options->jobs };
	if (!k->options->dry_run)
		return snapshot_writer_begin(&k->storing, k->repo, &so);
	int err = session_begin(&k->session, k->repo, SESSION_READ, "repair");
	if (session_unwritable(err))
		err = exclusions_load(k->repo->exclusions);
	if (err == 0)
		err = index_reconcile(k->repo->index);
	return err == -EAGAIN ? 0 : err;
}

/* Damaged packs come back whole where a byte copy has them. */
static int mend_packs(struct repair *k)
{
	struct damages *d = &k->res->damages;
	int err = 0;
	for (size_t i = 0; err >= 0 && i < d->count; i++) {
		if (d->items[i].kind != DAMAGE_FRAME
				&& d->items[i].kind != DAMAGE_TRAILER)
			continue;
		err = interrupt_flag ? fail(-ECANCELED, "interrupted")
				   : repair_from_copy_pack(k->mend, &d->items[i].pack);
		k->mended = k->mended || err == 1;
	}
	return err < 0 ? err : 0;
}

static int mend_all(struct repair *k)
{
	k->mending = true;
	int err = mend_packs(k);
	if (err == 0 && (k->res->lost.count != 0 || k->mended))
		err = look_at_trees(k);
	if (err < 0 || !k->mended)
		return err;
	err = repair_snapshot_barrier(k->mend);
	if (err < 0)
		return err;
	/* What was mended last may have been met before: the truth now. */
	k->mend_done = true;
	return look_at_trees(k);
}

static int look_and_mend(struct repair *k)
{
	int err = look_at_records(k);
	if (err == 0)
		err = look_at_packs(k);
	if (err == 0)
		err = load_snapshots(k);
	if (err == 0)
		err = look_at_trees(k);
	return err < 0 || k->mend == NULL ? err : mend_all(k);
}

static void finish(struct repair *k)
{
	struct repair_result *res = k->res;
	for (size_t i = 0; i < res->damages.count; i++)
		damage_ranges_join(&res->damages.items[i].ranges);
	damage_ranges_join(&res->lost);
	res->whole = res->lost.count == 0;
	for (size_t i = 0; i < res->unreadable_count; i++)
		res->whole = res->whole && res->unreadable[i].mended;
	if (k->mend != NULL) {
		res->packs = k->mend->packs;
		res->chunks = k->mend->chunks;
		res->bytes = k->mend->bytes;
		res->trees = k->mend->trees;
	}
}

int repair_run(struct repository *r, struct repository *from,
		const struct repair_options *o, struct repair_result *res)
{
	struct repair k = { .repo = r, .from = from, .options = o, .res = res };
	struct repair_snapshot mend;
	memset(res, 0, sizeof(*res));
	pthread_mutex_init(&k.mutex, NULL);
	int err = begin(&k);
	if (err == 0 && from != NULL && !o->dry_run) {
		k.mend = &mend;
		err = repair_snapshot_begin(&mend, &k.storing, from);
	}
	if (err == 0)
		err = look_and_mend(&k);
	finish(&k);
	if (err == 0 && !o->dry_run)
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
