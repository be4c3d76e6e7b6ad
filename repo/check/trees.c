/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The trees of snapshots. Whether a file is sound shows only at its end, so
 * the nodes of bad files are looked at again, and reported, for each file.
 */
#include <errno.h>
#include <stdlib.h>

#include "../base/cleanup.h"
#include "../base/error.h"
#include "../base/interrupt.h"
#include "check.h"

#define FRAME_CACHE ((uint64_t)32 << 20)

int tree_check_begin(struct tree_check *c)
{
	struct image_reader_options o = { .cache_size = FRAME_CACHE };
	c->sound = id_set_new();
	return c->sound ? image_reader_new(&c->reader, c->repo->packs, &o)
			: fail_errno(-ENOMEM, "checking trees");
}

void tree_check_end(struct tree_check *c)
{
	image_reader_free(c->reader);
	id_set_free(c->sound);
	free(c->entered);
	c->reader = NULL;
	c->sound = NULL;
	c->entered = NULL;
}

static int found(struct tree_check *c, uint64_t offset, uint64_t len,
		const struct leaf_entry *chunk, int err)
{
	const struct tree_fault f = { .snap = c->snap, .file = c->file,
		.offset = offset, .len = len, .chunk = chunk, .err = err };
	if (err == -ENOMEM)
		return err;
	c->bad = true;
	return c->fault(c->ctx, &f);
}

static int bad_node(void *ctx, uint64_t offset, uint64_t len, int err)
{
	return found(ctx, offset, len, NULL, err);
}

/* A copy of the chunk that can be read as far as is known. */
static int check_chunk(struct packs *packs, const struct leaf_entry *e)
{
	struct packs_tried tried = { .count = 0 };
	int damaged = 0;
	for (;;) {
		struct chunk_place at;
		int r = packs_locate(packs, PACK_DATA, &e->id, &tried, &at);
		if (r < 0)
			return damaged ? fail(damaged, "a chunk is in a damaged frame")
				       : r;
		const struct trailer *t = at.pack->trailer;
		const struct chunk_entry *chunk = &t->chunks[at.chunk];
		if (chunk->len != e->len)
			damaged = -EBADMSG;
		else if (packs_is_damaged(packs, &t->pack, chunk->frame))
			damaged = -EBADMSG;
		else
			damaged = 0;
		packs_tried_add(&tried, &t->pack);
		packs_release(at.pack);
		if (damaged == 0 || tried.count == PACKS_TRIED_MAX)
			return damaged;
	}
}

static void tell_chunk(struct tree_check *c, uint64_t offset,
		const struct leaf_entry *e, int err)
{
	const struct tree_fault at = { .snap = c->snap, .file = c->file,
		.offset = offset + e->offset, .len = e->len, .chunk = e,
		.err = err };
	if (c->chunk != NULL && c->chunk(c->ctx, &at, err == 0))
		c->bad = true;
}

static int check_leaf(void *ctx, uint64_t offset, const struct leaf *leaf)
{
	struct tree_check *c = ctx;
	c->counts->leaves++;
	c->counts->done = offset;
	if (interrupt_flag)
		return fail(-ECANCELED, "interrupted");
	for (uint32_t i = 0; i < leaf->count; i++) {
		const struct leaf_entry *e = &leaf->entries[i];
		if (e->hole)
			continue;
		c->counts->chunks++;
		int r = check_chunk(c->repo->packs, e);
		tell_chunk(c, offset, e, r);
		if (r < 0)
			r = found(c, offset + e->offset, e->len, e, r);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Also notes the node. */
static bool seen_before(void *ctx, const struct id *id)
{
	struct tree_check *c = ctx;
	if (id_set_contains(c->sound, id))
		return true;
	if (c->entered_count == c->entered_room) {
		size_t room = c->entered_room ? 2 * c->entered_room : 1024;
		struct id *more = realloc(c->entered, room * sizeof(*more));
		if (more == NULL)
			return false; /* it will be walked again: slower only */
		c->entered = more;
		c->entered_room = room;
	}
	c->entered[c->entered_count++] = *id;
	return false;
}

int tree_check_file(struct tree_check *c, const struct snapshot *snap,
		const struct snapshot_file *file)
{
	const struct image_walker walker = { .leaf = check_leaf,
		.error = bad_node, .skip = seen_before, .ctx = c };
	struct image *image;
	c->snap = snap;
	c->file = file;
	c->bad = false;
	c->counts->files++;
	c->counts->done = 0;
	c->counts->total = file->size;
	int e = image_open(&image, c->reader, &file->root, file->size);
	if (e == 0) {
		progress_begin(file->name, check_progress, c->counts);
		e = image_walk(image, &walker);
		progress_end();
		image_close(image);
	} else {
		e = found(c, 0, file->size, NULL, e);
	}
	for (size_t i = 0; e == 0 && !c->bad && i < c->entered_count; i++)
		id_set_add(c->sound, &c->entered[i]);
	c->entered_count = 0;
	return e;
}

int tree_check_snapshot(struct tree_check *c, const struct snapshot *snap)
{
	int e = 0;
	c->counts->snapshots++;
	for (uint32_t i = 0; e == 0 && i < snap->file_count; i++)
		e = tree_check_file(c, snap, &snap->files[i]);
	return e;
}
