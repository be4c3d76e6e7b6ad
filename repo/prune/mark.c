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
 * read, and half of its nodes in the set: the mark then begins anew.
 */
#include "mark.h"

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
#include "repo/store/names.h"

#define FRAME_CACHE ((uint64_t)32 << 20)
#define SLICES_MAX 65536u
#define RESTARTS_MAX 20
#define LOOK_AGAIN_NS 50000000L

/* Which ids a pass is about: those of slice NUMBER of COUNT. */
struct slice {
	unsigned number, count;
};

static bool in_slice(const struct slice *s, const struct id *id)
{
	/* Not the bytes by which the table spreads them. */
	return ((id->b[30] | (unsigned)id->b[31] << 8) & (s->count - 1))
			== s->number;
}

static int no_memory(void)
{
	return fail_errno(-ENOMEM, "looking for what is in use");
}

/* --- one walk --- */

struct walk {
	struct mark *mark;
	const struct mark_visitor *visitor;
	bool again;		/* over nodes that are known */
};

static bool pass_over(void *ctx, const struct id *id)
{
	const struct walk *w = ctx;
	int flag = live_set_flag(w->mark->nodes, id);
	if (!w->again)
		return flag >= 0;
	return flag == w->mark->turned;
}

static int enter_node(void *ctx, const struct id *id)
{
	struct walk *w = ctx;
	struct mark *m = w->mark;
	if (w->again) {
		if (!live_set_turn(m->nodes, id, m->turned))
			return fail(-ESTALE, "a tree has other nodes than a "
					     "moment ago");
	} else if (live_set_add(m->nodes, id) < 0) {
		return no_memory();
	}
	return w->visitor->node(w->visitor->ctx, id);
}

static int enter_chunk(void *ctx, const struct id *id)
{
	const struct walk *w = ctx;
	return w->visitor->chunk(w->visitor->ctx, id);
}

static int walk_root(struct mark *m, const struct id *root,
		const struct mark_visitor *v, bool again)
{
	struct walk w = { .mark = m, .visitor = v, .again = again };
	const struct tree_walk tree = { .packs = m->repo->packs,
		.frames = m->frames, .skip = pass_over, .node = enter_node,
		.chunk = enter_chunk, .ctx = &w, .read = &m->done };
	return tree_walk(&tree, root);
}

int mark_revisit(struct mark *m, const struct mark_visitor *v)
{
	int err = 0;
	m->turned = !m->turned;
	m->done = 0;
	m->total = m->tree_bytes;
	for (size_t i = 0; err == 0 && i < m->root_count; i++)
		err = walk_root(m, &m->roots[i], v, true);
	return err;
}

/* --- roots --- */

static bool is_seen(const struct mark *m, const struct id *root)
{
	return id_is_zero(root) || live_set_flag(m->nodes, root) >= 0;
}

static int remember_root(struct mark *m, const struct id *root)
{
	if (m->root_count == m->root_room) {
		size_t room = m->root_room ? 2 * m->root_room : 256;
		struct id *more = realloc(m->roots, room * sizeof(*more));
		if (more == NULL)
			return no_memory();
		m->roots = more;
		m->root_room = room;
	}
	m->roots[m->root_count++] = *root;
	return 0;
}

static int walk_new_root(struct mark *m, const struct id *root,
		const struct mark_visitor *v)
{
	int err = remember_root(m, root);
	if (err == 0)
		err = walk_root(m, root, v, false);
	/* Here that means something else: see refuse. */
	return err == -EAGAIN ? fail_within(-EBUSY, "the index") : err;
}

/* True if what a walk failed with says that stored bytes can't be had. */
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
	return err ? err : strcmp(x, y);
}

static bool is_gone(struct mark *m, const char *object)
{
	uint64_t size;
	struct error_copy kept;
	error_save(&kept, -EBADMSG);
	bool gone = store_size(m->repo->store, object, &size) == -ENOENT;
	error_load(&kept);
	return gone;
}

/* Why the mark ends; -EAGAIN: the snapshot was forgotten meanwhile. */
static int refuse(struct mark *m, const char *object, const char *file,
		int err)
{
	const char *name = object + strlen("snapshots/");
	if (!is_damage(err))
		return err;
	if (is_gone(m, object))
		return -EAGAIN;
	if (err == -ENOENT)
		exclusions_add_missing(m->repo->exclusions);
	/* What it needs can't be known, so nothing can be known to be unused. */
	return fail(err, "snapshot %s%s%s can't be read: %.1000s; nothing is "
			 "deleted until 'amberfs repair' mends it or 'amberfs "
			 "forget' removes it",
			name, file ? ", " : "", file ? file : "",
			error_text(err));
}

