/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Items are few and found by comparing; the ids of chunks in damaged frames are
 * many, and sorted. */
#include "damage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/error.h"

void damages_clear(struct damages *damages)
{
	for (size_t i = 0; i < damages->count; i++) {
		free(damages->items[i].cause);
		free(damages->items[i].ranges.items);
	}
	free(damages->items);
	free(damages->marks);
	*damages = (struct damages){ 0 };
}

const char *damage_kind_name(enum damage_kind k)
{
	static const char *const names[] = { [DAMAGE_FRAME] = "frame",
		[DAMAGE_TRAILER] = "trailer",
		[DAMAGE_CHUNKS] = "chunks",
		[DAMAGE_NODE] = "node" };
	return names[k];
}

/* --- items --- */

static struct damage *new_item(struct damages *damages, enum damage_kind kind,
		const char *cause)
{
	if (damages->count == damages->room) {
		size_t room = damages->room ? 2 * damages->room : 16;
		struct damage *more = reallocarray(damages->items, room,
				sizeof(*more));
		if (more == NULL)
			return NULL;
		damages->items = more;
		damages->room = room;
	}
	struct damage *damage = &damages->items[damages->count];
	*damage = (struct damage){ .kind = kind, .cause = strdup(cause) };
	if (damage->cause == NULL)
		return NULL;
	damages->count++;
	return damage;
}

static struct damage *find_pack(struct damages *damages, enum damage_kind kind,
		const struct pack_id *pack, uint32_t frame)
{
	for (size_t i = 0; i < damages->count; i++) {
		struct damage *damage = &damages->items[i];
		if (damage->kind == kind && damage->frame == frame
				&& memcmp(damage->pack.b, pack->b, PACK_ID_SIZE)
						== 0)
			return damage;
	}
	return NULL;
}

static int mark(struct damages *damages, const struct id *id, size_t item)
{
	if (damages->mark_count == damages->mark_room) {
		size_t room = damages->mark_room ? 2 * damages->mark_room : 256;
		struct damage_mark *more = reallocarray(damages->marks, room,
				sizeof(*more));
		if (more == NULL)
			return fail_no_memory("noting damage");
		damages->marks = more;
		damages->mark_room = room;
	}
	damages->marks[damages->mark_count].id = *id;
	damages->marks[damages->mark_count++].item = item;
	return 0;
}

int damages_add_frame(struct damages *damages, const struct trailer *trailer,
		uint32_t frame, int err)
{
	const struct frame_entry *entry = &trailer->frames[frame];
	if (find_pack(damages, DAMAGE_FRAME, &trailer->pack, frame) != NULL)
		return 0;
	struct damage *damage =
			new_item(damages, DAMAGE_FRAME, error_text(err));
	if (damage == NULL)
		return fail_no_memory("noting damage");
	damage->pack = trailer->pack;
	damage->frame = frame;
	damage->holds = trailer->kind;
	damage->chunks = entry->chunk_count;
	int r = 0;
	for (uint32_t i = 0; r == 0 && i < entry->chunk_count; i++)
		r = mark(damages, &trailer->chunks[entry->first_chunk + i].id,
				(size_t)(damage - damages->items));
	return r;
}

int damages_add_trailer(struct damages *damages, const struct pack_id *pack,
		int err)
{
	if (find_pack(damages, DAMAGE_TRAILER, pack, TRAILER_AD) != NULL)
		return 0;
	struct damage *damage =
			new_item(damages, DAMAGE_TRAILER, error_text(err));
	if (damage == NULL)
		return fail_no_memory("noting damage");
	damage->pack = *pack;
	damage->frame = TRAILER_AD;
	return 0;
}

static int compare_marks(const void *a, const void *b)
{
	const struct damage_mark *x = a, *y = b;
	return memcmp(x->id.b, y->id.b, ID_SIZE);
}

