/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Marking. A node is entered into `nodes` when it has been read, and all that
 * is below it has been visited when the walk comes back to its root; whatever
 * can't be read ends the mark. So where a walk meets a node that it knows, all
 * below it is dealt with.
 *
 * The first slice fixes the roots. The others walk the same ones, by the flag
 * of the nodes: what has not been turned yet in this walk is visited. What
 * appears later is not marked here: it is new to mark_unseen, which the one
 * who deletes calls after all sessions have answered.
 *
 * A snapshot that is forgotten under the walk may leave a tree that can't be
 * read, and half of its nodes in the set: the mark then starts over.
 */
#include "mark.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/base/report.h"
#include "repo/base/units.h"
#include "repo/snapshot/snapshot_object.h"
#include "repo/store/names.h"

#define FRAME_CACHE ((uint64_t)32 << 20)
#define SLICES_MAX 65536u
#define RESTARTS_MAX 20
#define LOOK_AGAIN_NS 50000000L

/* Which ids a pass is about: those of slice NUMBER of COUNT. */
struct slice {
	unsigned number, count;
};

static bool in_slice(const struct slice *slice, const struct id *id)
{
	/* Not the bytes by which the table spreads them. */
	return ((id->b[30] | (unsigned)id->b[31] << 8) & (slice->count - 1))
			== slice->number;
}

/* --- one walk --- */

struct walk {
	struct mark *mark;
	const struct mark_visitor *visitor;
	bool again; /* over nodes that are known */
};

static bool pass_over(void *ctx, const struct id *id)
{
	const struct walk *walk = ctx;
	int flag = live_set_flag(walk->mark->nodes, id);
	if (!walk->again)
		return flag >= 0;
	return flag == walk->mark->turned;
}

static int enter_node(void *ctx, const struct id *id)
{
	struct walk *walk = ctx;
	struct mark *mark = walk->mark;
	if (walk->again) {
		if (!live_set_turn(mark->nodes, id, mark->turned))
			return fail(-ESTALE,
					"a tree has different nodes than a "
					"moment ago");
	} else if (live_set_add(mark->nodes, id) < 0) {
		return fail_no_memory("finding what is in use");
	}
	return walk->visitor->node(walk->visitor->ctx, id);
}

static int enter_chunk(void *ctx, const struct id *id)
{
	const struct walk *walk = ctx;
	return walk->visitor->chunk(walk->visitor->ctx, id);
}

static int walk_root(struct mark *mark, const struct id *root,
		const struct mark_visitor *visitor, bool again)
{
	struct walk w = { .mark = mark, .visitor = visitor, .again = again };
	const struct tree_walk tree = { .packs = mark->repo->packs,
		.frames = mark->frames,
		.skip = pass_over,
		.node = enter_node,
		.chunk = enter_chunk,
		.ctx = &w,
		.read = &mark->done };
	return tree_walk(&tree, root);
}

int mark_revisit(struct mark *mark, const struct mark_visitor *visitor)
{
	int err = 0;
	assert(mark->nodes != NULL);
	mark->turned = !mark->turned;
	mark->done = 0;
	mark->total = mark->tree_bytes;
	for (size_t i = 0; err == 0 && i < mark->root_count; i++)
		err = walk_root(mark, &mark->roots[i], visitor, true);
	return err;
}

/* --- roots --- */

static bool is_seen(const struct mark *mark, const struct id *root)
{
	return id_is_zero(root) || live_set_flag(mark->nodes, root) >= 0;
}

static int remember_root(struct mark *mark, const struct id *root)
{
	if (mark->root_count == mark->root_room) {
		size_t room = mark->root_room ? 2 * mark->root_room : 256;
		struct id *more = realloc(mark->roots, room * sizeof(*more));
		if (more == NULL)
			return fail_no_memory("finding what is in use");
		mark->roots = more;
		mark->root_room = room;
	}
	mark->roots[mark->root_count++] = *root;
	return 0;
}