static int walk_snapshot(struct mark *m, const char *object,
		const struct mark_visitor *v)
{
	struct snapshot *snap = NULL;
	int err = snapshot_object_load(m->repo, object, &snap);
	if (err == -ENOENT)
		return 0; /* forgotten meanwhile */
	if (err < 0)
		return refuse(m, object, NULL, err);
	m->snapshots++;
	for (uint32_t i = 0; err == 0 && i < snap->file_count; i++) {
		const struct snapshot_file *f = &snap->files[i];
		if (is_seen(m, &f->root.id))
			continue;
		err = walk_new_root(m, &f->root.id, v);
		if (err < 0)
			err = refuse(m, object, f->name, err);
	}
	snapshot_free(snap);
	return err;
}

static int walk_snapshots(struct mark *m, const struct mark_visitor *v)
{
	struct names names = { .items = NULL };
	int err = store_list(m->repo->store, "snapshots/", names_add, &names);
	m->snapshots = 0;
	if (err == 0 && names.count > 1)
		qsort(names.items, names.count, sizeof(char *), compare_times);
	for (size_t i = 0; err == 0 && i < names.count; i++)
		err = walk_snapshot(m, names.items[i], v);
	names_clear(&names);
	return err;
}

/* --- sessions --- */

/* 1: somebody stands on ROOT; 0; -errno. */
static int is_stood_on(struct mark *m, const struct id *root)
{
	struct peers now;
	int err = peers_list(m->repo, m->own_id, &now);
	if (err < 0)
		return err;
	for (size_t i = 0; err == 0 && i < now.count; i++)
		if (!now.items[i].readable || peers_has_root(&now.items[i], root))
			err = 1;
	peers_clear(&now);
	return err;
}

/* As refuse: -EAGAIN if the session has left ROOT, which one does whose
 * snapshot was forgotten before it could publish that. */
static int refuse_session(struct mark *m, const struct peer *who,
		const struct id *root, int err)
{
	const struct timespec pause = { .tv_nsec = LOOK_AGAIN_NS };
	struct error_copy kept;
	char text[PEER_TEXT_MAX];
	double end = monotonic_now() + m->wait;
	if (!is_damage(err))
		return err;
	error_save(&kept, err);
	for (;;) {
		int e = is_stood_on(m, root);
		if (e <= 0)
			return e < 0 ? e : -EAGAIN;
		if (interrupt_flag || monotonic_now() >= end)
			break;
		nanosleep(&pause, NULL);
	}
	error_load(&kept);
	return fail(err, "%s uses an image that can't be read: %.1000s; nothing "
			 "is deleted until it has ended",
			peers_text(text, who), error_text(err));
}

static int walk_sessions(struct mark *m, const struct mark_visitor *v)
{
	struct peers peers;
	int err = peers_list_readable(m->repo, m->own_id, m->wait, &peers);
	if (err < 0)
		return err;
	for (size_t i = 0; err == 0 && i < peers.count; i++) {
		const struct peer *p = &peers.items[i];
		if (!p->readable)
			peers_text(m->blind, p);
		for (uint32_t k = 0; err == 0 && k < p->record.root_count; k++) {
			const struct id *root = &p->record.roots[k];
			if (is_seen(m, root))
				continue;
			err = walk_new_root(m, root, v);
			if (err < 0)
				err = refuse_session(m, p, root, err);
		}
	}
	peers_clear(&peers);
	return err;
}

static int walk_all(struct mark *m, const struct mark_visitor *v)
{
	int err = walk_snapshots(m, v);
	if (err == 0)
		err = walk_sessions(m, v);
	/* Once more, for what appeared before the roots were read. What appears
	 * later is made of what is covered by then (see marking.h). */
	if (err == 0)
		err = walk_snapshots(m, v);
	return err;
}

int mark_unseen(struct mark *m, const struct mark_visitor *v)
{
	int err = walk_all(m, v);
	return err == -EAGAIN ? fail(-ESTALE, "snapshots were forgotten while "
					    "they were looked at; run it again")
			    : err;
}

/* --- claiming --- */

