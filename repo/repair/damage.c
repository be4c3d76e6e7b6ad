/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Items are few and found by comparing; the ids of chunks in damaged frames are
 * many, and sorted. */
#include "damage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/error.h"

static int no_memory(void)
{
	return fail_errno(-ENOMEM, "noting damage");
}

void damages_clear(struct damages *d)
{
	for (size_t i = 0; i < d->count; i++) {
		free(d->items[i].cause);
		free(d->items[i].ranges.items);
	}
	free(d->items);
	free(d->marks);
	*d = (struct damages){ 0 };
}

const char *damage_kind_name(enum damage_kind k)
{
	static const char *const names[] = { [DAMAGE_FRAME] = "frame",
		[DAMAGE_TRAILER] = "trailer", [DAMAGE_CHUNKS] = "chunks",
		[DAMAGE_NODE] = "node" };
	return names[k];
}

/* --- items --- */

static struct damage *new_item(struct damages *d, enum damage_kind kind,
		const char *cause)
{
	if (d->count == d->room) {
		size_t room = d->room ? 2 * d->room : 16;
		struct damage *more = reallocarray(
				d->items, room, sizeof(*more));
		if (more == NULL)
			return NULL;
		d->items = more;
		d->room = room;
	}
	struct damage *k = &d->items[d->count];
	*k = (struct damage){ .kind = kind, .cause = strdup(cause) };
	if (k->cause == NULL)
		return NULL;
	d->count++;
	return k;
}

static struct damage *find_pack(struct damages *d, enum damage_kind kind,
		const struct pack_id *pack, uint32_t frame)
{
	for (size_t i = 0; i < d->count; i++) {
		struct damage *k = &d->items[i];
		if (k->kind == kind && k->frame == frame
				&& memcmp(k->pack.b, pack->b, PACK_ID_SIZE) == 0)
			return k;
	}
	return NULL;
}

static int mark(struct damages *d, const struct id *id, size_t item)
{
	if (d->mark_count == d->mark_room) {
		size_t room = d->mark_room ? 2 * d->mark_room : 256;
		struct damage_mark *more = reallocarray(
				d->marks, room, sizeof(*more));
		if (more == NULL)
			return no_memory();
		d->marks = more;
		d->mark_room = room;
	}
	d->marks[d->mark_count].id = *id;
	d->marks[d->mark_count++].item = item;
	return 0;
}

int damages_add_frame(struct damages *d, const struct trailer *t,
		uint32_t frame, int err)
{
	const struct frame_entry *f = &t->frames[frame];
	if (find_pack(d, DAMAGE_FRAME, &t->pack, frame) != NULL)
		return 0;
	struct damage *k = new_item(d, DAMAGE_FRAME, error_text(err));
	if (k == NULL)
		return no_memory();
	k->pack = t->pack;
	k->frame = frame;
	k->holds = t->kind;
	k->chunks = f->chunk_count;
	int r = 0;
	for (uint32_t i = 0; r == 0 && i < f->chunk_count; i++)
		r = mark(d, &t->chunks[f->first_chunk + i].id,
				(size_t)(k - d->items));
	return r;
}

int damages_add_trailer(struct damages *d, const struct pack_id *pack, int err)
{
	if (find_pack(d, DAMAGE_TRAILER, pack, TRAILER_AD) != NULL)
		return 0;
	struct damage *k = new_item(d, DAMAGE_TRAILER, error_text(err));
	if (k == NULL)
		return no_memory();
	k->pack = *pack;
	k->frame = TRAILER_AD;
	return 0;
}

static int compare_marks(const void *a, const void *b)
{
	const struct damage_mark *x = a, *y = b;
	return memcmp(x->id.b, y->id.b, ID_SIZE);
}