static int walk_new_root(struct mark *mark, const struct id *root,
		const struct mark_visitor *visitor)
{
	int err = remember_root(mark, root);
	if (err == 0)
		err = walk_root(mark, root, visitor, false);
	/* Here that means something else: see refuse. */
	return err == -EAGAIN ? fail_within(-EBUSY, "the index") : err;
}

/* True if a walk's error means that stored bytes can't be read. */
static bool is_damage(int err)
{
	return err == -EBADMSG || err == -ENOENT || err == -EIO;
}

/* --- snapshots --- */

/* The newest first, whatever their source. */
static int compare_times(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;
	int err = strcmp(strrchr(y, '/'), strrchr(x, '/'));
	return err != 0 ? err : strcmp(x, y);
}

static bool is_gone(struct mark *mark, const char *object)
{
	uint64_t size;
	struct error_copy kept;
	error_save(&kept, -EBADMSG);
	bool gone = store_size(mark->repo->store, object, &size) == -ENOENT;
	error_load(&kept);
	return gone;
}

/* Why the mark ends; -EAGAIN: the snapshot was forgotten meanwhile. */
static int refuse(struct mark *mark, const char *object, const char *file,
		int err)
{
	char name[SNAPSHOT_SHOWN_MAX];
	if (!is_damage(err))
		return err;
	if (is_gone(mark, object))
		return -EAGAIN;
	if (err == -ENOENT)
		exclusions_add_missing(mark->repo->exclusions);
	/* What it needs is unknown, so nothing is known to be unused. */
	return fail(err,
			"snapshot %s%s%s can't be read: %.1000s; nothing is "
			"deleted until 'amberfs repair' repairs it or "
			"'amberfs forget' removes it",
			snapshot_shown(name, object), file != NULL ? ", " : "",
			file != NULL ? file : "", error_text(err));
}

static int walk_snapshot(struct mark *mark, const char *object,
		const struct mark_visitor *visitor)
{
	struct snapshot *snap = NULL;
	int err = snapshot_object_load(mark->repo, object, &snap);
	if (err == -ENOENT)
		return 0; /* forgotten meanwhile */
	if (err < 0)
		return refuse(mark, object, NULL, err);
	mark->snapshots++;
	for (uint32_t i = 0; err == 0 && i < snap->file_count; i++) {
		const struct snapshot_file *file = &snap->files[i];
		if (is_seen(mark, &file->root.id))
			continue;
		err = walk_new_root(mark, &file->root.id, visitor);
		if (err < 0)
			err = refuse(mark, object, file->name, err);
	}
	snapshot_free(snap);
	return err;
}

static int walk_snapshots(struct mark *mark, const struct mark_visitor *visitor)
{
	struct names names = { .items = NULL };
	int err = store_list(mark->repo->store, "snapshots/", names_add,
			&names);
	mark->snapshots = 0;
	if (err == 0 && names.count > 1)
		qsort(names.items, names.count, sizeof(char *), compare_times);
	for (size_t i = 0; err == 0 && i < names.count; i++)
		err = walk_snapshot(mark, names.items[i], visitor);
	names_clear(&names);
	return err;
}

/* --- sessions --- */

/* 1: a session uses ROOT; 0; -errno. */
static int is_stood_on(struct mark *mark, const struct id *root)
{
	struct peers now;
	int err = peers_list(mark->repo, mark->own_id, &now);
	if (err < 0)
		return err;
	for (size_t i = 0; err == 0 && i < now.count; i++)
		if (!now.items[i].readable
				|| peers_has_root(&now.items[i], root))
			err = 1;
	peers_clear(&now);
	return err;
}

/* As refuse: -EAGAIN if the session has left ROOT, which one does whose
 * snapshot was forgotten before it could publish that. */
static int refuse_session(struct mark *mark, const struct peer *who,
		const struct id *root, int err)
{
	const struct timespec pause = { .tv_nsec = LOOK_AGAIN_NS };
	struct error_copy kept;
	char text[PEER_TEXT_MAX];
	double end = monotonic_now() + mark->wait;
	if (!is_damage(err))
		return err;
	error_save(&kept, err);
	for (;;) {
		int e = is_stood_on(mark, root);
		if (e <= 0)
			return e < 0 ? e : -EAGAIN;
		if (interrupt_flag || monotonic_now() >= end)
			break;
		nanosleep(&pause, NULL);
	}
	error_load(&kept);
	return fail(err,
			"%s uses an image that can't be read: %.1000s; "
			"nothing is deleted until it ends",
			peers_text(text, who), error_text(err));
}