static uint64_t share_of(const struct trailer *t, const struct chunk_entry *c)
{
	const struct frame_entry *f = &t->frames[c->frame];
	return (uint64_t)f->stored_len * c->len / f->plain_len;
}

/* The first sight of a pack's trailer. */
static int measure(struct mark *m, struct stored_pack *p,
		const struct trailer *t)
{
	p->kind = t->kind;
	p->chunks = t->chunk_count;
	p->live_bits = calloc(t->chunk_count / 64 + 1, sizeof(uint64_t));
	if (p->live_bits == NULL)
		return no_memory();
	for (uint32_t i = 0; i < t->chunk_count; i++)
		p->shares += share_of(t, &t->chunks[i]);
	for (uint32_t i = 0; !p->damaged && i < t->frame_count; i++)
		p->damaged = exclusions_damaged(m->repo->exclusions, &p->id, i);
	return 0;
}

/* 1: T is the trailer; 0: there is none to be had; -errno. */
static int load_trailer(struct mark *m, struct stored_pack *p,
		struct trailer **t)
{
	*t = NULL;
	if (p->gone || p->unreadable)
		return 0;
	if (interrupt_flag)
		return fail(-ECANCELED, "interrupted");
	int err = pack_cache_peek(m->repo->packs, &p->id, t);
	if (err == -ENOMEM)
		return err;
	if (err == -ENOENT)
		p->gone = true;
	if (err < 0) {
		p->unreadable = !p->gone;
		if (p->unreadable && m->unreadable_packs++ < 10)
			report_warning("%s; it is left alone", error_text(err));
		return 0;
	}
	err = p->kind ? 0 : measure(m, p, *t);
	if (err < 0)
		trailer_free(take_ptr(*t));
	return err < 0 ? err : 1;
}

static int claim(struct mark *m, struct stored_pack *p,
		struct live_set *table, const struct slice *slice)
{
	struct trailer *t;
	int err = load_trailer(m, p, &t);
	for (uint32_t i = 0; err == 1 && i < t->chunk_count; i++) {
		const struct chunk_entry *c = &t->chunks[i];
		if (!in_slice(slice, &c->id)
				|| live_set_flag(table, &c->id) != 0)
			continue;
		if (p->damaged && exclusions_damaged(m->repo->exclusions, &p->id,
						  c->frame))
			continue; /* no copy to count on */
		live_set_turn(table, &c->id, true);
		p->live_bits[i / 64] |= (uint64_t)1 << i % 64;
		p->live++;
		p->live_shares += share_of(t, c);
	}
	trailer_free(t);
	m->done += p->size;
	return err < 0 ? err : 0;
}

/* After all have claimed: does a damaged frame hold what nobody has? */
static int look_for_irreplaceable(struct mark *m, struct stored_pack *p,
		const struct live_set *table, const struct slice *slice)
{
	struct trailer *t;
	int err = load_trailer(m, p, &t);
	for (uint32_t i = 0; err == 1 && i < t->chunk_count; i++) {
		const struct chunk_entry *c = &t->chunks[i];
		if (in_slice(slice, &c->id)
				&& live_set_flag(table, &c->id) == 0
				&& exclusions_damaged(m->repo->exclusions, &p->id,
						c->frame))
			p->irreplaceable = true;
	}
	trailer_free(t);
	return err < 0 ? err : 0;
}

/* Who claims first: those that stay anyhow, then large ones. What only
 * condemned packs have must be copied out. Those that came meanwhile are
 * second to older copies, which have been there for longer. */
