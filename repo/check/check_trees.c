/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The trees of snapshots. Each leaf and node is looked at once, wherever it is
 * met; bad ones again for each file, since each file's damage is to be told.
 * Within a file they aren't either: a few nodes can stand for 128 TiB.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "check.h"

#define FRAME_CACHE ((uint64_t)32 << 20)

int check_trees_begin(struct check_trees *c)
{
	struct image_reader_options o = { .cache_size = FRAME_CACHE };
	c->sound = id_set_new();
	c->faults = 0;
	return c->sound ? image_reader_new(&c->reader, c->repo->packs, &o)
			: fail_errno(-ENOMEM, "checking trees");
}

void check_trees_end(struct check_trees *c)
{
	image_reader_free(c->reader);
	id_set_free(c->sound);
	c->reader = NULL;
	c->sound = NULL;
}

static int found(struct check_trees *c, uint64_t offset, uint64_t len,
		const struct leaf_entry *chunk, int err)
{
	const struct tree_fault f = { .snap = c->snap, .file = c->file,
		.offset = offset, .len = len, .chunk = chunk, .err = err };
	if (err == -ENOMEM)
		return err;
	c->faults++;
	return c->fault(c->ctx, &f);
}

static int bad_node(void *ctx, uint64_t offset, uint64_t len, int err)
{
	return found(ctx, offset, len, NULL, err);
}

/* A copy of the chunk that can be read as far as is known. */
static int check_chunk(const struct repository *repo,
		const struct leaf_entry *e)
{
	struct pack_cache_tried tried = { .count = 0 };
	int damaged = 0;
	for (;;) {
		struct chunk_place at;
		int err = pack_cache_locate(repo->packs, PACK_DATA, &e->id, &tried,
				&at);
		if (err < 0)
			return damaged ? fail(damaged, "a chunk is in a damaged frame")
				       : err;
		const struct trailer *t = at.pack->trailer;
		const struct chunk_entry *chunk = &t->chunks[at.chunk];
		if (chunk->len != e->len)
			damaged = -EBADMSG;
		else if (exclusions_damaged(repo->exclusions, &t->pack,
					 chunk->frame))
			damaged = -EBADMSG;
		else
			damaged = 0;
		pack_cache_tried_add(&tried, &t->pack);
		pack_cache_release(at.pack);
		if (damaged == 0 || tried.count == PACK_CACHE_TRIED_MAX)
			return damaged;
	}
}

static void tell_chunk(struct check_trees *c, uint64_t offset,
		const struct leaf_entry *e, int err)
{
	const struct tree_fault at = { .snap = c->snap, .file = c->file,
		.offset = offset + e->offset, .len = e->len, .chunk = e,
		.err = err };
	if (c->chunk != NULL && c->chunk(c->ctx, &at, err == 0))
		c->faults++;
}

static int check_leaf(void *ctx, uint64_t offset, const struct leaf *leaf)
{
	struct check_trees *c = ctx;
	c->counts->leaves++;
	c->counts->done = offset;
	if (interrupt_flag)
		return fail(-ECANCELED, "interrupted");
	for (uint32_t i = 0; i < leaf->count; i++) {
		const struct leaf_entry *e = &leaf->entries[i];
		if (e->hole)
			continue;
		c->counts->chunks++;
		int err = check_chunk(c->repo, e);
		tell_chunk(c, offset, e, err);
		if (err < 0)
			err = found(c, offset + e->offset, e->len, e, err);
		if (err < 0)
			return err;
	}
	return 0;
}

/* A leaf or node is sound for a place: its level, its length, and the sums that
 * were compared. */
static struct id place_key(const struct node_child *at, uint8_t level,
		uint64_t len)
{
	struct id key = at->id;
	const uint64_t words[] = { level, len, at->data_bytes, at->clusters };
	uint8_t bytes[ID_SIZE];
	static_assert(sizeof(words) == sizeof(bytes), "one word each");
	memcpy(bytes, words, sizeof(bytes));
	for (unsigned i = 0; i < ID_SIZE; i++)
		key.b[i] ^= bytes[i];
	return key;
}

static int enter(void *ctx, const struct node_child *at, uint8_t level,
		uint64_t offset, uint64_t len)
{
	struct check_trees *c = ctx;
	struct id key = place_key(at, level, len);
	if (id_set_contains(c->sound, &key))
		return 1;
	c->before[level] = c->faults;
	/* Who wants each chunk gets each. */
	if (c->chunk != NULL || !id_set_contains(c->bad, &key))
		return 0;
	fail(-EBADMSG, "damaged like an equal part of the file before it");
	int err = found(c, offset, len, NULL, -EBADMSG);
	return err != 0 ? err : 1;
}

/* Without memory it will be walked again: slower only. */
static void leave(void *ctx, const struct node_child *at, uint8_t level,
		uint64_t len)
{
	struct check_trees *c = ctx;
	struct id key = place_key(at, level, len);
	id_set_add(c->faults == c->before[level] ? c->sound : c->bad, &key);
}

static int walk_file(struct check_trees *c)
{
	const struct image_walker walker = { .leaf = check_leaf,
		.error = bad_node, .enter = enter, .leave = leave, .ctx = c };
	const struct snapshot_file *file = c->file;
	struct image *image;
	int err = image_open(&image, c->reader, &file->root, file->size);
	if (err < 0)
		return found(c, 0, file->size, NULL, err);
	report_progress_begin(file->name, check_packs_progress, c->counts);
	err = image_seek_walk(image, &walker);
	report_progress_end();
	image_close(image);
	return err;
}

int check_trees_file(struct check_trees *c, const struct snapshot *snap,
		const struct snapshot_file *file)
{
	c->snap = snap;
	c->file = file;
	c->counts->files++;
	c->counts->done = 0;
	c->counts->total = file->size;
	c->bad = id_set_new();
	if (c->bad == NULL)
		return fail_errno(-ENOMEM, "checking trees");
	int err = walk_file(c);
	id_set_free(c->bad);
	c->bad = NULL;
	return err;
}

int check_trees_snapshot(struct check_trees *c, const struct snapshot *snap)
{
	int err = 0;
	c->counts->snapshots++;
	for (uint32_t i = 0; err == 0 && i < snap->file_count; i++)
		err = check_trees_file(c, snap, &snap->files[i]);
	return err;
}
