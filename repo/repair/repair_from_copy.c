/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From a byte copy. A pack that is damaged or gone is replaced by the copy's if
 * that is good to the last frame; so no second copy of its chunks comes to be,
 * and the damage itself goes. Otherwise chunks are taken one by one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/pack/exclusions.h"
#include "repair_internal.h"

static int check_all(struct repository *r, const struct pack_id *pack)
{
	struct trailer *t = NULL;
	struct check_frames_buffers b;
	int err = check_frames_init(&b);
	if (err == 0)
		err = pack_cache_peek(r->packs, pack, &t);
	for (uint32_t i = 0; err == 0 && i < t->frame_count; i++)
		err = check_frames_one(r, t, i, &b);
	trailer_free(t);
	check_frames_clear(&b);
	return err;
}

/* 1 if something is recorded of PACK; with CLEAR that goes. */
static int recorded(struct repository *r, const struct pack_id *pack,
		bool clear)
{
	CLEANUP_FREE struct damaged_frame *all = NULL;
	size_t count = 0;
	int found = 0;
	int err = exclusions_list_damaged(r->exclusions, &all, &count);
	for (size_t i = 0; err == 0 && i < count; i++) {
		if (memcmp(all[i].pack.b, pack->b, PACK_ID_SIZE) != 0)
			continue;
		found = 1;
		if (clear)
			err = exclusions_clear_damaged(r->exclusions, &all[i], true);
	}
	return err < 0 ? err : found;
}

static int replace(struct repair_snapshot *m, const char *name, const struct pack_id *pack)
{
	struct repository *r = m->to->repo;
	CLEANUP_FREE void *data = NULL;
	struct pack *loaded;
	size_t len = 0;
	int err = store_get(m->from->store, name, &data, &len, PACK_SIZE_MAX);
	if (err < 0)
		return repair_snapshot_stopped(m) ? err : 0;
	err = store_put(r->store, name, data, len, false);
	if (err < 0)
		return err;
	pack_cache_drop(r->packs, pack);
	err = check_all(r, pack);
	if (err < 0) /* it does not come back as it went */
		return fail_within(err, "after %s was written anew", name);
	err = recorded(r, pack, true);
	if (err >= 0 && pack_cache_load(r->packs, pack, &loaded) == 0)
		pack_cache_release(loaded);
	m->packs++;
	return err < 0 ? err : 1;
}

int repair_from_copy_pack(struct repair_snapshot *m, const struct pack_id *pack)
{
	char name[PACK_NAME_SIZE];
	struct id key = { .b = { 0 } };
	uint64_t size;
	memcpy(key.b, pack->b, PACK_ID_SIZE);
	if (!m->byte_copy || id_set_add(m->tried, &key) != 1)
		return 0;
	pack_name(name, pack);
	if (store_size(m->to->repo->store, name, &size) == 0) {
		int err = recorded(m->to->repo, pack, false);
		if (err <= 0)
			return err;
	}
	if (check_all(m->from, pack) < 0)
		return 0;
	return replace(m, name, pack);
}

int repair_from_copy_snapshot(struct repair_snapshot *m, const char *object)
{
	struct repository *r = m->to->repo;
	CLEANUP_FREE void *data = NULL;
	struct snapshot *s;
	size_t len = 0;
	if (!m->byte_copy || snapshot_object_load(m->from, object, &s) < 0)
		return 0;
	snapshot_free(s);
	int err = store_get(m->from->store, object, &data, &len,
			(size_t)32 << 20);
	if (err < 0)
		return 0;
	err = store_put(r->store, object, data, len, false);
	if (err < 0)
		return err;
	m->snapshots++;
	return 1;
}

static int take_chunk(struct repair_snapshot *m, enum pack_kind kind, const struct id *id,
		const struct chunk_place *at)
{
	const struct trailer *t = at->pack->trailer;
	const struct chunk_entry *c = &t->chunks[at->chunk];
	struct frame *frame;
	if (frame_cache_get(m->frames, at->pack, c->frame, c->offset + c->len,
			    &frame)
			< 0)
		return 0;
	int err = repair_snapshot_put(m, kind, id, frame->data + c->offset, c->len);
	frame_cache_unpin(frame);
	return err;
}

/* 1 mended, 0 not, -errno. */
static int mend_by_id(struct repair_snapshot *m, enum pack_kind kind, const struct id *id)
{
	struct chunk_place at;
	if (repair_snapshot_has(m, id))
		return 1;
	/* Not pack_cache_locate: that it is not there is nothing to record there. */
	int err = pack_cache_find(m->from->packs, kind, id, &at);
	if (err != 1)
		return repair_snapshot_stopped(m) ? err : 0;
	const struct pack_id pack = at.pack->trailer->pack;
	err = repair_from_copy_pack(m, &pack);
	if (err == 0) {
		struct chunk_place now;
		/* Or it came back with its pack, for an earlier fault. */
		if (pack_cache_find(m->to->repo->packs, kind, id, &now) == 1) {
			pack_cache_release(now.pack);
			err = 1;
		} else {
			err = take_chunk(m, kind, id, &at);
		}
	}
	pack_cache_release(at.pack);
	return err;
}

ssize_t repair_from_copy(struct repair_snapshot *m, const struct repair_fault *faults,
		size_t count)
{
	ssize_t mended = 0;
	for (size_t i = 0; i < count && !repair_snapshot_stopped(m); i++) {
		int err = id_is_zero(&faults[i].id)
				? 0
				: mend_by_id(m, faults[i].node ? PACK_TREE
							       : PACK_DATA,
						  &faults[i].id);
		if (err < 0)
			return err;
		mended += err;
	}
	return mended;
}