int damages_find(struct damages *damages, struct pack_cache *packs)
{
	if (damages->mark_count > 1)
		qsort(damages->marks, damages->mark_count,
				sizeof(*damages->marks), compare_marks);
	for (size_t i = 0; i < damages->count; i++)
		damages->items[i].elsewhere = 0;
	for (size_t i = 0; i < damages->mark_count; i++) {
		struct damage *damage = &damages->items[damages->marks[i].item];
		struct chunk_place place;
		int err = pack_cache_find(packs, damage->holds,
				&damages->marks[i].id, &place);
		if (err < 0)
			return err;
		if (err == 1) {
			damage->elsewhere++;
			pack_cache_release(place.pack);
		}
	}
	return 0;
}

/* --- what it touches --- */

static const struct damage_mark *find_mark(const struct damages *damages,
		const struct id *id)
{
	const struct damage_mark wanted = { .id = *id };
	return damages->mark_count == 0
			? NULL
			: bsearch(&wanted, damages->marks, damages->mark_count,
					sizeof(wanted), compare_marks);
}

bool damages_marked(const struct damages *damages, const struct id *id)
{
	return find_mark(damages, id) != NULL;
}

int damages_note_chunk(struct damages *damages, const struct tree_fault *fault,
		bool whole)
{
	const struct damage_mark *mark = find_mark(damages, &fault->chunk->id);
	if (mark == NULL)
		return 0;
	int err = damage_ranges_add(&damages->items[mark->item].ranges, fault,
			whole);
	return err < 0 ? err : 1;
}

int damages_note_fault(struct damages *damages, const struct tree_fault *fault)
{
	bool missing = fault->chunk != NULL && fault->err == -ENOENT;
	const char *cause = missing ? "chunks are in no readable pack"
				    : error_text(fault->err);
	struct damage *damage = NULL;
	for (size_t i = 0; damage == NULL && i < damages->count; i++)
		if (strcmp(damages->items[i].cause, cause) == 0)
			damage = &damages->items[i];
	if (damage == NULL)
		damage = new_item(damages,
				fault->chunk != NULL ? DAMAGE_CHUNKS
						     : DAMAGE_NODE,
				cause);
	if (damage == NULL)
		return fail_no_memory("noting damage");
	return damage_ranges_add(&damage->ranges, fault, false);
}

/* --- ranges --- */

int damage_ranges_add(struct damage_ranges *ranges,
		const struct tree_fault *fault, bool readable)
{
	struct damage_range *last = ranges->count
			? &ranges->items[ranges->count - 1]
			: NULL;
	if (last != NULL && last->file == fault->file
			&& last->to == fault->offset
			&& last->readable == readable) {
		last->to += fault->len;
		return 0;
	}
	if (ranges->items == NULL || ranges->count == ranges->room) {
		size_t room = ranges->room ? 2 * ranges->room : 16;
		struct damage_range *more = reallocarray(ranges->items, room,
				sizeof(*more));
		if (more == NULL)
			return fail_no_memory("noting damage");
		ranges->items = more;
		ranges->room = room;
	}
	ranges->items[ranges->count++] =
			(struct damage_range){ .snap = fault->snap,
				.file = fault->file,
				.from = fault->offset,
				.to = fault->offset + fault->len,
				.readable = readable };
	return 0;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct damage_range *x = a, *y = b;
	int err = strcmp(x->snap->object, y->snap->object);
	if (err != 0)
		return err;
	err = strcmp(x->file->name, y->file->name);
	if (err != 0)
		return err;
	err = x->readable - y->readable;
	if (err != 0)
		return err;
	if (x->from != y->from)
		err = x->from < y->from ? -1 : 1;
	return err;
}

void damage_ranges_join(struct damage_ranges *ranges)
{
	size_t kept = 0;
	if (ranges->count > 1)
		qsort(ranges->items, ranges->count, sizeof(*ranges->items),
				compare_ranges);
	for (size_t i = 0; i < ranges->count; i++) {
		struct damage_range *last =
				kept ? &ranges->items[kept - 1] : NULL;
		const struct damage_range *now = &ranges->items[i];
		if (last == NULL || last->file != now->file
				|| last->readable != now->readable
				|| now->from > last->to)
			ranges->items[kept++] = *now;
		else if (now->to > last->to)
			last->to = now->to;
	}
	ranges->count = kept;
}

uint64_t damage_ranges_bytes(const struct damage_ranges *ranges)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < ranges->count; i++)
		sum += ranges->items[i].to - ranges->items[i].from;
	return sum;
}
