/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From a byte copy. A pack that is damaged or gone is replaced by the copy's if
 * that is good to the last frame; so no second copy of its chunks is made, and
 * the damage itself disappears. Otherwise chunks are taken one by one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repair_internal.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/pack/exclusions.h"
#include "repo/snapshot/snapshot_object.h"

static int check_all(struct repository *repo, const struct pack_id *pack)
{
	struct trailer *trailer = NULL;
	struct check_frames_buffers b;
	int err = check_frames_init(&b);
	if (err == 0)
		err = pack_cache_peek(repo->packs, pack, &trailer);
	for (uint32_t i = 0; err == 0 && i < trailer->frame_count; i++)
		err = check_frames_one(repo, trailer, i, &b);
	trailer_free(trailer);
	check_frames_clear(&b);
	return err;
}

/* 1 if damage of PACK is recorded; with CLEAR the record is removed. */
static int recorded(struct repository *repo, const struct pack_id *pack,
		bool clear)
{
	CLEANUP_FREE struct damaged_frame *all = NULL;
	size_t count = 0;
	int found = 0;
	int err = exclusions_list_damaged(repo->exclusions, &all, &count);
	for (size_t i = 0; err == 0 && i < count; i++) {
		if (memcmp(all[i].pack.b, pack->b, PACK_ID_SIZE) != 0)
			continue;
		found = 1;
		if (clear)
			err = exclusions_clear_damaged(repo->exclusions,
					&all[i], true);
	}
	return err < 0 ? err : found;
}

static int replace(struct repair_snapshot *repair, const char *name,
		const struct pack_id *pack)
{
	struct repository *repo = repair->to->repo;
	CLEANUP_FREE void *data = NULL;
	struct pack *loaded;
	size_t len = 0;
	int err = store_get(repair->from->store, name, &data, &len,
			PACK_SIZE_MAX);
	if (err < 0)
		return repair_snapshot_stopped(repair) ? err : 0;
	err = store_put(repo->store, name, data, len, false);
	if (err < 0)
		return err;
	pack_cache_drop(repo->packs, pack);
	err = check_all(repo, pack);
	if (err < 0) /* what was written does not read back */
		return fail_within(err, "after rewriting %s", name);
	err = recorded(repo, pack, true);
	if (err >= 0 && pack_cache_load(repo->packs, pack, &loaded) == 0)
		pack_cache_release(loaded);
	repair->packs++;
	return err < 0 ? err : 1;
}

int repair_from_copy_pack(struct repair_snapshot *repair,
		const struct pack_id *pack)
{
	struct repository *repo = repair->to->repo;
	char name[PACK_NAME_SIZE];
	struct id key = { .b = { 0 } };
	uint64_t size;
	memcpy(key.b, pack->b, PACK_ID_SIZE);
	if (!repair->byte_copy || id_set_add(repair->tried, &key) != 1)
		return 0;
	pack_name(name, pack);
	if (store_size(repo->store, name, &size) == 0) {
		int err = recorded(repo, pack, false);
		if (err <= 0)
			return err;
	}
	if (check_all(repair->from, pack) < 0)
		return 0;
	return replace(repair, name, pack);
}

int repair_from_copy_snapshot(struct repair_snapshot *repair,
		const char *object)
{
	struct repository *repo = repair->to->repo;
	CLEANUP_FREE void *data = NULL;
	struct snapshot *snap;
	size_t len = 0;
	if (!repair->byte_copy
			|| snapshot_object_load(repair->from, object, &snap)
					< 0)
		return 0;
	snapshot_free(snap);
	int err = store_get(repair->from->store, object, &data, &len,
			(size_t)32 << 20);
	if (err < 0)
		return 0;
	err = store_put(repo->store, object, data, len, false);
	if (err < 0)
		return err;
	repair->snapshots++;
	return 1;
}

static int take_chunk(struct repair_snapshot *repair, enum pack_kind kind,
		const struct id *id, const struct chunk_place *place)
{
	const struct trailer *trailer = place->pack->trailer;
	const struct chunk_entry *chunk = &trailer->chunks[place->chunk];
	struct frame *frame;
	if (frame_cache_get(repair->frames, place->pack, chunk->frame,
			    chunk->offset + chunk->len, &frame)
			< 0)
		return 0;
	int err = repair_snapshot_put(repair, kind, id,
			frame->data + chunk->offset, chunk->len);
	frame_cache_unpin(frame);
	return err;
}

/* 1 repaired, 0 not, -errno. */
static int mend_by_id(struct repair_snapshot *repair, enum pack_kind kind,
		const struct id *id)
{
	struct repository *to = repair->to->repo;
	struct chunk_place at;
	if (repair_snapshot_has(repair, id))
		return 1;
	/* Not pack_cache_locate: a missing chunk must not be recorded there. */
	int err = pack_cache_find(repair->from->packs, kind, id, &at);
	if (err != 1)
		return repair_snapshot_stopped(repair) ? err : 0;
	const struct pack_id pack = at.pack->trailer->pack;
	err = repair_from_copy_pack(repair, &pack);
	if (err == 0) {
		struct chunk_place now;
		/* Or it came back with its pack, for an earlier fault. */
		if (pack_cache_find(to->packs, kind, id, &now) == 1) {
			pack_cache_release(now.pack);
			err = 1;
		} else {
			err = take_chunk(repair, kind, id, &at);
		}
	}
	pack_cache_release(at.pack);
	return err;
}

ssize_t repair_from_copy(struct repair_snapshot *repair,
		const struct repair_fault *faults, size_t count)
{
	ssize_t mended = 0;
	for (size_t i = 0; i < count && !repair_snapshot_stopped(repair); i++) {
		int err = id_is_zero(&faults[i].id)
				? 0
				: mend_by_id(repair,
						faults[i].node ? PACK_TREE
							       : PACK_DATA,
						&faults[i].id);
		if (err < 0)
			return err;
		mended += err;
	}
	return mended;
}