int damages_find(struct damages *d, struct pack_cache *packs)
{
	if (d->mark_count > 1)
		qsort(d->marks, d->mark_count, sizeof(*d->marks),
				compare_marks);
	for (size_t i = 0; i < d->count; i++)
		d->items[i].elsewhere = 0;
	for (size_t i = 0; i < d->mark_count; i++) {
		struct damage *k = &d->items[d->marks[i].item];
		struct chunk_place place;
		int err = pack_cache_find(packs, k->holds, &d->marks[i].id, &place);
		if (err < 0)
			return err;
		if (err == 1) {
			k->elsewhere++;
			pack_cache_release(place.pack);
		}
	}
	return 0;
}

/* --- what it touches --- */

static const struct damage_mark *find_mark(const struct damages *d,
		const struct id *id)
{
	const struct damage_mark wanted = { .id = *id };
	return d->mark_count == 0 ? NULL
				  : bsearch(&wanted, d->marks, d->mark_count,
						    sizeof(wanted),
						    compare_marks);
}

bool damages_marked(const struct damages *d, const struct id *id)
{
	return find_mark(d, id) != NULL;
}

int damages_note_chunk(struct damages *d, const struct tree_fault *at,
		bool whole)
{
	const struct damage_mark *m = find_mark(d, &at->chunk->id);
	if (m == NULL)
		return 0;
	int err = damage_ranges_add(&d->items[m->item].ranges, at, whole);
	return err < 0 ? err : 1;
}

int damages_note_fault(struct damages *d, const struct tree_fault *f)
{
	bool missing = f->chunk != NULL && f->err == -ENOENT;
	const char *cause = missing ? "chunks are in no pack that can be read"
				    : error_text(f->err);
	struct damage *k = NULL;
	for (size_t i = 0; k == NULL && i < d->count; i++)
		if (strcmp(d->items[i].cause, cause) == 0)
			k = &d->items[i];
	if (k == NULL)
		k = new_item(d, f->chunk ? DAMAGE_CHUNKS : DAMAGE_NODE, cause);
	if (k == NULL)
		return no_memory();
	return damage_ranges_add(&k->ranges, f, false);
}

/* --- ranges --- */

int damage_ranges_add(struct damage_ranges *r, const struct tree_fault *f,
		bool readable)
{
	struct damage_range *last = r->count ? &r->items[r->count - 1] : NULL;
	if (last != NULL && last->file == f->file && last->to == f->offset
			&& last->readable == readable) {
		last->to += f->len;
		return 0;
	}
	if (r->items == NULL || r->count == r->room) {
		size_t room = r->room ? 2 * r->room : 16;
		struct damage_range *more = reallocarray(
				r->items, room, sizeof(*more));
		if (more == NULL)
			return no_memory();
		r->items = more;
		r->room = room;
	}
	r->items[r->count++] = (struct damage_range){ .snap = f->snap,
		.file = f->file, .from = f->offset, .to = f->offset + f->len,
		.readable = readable };
	return 0;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct damage_range *x = a, *y = b;
	int err = strcmp(x->snap->object, y->snap->object);
	if (err == 0)
		err = strcmp(x->file->name, y->file->name);
	if (err == 0)
		err = x->readable - y->readable;
	if (err == 0 && x->from != y->from)
		err = x->from < y->from ? -1 : 1;
	return err;
}

void damage_ranges_join(struct damage_ranges *r)
{
	size_t kept = 0;
	if (r->count > 1)
		qsort(r->items, r->count, sizeof(*r->items), compare_ranges);
	for (size_t i = 0; i < r->count; i++) {
		struct damage_range *last = kept ? &r->items[kept - 1] : NULL;
		const struct damage_range *now = &r->items[i];
		if (last == NULL || last->file != now->file
				|| last->readable != now->readable
				|| now->from > last->to)
			r->items[kept++] = *now;
		else if (now->to > last->to)
			last->to = now->to;
	}
	r->count = kept;
}

uint64_t damage_ranges_bytes(const struct damage_ranges *r)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < r->count; i++)
		sum += r->items[i].to - r->items[i].from;
	return sum;
}
