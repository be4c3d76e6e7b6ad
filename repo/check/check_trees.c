/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The trees of snapshots. Each leaf and node is checked once, wherever it is
 * met; bad ones are checked again for each file, since each file's damage is to
 * be reported, but not within a file: a few nodes can stand for 128 TiB.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "check.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"

#define FRAME_CACHE ((uint64_t)32 << 20)

int check_trees_begin(struct check_trees *check)
{
	struct image_reader_options o = { .cache_size = FRAME_CACHE };
	check->sound = id_set_new();
	check->faults = 0;
	return check->sound != NULL ? image_reader_new(&check->reader,
			       check->repo->packs, &o)
				    : fail_no_memory("checking trees");
}

void check_trees_end(struct check_trees *check)
{
	image_reader_free(check->reader);
	id_set_free(check->sound);
	check->reader = NULL;
	check->sound = NULL;
}

static int found(struct check_trees *check, uint64_t offset, uint64_t len,
		const struct leaf_entry *chunk, int err)
{
	const struct tree_fault f = { .snap = check->snap,
		.file = check->file,
		.offset = offset,
		.len = len,
		.chunk = chunk,
		.err = err };
	if (err == -ENOMEM)
		return err;
	check->faults++;
	return check->fault(check->ctx, &f);
}

static int bad_node(void *ctx, uint64_t offset, uint64_t len, int err)
{
	return found(ctx, offset, len, NULL, err);
}

/* A copy of the chunk that can be read as far as is known. */
static int check_chunk(struct check_trees *check,
		const struct leaf_entry *entry)
{
	const struct repository *repo = check->repo;
	struct pack_cache_tried tried = { .count = 0 };
	int damaged = 0;
	for (;;) {
		struct chunk_place at;
		int err = pack_cache_locate(repo->packs, PACK_DATA, &entry->id,
				&tried, &at);
		if (err < 0)
			return damaged ? fail(damaged,
					       "a chunk is in a damaged frame")
				       : err;
		const struct trailer *trailer = at.pack->trailer;
		const struct chunk_entry *chunk = &trailer->chunks[at.chunk];
		if (chunk->len != entry->len)
			damaged = -EBADMSG;
		else if (exclusions_damaged(repo->exclusions, &trailer->pack,
					 chunk->frame))
			damaged = -EBADMSG;
		else
			damaged = 0;
		if (damaged == 0 && chunk->checksum == 0)
			check->counts->bare_chunks++;
		pack_cache_tried_add(&tried, &trailer->pack);
		pack_cache_release(at.pack);
		if (damaged == 0 || tried.count == PACK_CACHE_TRIED_MAX)
			return damaged;
	}
}

static void tell_chunk(struct check_trees *check, uint64_t offset,
		const struct leaf_entry *entry, int err)
{
	const struct tree_fault at = { .snap = check->snap,
		.file = check->file,
		.offset = offset + entry->offset,
		.len = entry->len,
		.chunk = entry,
		.err = err };
	if (check->chunk != NULL && check->chunk(check->ctx, &at, err == 0))
		check->faults++;
}

static int check_leaf(void *ctx, uint64_t offset, const struct leaf *leaf)
{
	struct check_trees *check = ctx;
	check->counts->leaves++;
	check->counts->done = offset;
	if (interrupt_flag)
		return fail(-ECANCELED, "interrupted");
	for (uint32_t i = 0; i < leaf->count; i++) {
		const struct leaf_entry *entry = &leaf->entries[i];
		if (entry->hole)
			continue;
		check->counts->chunks++;
		int err = check_chunk(check, entry);
		tell_chunk(check, offset, entry, err);
		if (err < 0)
			err = found(check, offset + entry->offset, entry->len,
					entry, err);
		if (err < 0)
			return err;
	}
	return 0;
}

/* A leaf or node is sound for a place: its level, its length, and the sums that
 * were compared. */
static struct id place_key(const struct node_child *child, uint8_t level,
		uint64_t len)
{
	struct id key = child->id;
	const uint64_t words[] = { level, len, child->data_bytes,
		child->clusters };
	uint8_t bytes[ID_SIZE];
	static_assert(sizeof(words) == sizeof(bytes), "one word each");
	memcpy(bytes, words, sizeof(bytes));
	for (unsigned i = 0; i < ID_SIZE; i++)
		key.b[i] ^= bytes[i];
	return key;
}

static int enter(void *ctx, const struct node_child *child, uint8_t level,
		uint64_t offset, uint64_t len)
{
	struct check_trees *check = ctx;
	struct id key = place_key(child, level, len);
	if (id_set_contains(check->sound, &key))
		return 1;
	check->before[level] = check->faults;
	/* With a CHUNK callback every chunk is visited. */
	if (check->chunk != NULL || !id_set_contains(check->bad, &key))
		return 0;
	fail(-EBADMSG, "damaged like an identical, earlier part");
	int err = found(check, offset, len, NULL, -EBADMSG);
	return err != 0 ? err : 1;
}

/* Without memory it is walked again, which is only slower. */
static void leave(void *ctx, const struct node_child *child, uint8_t level,
		uint64_t len)
{
	struct check_trees *check = ctx;
	struct id key = place_key(child, level, len);
	id_set_add(check->faults == check->before[level] ? check->sound
							 : check->bad,
			&key);
}

static int walk_file(struct check_trees *check)
{
	const struct image_walker walker = { .leaf = check_leaf,
		.error = bad_node,
		.enter = enter,
		.leave = leave,
		.ctx = check };
	const struct snapshot_file *file = check->file;
	struct image *image;
	int err = image_open(&image, check->reader, &file->root, file->size);
	if (err < 0)
		return found(check, 0, file->size, NULL, err);
	report_progress_begin(file->name, check_packs_progress, check->counts);
	err = image_seek_walk(image, &walker);
	report_progress_end();
	image_close(image);
	return err;
}

int check_trees_file(struct check_trees *check, const struct snapshot *snap,
		const struct snapshot_file *file)
{
	check->snap = snap;
	check->file = file;
	check->counts->files++;
	check->counts->done = 0;
	check->counts->total = file->size;
	check->bad = id_set_new();
	if (check->bad == NULL)
		return fail_no_memory("checking trees");
	int err = walk_file(check);
	id_set_free(check->bad);
	check->bad = NULL;
	return err;
}

int check_trees_snapshot(struct check_trees *check, const struct snapshot *snap)
{
	int err = 0;
	check->counts->snapshots++;
	for (uint32_t i = 0; err == 0 && i < snap->file_count; i++)
		err = check_trees_file(check, snap, &snap->files[i]);
	return err;
}