static int claim_rank(const struct stored_pack *p)
{
	return p->condemned ? 3 : p->fresh ? 2 : p->alone ? 0 : 1;
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

static int claim_all(struct mark *m, struct live_set *table,
		const struct slice *slice)
{
	struct stored *s = m->stored;
	CLEANUP_FREE struct stored_pack **order =
			calloc(s->count + 1, sizeof(struct stored_pack *));
	uint64_t bytes = 0;
	int err = 0;
	if (order == NULL)
		return no_memory();
	for (size_t i = 0; i < s->count; i++) {
		order[i] = &s->packs[i];
		bytes += s->packs[i].size;
	}
	if (s->count > 1)
		qsort(order, s->count, sizeof(struct stored_pack *),
				compare_claims);
	m->done = 0;
	m->total = bytes;
	for (size_t i = 0; err == 0 && i < s->count; i++)
		err = claim(m, order[i], table, slice);
	for (size_t i = 0; err == 0 && i < s->count; i++)
		if (s->packs[i].damaged)
			err = look_for_irreplaceable(m, &s->packs[i], table,
					slice);
	m->live += live_set_count(table);
	m->missing += live_set_count(table) - live_set_flagged(table);
	return err;
}

/* --- the mark --- */

struct collector {
	struct live_set *table;
	struct slice slice;
};

static int collect(void *ctx, const struct id *id)
{
	struct collector *c = ctx;
	if (!in_slice(&c->slice, id))
		return 0;
	int err = live_set_add(c->table, id);
	return err == -ENOMEM ? no_memory() : err < 0 ? err : 0;
}

/* Forgets what an earlier try found. */
static int begin_anew(struct mark *m)
{
	struct stored *s = m->stored;
	for (size_t i = 0; i < s->count; i++) {
		struct stored_pack *p = &s->packs[i];
		free(take_ptr(p->live_bits));
		p->kind = 0;
		p->live = 0;
		p->shares = p->live_shares = 0;
		p->irreplaceable = false;
	}
	live_set_free(m->nodes);
	m->nodes = live_set_new(0, UINT64_MAX);
	m->root_count = 0;
	m->live = m->missing = 0;
	m->turned = false;
	m->blind[0] = '\0';
	return m->nodes ? 0 : no_memory();
}

/* So many ids must fit at most, by the index; a wrong guess costs time. */
static uint64_t guess_ids(struct mark *m)
{
	struct index_stats st = { .chunks = 0 };
	if (index_stats(m->repo->index, &st) < 0)
		error_clear();
	/* Whatever the index says, a pack holds no more. */
	return min_u64(st.chunks, m->stored->count * PACK_CHUNKS_MAX) + 1024;
}

static void note_memory(struct mark *m, const struct live_set *table)
{
	m->memory_used = max_u64(m->memory_used,
			live_set_bytes(table) + live_set_bytes(m->nodes)
					+ m->root_room * sizeof(struct id));
}

static int mark_slice(struct mark *m, struct collector *c)
{
	const struct mark_visitor v = { .node = collect, .chunk = collect,
		.ctx = c };
	m->done = m->total = 0;
	int err = c->slice.number == 0 ? walk_all(m, &v) : mark_revisit(m, &v);
	if (c->slice.number == 0)
		m->tree_bytes = m->done;
	note_memory(m, c->table);
	/* What was written since may hold chunks of the youngest snapshots. */
	if (err == 0 && c->slice.number == 0)
		err = stored_list(m->stored, m->repo, true);
	return err < 0 ? err : claim_all(m, c->table, &c->slice);
}

static int mark_once(struct mark *m)
{
	uint64_t per_slice = guess_ids(m) / m->slices;
	struct collector c = { .table = live_set_new(per_slice, m->memory),
		.slice = { .count = m->slices } };
	int err = c.table ? begin_anew(m) : no_memory();
	for (; err == 0 && c.slice.number < m->slices; c.slice.number++) {
		live_set_clear(c.table);
		err = mark_slice(m, &c);
	}
	live_set_free(c.table);
	return err;
}

static int start_slices(struct mark *m)
{
	uint64_t ids = guess_ids(m), room = live_set_capacity(m->memory);
	m->slices = 1;
	while (m->slices < SLICES_MAX && ids / m->slices > room)
		m->slices *= 2;
	if (m->frames == NULL)
		m->frames = frame_cache_new(m->repo->packs, FRAME_CACHE);
	return m->frames ? 0 : no_memory();
}

int mark_live(struct mark *m)
{
	int err = start_slices(m);
	for (int restarts = 0; err == 0;) {
		err = mark_once(m);
		if (err == -E2BIG && m->slices < SLICES_MAX)
			m->slices *= 2;
		else if (err == -EAGAIN && ++restarts >= RESTARTS_MAX)
			return fail(-ESTALE, "snapshots are forgotten faster "
					     "than they can be looked at; run "
					     "it again");
		else if (err != -EAGAIN)
			break;
		err = 0;
	}
	return err == -E2BIG ? fail(err, "too little memory was allowed for so many "
				     "chunks: raise --memory")
			   : err;
}

void mark_clear(struct mark *m)
{
	live_set_free(take_ptr(m->nodes));
	free(take_ptr(m->roots));
	frame_cache_free(take_ptr(m->frames));
	m->root_count = m->root_room = 0;
}