static int walk_sessions(struct mark *mark, const struct mark_visitor *visitor)
{
	struct peers peers;
	int err = peers_list_readable(mark->repo, mark->own_id, mark->wait,
			&peers);
	if (err < 0)
		return err;
	for (size_t i = 0; err == 0 && i < peers.count; i++) {
		const struct peer *peer = &peers.items[i];
		if (!peer->readable)
			peers_text(mark->blind, peer);
		for (uint32_t k = 0; err == 0 && k < peer->record.root_count;
				k++) {
			const struct id *root = &peer->record.roots[k];
			if (is_seen(mark, root))
				continue;
			err = walk_new_root(mark, root, visitor);
			if (err < 0)
				err = refuse_session(mark, peer, root, err);
		}
	}
	peers_clear(&peers);
	return err;
}

static int walk_all(struct mark *mark, const struct mark_visitor *visitor)
{
	int err = walk_snapshots(mark, visitor);
	if (err != 0)
		return err;
	err = walk_sessions(mark, visitor);
	/* Again, for what appeared before the roots were read. What appears
	 * later consists of what is covered by then (see marking.h). */
	if (err != 0)
		return err;
	return walk_snapshots(mark, visitor);
}

int mark_unseen(struct mark *mark, const struct mark_visitor *visitor)
{
	assert(mark->nodes != NULL);
	int err = walk_all(mark, visitor);
	return err == -EAGAIN ? fail(-ESTALE,
			       "snapshots were forgotten while being "
			       "examined; run prune again")
			      : err;
}

/* --- claiming --- */

static uint64_t share_of(const struct trailer *trailer,
		const struct chunk_entry *chunk)
{
	const struct frame_entry *frame = &trailer->frames[chunk->frame];
	return (uint64_t)frame->stored_len * chunk->len / frame->plain_len;
}

/* The first time a pack's trailer is seen. */
static int measure(struct mark *mark, struct stored_pack *pack,
		const struct trailer *trailer)
{
	pack->kind = trailer->kind;
	pack->chunks = trailer->chunk_count;
	pack->live_bits =
			calloc(trailer->chunk_count / 64 + 1, sizeof(uint64_t));
	if (pack->live_bits == NULL)
		return fail_no_memory("finding what is in use");
	for (uint32_t i = 0; i < trailer->chunk_count; i++)
		pack->shares += share_of(trailer, &trailer->chunks[i]);
	for (uint32_t i = 0; !pack->damaged && i < trailer->frame_count; i++)
		pack->damaged = exclusions_damaged(mark->repo->exclusions,
				&pack->id, i);
	return 0;
}

/* 1: T is the trailer; 0: it can't be loaded; -errno. */
static int load_trailer(struct mark *mark, struct stored_pack *pack,
		struct trailer **trailer)
{
	*trailer = NULL;
	if (pack->gone || pack->unreadable)
		return 0;
	if (interrupt_flag)
		return fail(-ECANCELED, "interrupted");
	int err = pack_cache_peek(mark->repo->packs, &pack->id, trailer);
	if (err == -ENOMEM)
		return err;
	if (err == -ENOENT)
		pack->gone = true;
	if (err < 0) {
		pack->unreadable = !pack->gone;
		if (pack->unreadable && mark->unreadable_packs++ < 10)
			report_warning("%s; it is kept as it is",
					error_text(err));
		return 0;
	}
	err = pack->kind ? 0 : measure(mark, pack, *trailer);
	if (err < 0)
		trailer_free(take_ptr(*trailer));
	return err < 0 ? err : 1;
}

static int claim(struct mark *mark, struct stored_pack *pack,
		struct live_set *table, const struct slice *slice)
{
	struct trailer *trailer;
	int err = load_trailer(mark, pack, &trailer);
	for (uint32_t i = 0; err == 1 && i < trailer->chunk_count; i++) {
		const struct chunk_entry *chunk = &trailer->chunks[i];
		if (!in_slice(slice, &chunk->id)
				|| live_set_flag(table, &chunk->id) != 0)
			continue;
		if (pack->damaged
				&& exclusions_damaged(mark->repo->exclusions,
						&pack->id, chunk->frame))
			continue; /* no copy to count on */
		live_set_turn(table, &chunk->id, true);
		pack->live_bits[i / 64] |= (uint64_t)1 << i % 64;
		pack->live++;
		pack->live_shares += share_of(trailer, chunk);
	}
	trailer_free(trailer);
	mark->done += pack->size;
	return err < 0 ? err : 0;
}

/* After all have claimed: does a damaged frame hold what nobody has? */
static int look_for_irreplaceable(struct mark *mark, struct stored_pack *pack,
		const struct live_set *table, const struct slice *slice)
{
	struct trailer *trailer;
	int err = load_trailer(mark, pack, &trailer);
	for (uint32_t i = 0; err == 1 && i < trailer->chunk_count; i++) {
		const struct chunk_entry *chunk = &trailer->chunks[i];
		if (in_slice(slice, &chunk->id)
				&& live_set_flag(table, &chunk->id) == 0
				&& exclusions_damaged(mark->repo->exclusions,
						&pack->id, chunk->frame))
			pack->irreplaceable = true;
	}
	trailer_free(trailer);
	return err < 0 ? err : 0;
}

/* The order of claims: packs that stay anyway first, then large ones. What only
 * condemned packs have must be copied out. Those that came meanwhile are second
 * to older copies, which have been there for longer. */
static int claim_rank(const struct stored_pack *pack)
{
	return pack->condemned ? 3 : pack->fresh ? 2 : pack->alone ? 0 : 1;
}

static int compare_claims(const void *a, const void *b)
{
	const struct stored_pack *x = *(struct stored_pack *const *)a;
	const struct stored_pack *y = *(struct stored_pack *const *)b;
	int err = claim_rank(x) - claim_rank(y);
	if (err != 0)
		return err;
	if (x->size != y->size)
		return x->size > y->size ? -1 : 1;
	return memcmp(x->id.b, y->id.b, PACK_ID_SIZE);
}

static int claim_all(struct mark *mark, struct live_set *table,
		const struct slice *slice)
{
	struct stored *stored = mark->stored;
	CLEANUP_FREE struct stored_pack **order =
			calloc(stored->count + 1, sizeof(struct stored_pack *));
	uint64_t bytes = 0;
	int err = 0;
	if (order == NULL)
		return fail_no_memory("finding what is in use");
	for (size_t i = 0; i < stored->count; i++) {
		order[i] = &stored->packs[i];
		bytes += stored->packs[i].size;
	}
	if (stored->count > 1)
		qsort(order, stored->count, sizeof(struct stored_pack *),
				compare_claims);
	mark->done = 0;
	mark->total = bytes;
	for (size_t i = 0; err == 0 && i < stored->count; i++)
		err = claim(mark, order[i], table, slice);
	for (size_t i = 0; err == 0 && i < stored->count; i++)
		if (stored->packs[i].damaged)
			err = look_for_irreplaceable(mark, &stored->packs[i],
					table, slice);
	mark->live += live_set_count(table);
	mark->missing += live_set_count(table) - live_set_flagged(table);
	return err;
}

/* --- the mark --- */

struct collector {
	struct live_set *table;
	struct slice slice;
};

static int collect(void *ctx, const struct id *id)
{
	struct collector *collector = ctx;
	if (!in_slice(&collector->slice, id))
		return 0;
	int err = live_set_add(collector->table, id);
	return err == -ENOMEM	  ? fail_no_memory("finding what is in use")
			: err < 0 ? err
				  : 0;
}

/* Forgets what an earlier attempt found. */
static int begin_anew(struct mark *mark)
{
	struct stored *stored = mark->stored;
	for (size_t i = 0; i < stored->count; i++) {
		struct stored_pack *pack = &stored->packs[i];
		free(take_ptr(pack->live_bits));
		pack->kind = 0;
		pack->live = 0;
		pack->shares = pack->live_shares = 0;
		pack->irreplaceable = false;
	}
	live_set_free(mark->nodes);
	mark->nodes = live_set_new(0, UINT64_MAX);
	mark->root_count = 0;
	mark->live = mark->missing = 0;
	mark->turned = false;
	mark->blind[0] = '\0';
	return mark->nodes != NULL ? 0
				   : fail_no_memory("finding what is in use");
}

/* So many ids must fit at most, by the index; a wrong guess costs time. */
static uint64_t guess_ids(struct mark *mark)
{
	struct index_stats st = { .chunks = 0 };
	if (index_stats(mark->repo->index, &st) < 0)
		error_clear();
	/* Whatever the index says, a pack holds no more. */
	return min_u64(st.chunks, mark->stored->count * PACK_CHUNKS_MAX) + 1024;
}

static void note_memory(struct mark *mark, const struct live_set *table)
{
	mark->memory_used = max_u64(mark->memory_used,
			live_set_bytes(table) + live_set_bytes(mark->nodes)
					+ mark->root_room * sizeof(struct id));
}

static int mark_slice(struct mark *mark, struct collector *collector)
{
	const struct mark_visitor v = { .node = collect,
		.chunk = collect,
		.ctx = collector };
	mark->done = mark->total = 0;
	int err = collector->slice.number == 0 ? walk_all(mark, &v)
					       : mark_revisit(mark, &v);
	if (collector->slice.number == 0)
		mark->tree_bytes = mark->done;
	note_memory(mark, collector->table);
	/* What was written since may hold chunks of the youngest snapshots. */
	if (err == 0 && collector->slice.number == 0)
		err = stored_list(mark->stored, mark->repo, true);
	return err < 0 ? err
		       : claim_all(mark, collector->table, &collector->slice);
}

static int mark_once(struct mark *mark)
{
	uint64_t per_slice = guess_ids(mark) / mark->slices;
	struct collector c = { .table = live_set_new(per_slice, mark->memory),
		.slice = { .count = mark->slices } };
	int err = c.table != NULL ? begin_anew(mark)
				  : fail_no_memory("finding what is in use");
	for (; err == 0 && c.slice.number < mark->slices; c.slice.number++) {
		live_set_clear(c.table);
		err = mark_slice(mark, &c);
	}
	live_set_free(c.table);
	return err;
}

static int start_slices(struct mark *mark)
{
	uint64_t ids = guess_ids(mark), room = live_set_capacity(mark->memory);
	mark->slices = 1;
	while (mark->slices < SLICES_MAX && ids / mark->slices > room)
		mark->slices *= 2;
	if (mark->frames == NULL)
		mark->frames = frame_cache_new(mark->repo->packs, FRAME_CACHE);
	return mark->frames != NULL ? 0
				    : fail_no_memory("finding what is in use");
}

int mark_live(struct mark *mark)
{
	assert(mark->repo != NULL && mark->stored != NULL);
	assert(mark->own_id != NULL && mark->nodes == NULL);
	int err = start_slices(mark);
	for (int restarts = 0; err == 0;) {
		err = mark_once(mark);
		if (err == -E2BIG && mark->slices < SLICES_MAX)
			mark->slices *= 2;
		else if (err == -EAGAIN && ++restarts >= RESTARTS_MAX)
			return fail(-ESTALE,
					"snapshots are being forgotten "
					"faster than they can be examined; "
					"run prune again");
		else if (err != -EAGAIN)
			break;
		err = 0;
	}
	return err == -E2BIG ? fail(err,
			       "--memory is too low for the number of "
			       "chunks: raise it")
			     : err;
}

void mark_clear(struct mark *mark)
{
	live_set_free(take_ptr(mark->nodes));
	free(take_ptr(mark->roots));
	frame_cache_free(take_ptr(mark->frames));
	mark->root_count = mark->root_room = 0;
}
