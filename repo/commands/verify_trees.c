/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every tree of the snapshots: each node can be read, each chunk is listed by
 * the authenticated trailer of a pack that exists, with the length that the
 * tree gives it, outside of frames known to be damaged. Subtrees that a
 * sound walk has seen are passed over, so shared ones are read once.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/error.h"
#include "../base/interrupt.h"
#include "../data/id_set.h"
#include "verify.h"

#define FRAME_CACHE ((uint64_t)32 << 20)

struct tree_check {
	struct verify *verify;
	struct image_reader *reader;
	struct id_set *sound;		/* nodes of files found sound */
	struct id *entered;		/* nodes of the file under way */
	size_t entered_count, entered_room;
	const struct snapshot *snap;
	const struct snapshot_file *file;
	bool bad;			/* something in this file */
	/* A run of bad bytes, reported as one. */
	uint64_t bad_from, bad_to;
	char bad_text[512];
};

static void report_run(struct tree_check *c)
{
	if (c->bad_to == 0)
		return;
	verify_problem(c->verify,
			"snapshot %s, %s, bytes %" PRIu64 " to %" PRIu64 ": %s",
			c->snap->object + strlen("snapshots/"), c->file->name,
			c->bad_from, c->bad_to - 1, c->bad_text);
	c->bad_to = 0;
	c->bad_text[0] = '\0';
}

static int note_bad(void *ctx, uint64_t offset, uint64_t len, int err)
{
	struct tree_check *c = ctx;
	if (err == -ENOMEM)
		return err;
	c->bad = true;
	if (c->bad_to != offset || strcmp(c->bad_text, error_text(err)) != 0) {
		report_run(c);
		c->bad_from = offset;
		snprintf(c->bad_text, sizeof(c->bad_text), "%.500s",
				error_text(err));
	}
	c->bad_to = offset + len;
	return 0;
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

static int check_leaf(void *ctx, uint64_t offset, const struct leaf *leaf)
{
	struct tree_check *c = ctx;
	c->verify->leaves++;
	c->verify->done = offset;
	if (interrupt_flag)
		return fail(-ECANCELED, "interrupted");
	for (uint32_t i = 0; i < leaf->count; i++) {
		const struct leaf_entry *e = &leaf->entries[i];
		if (e->hole)
			continue;
		c->verify->chunks++;
		int r = check_chunk(c->verify->repo->packs, e);
		if (r < 0)
			r = note_bad(c, offset + e->offset, e->len, r);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Also notes the node. Whether its file is sound shows only at the end, so
 * the nodes of bad files are looked at again, and reported, for each file. */
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

static int check_file(struct tree_check *c)
{
	const struct image_walker walker = { .leaf = check_leaf,
		.error = note_bad, .skip = seen_before, .ctx = c };
	struct image *image;
	int e = image_open(&image, c->reader, &c->file->root, c->file->size);
	c->bad = false;
	c->verify->files++;
	c->verify->done = 0;
	c->verify->total = c->file->size;
	if (e == 0) {
		progress_begin(c->file->name, verify_progress, c->verify);
		e = image_walk(image, &walker);
		progress_end();
		image_close(image);
	} else {
		e = note_bad(c, 0, c->file->size, e);
	}
	report_run(c);
	for (size_t i = 0; e == 0 && !c->bad && i < c->entered_count; i++)
		id_set_add(c->sound, &c->entered[i]);
	c->entered_count = 0;
	return e;
}

static void bad_snapshot(void *ctx, const char *object, int err)
{
	verify_problem(ctx, "%s: %s", object, error_text(err));
}

static int check_snapshot(struct tree_check *c, const struct snapshot *s)
{
	int e = 0;
	c->snap = s;
	c->verify->snapshots++;
	for (uint32_t i = 0; e == 0 && i < s->file_count; i++) {
		c->file = &s->files[i];
		e = check_file(c);
	}
	return e;
}

static int check_list(struct tree_check *c, const char *spec)
{
	struct repository *r = c->verify->repo;
	struct snapshot_list all;
	struct snapshot *one;
	int e;
	if (spec != NULL) {
		e = snapshot_resolve(r, spec, &one, NULL);
		if (e < 0)
			return e;
		e = check_snapshot(c, one);
		snapshot_free(one);
		return e;
	}
	e = snapshot_list_load(r, NULL, &all, bad_snapshot, c->verify);
	if (e < 0)
		return e;
	/* The newest first: their problems matter most. */
	for (size_t i = all.count; e == 0 && i-- > 0;)
		e = check_snapshot(c, all.items[i]);
	snapshot_list_clear(&all);
	return e;
}

int verify_trees(struct verify *v, const char *snapshot)
{
	struct tree_check c = { .verify = v, .sound = id_set_new() };
	struct image_reader_options o = { .cache_size = FRAME_CACHE };
	int e = c.sound ? image_reader_new(&c.reader, v->repo->packs, &o)
			: fail_errno(-ENOMEM, "checking trees");
	if (e == 0)
		e = check_list(&c, snapshot);
	image_reader_free(c.reader);
	id_set_free(c.sound);
	free(c.entered);
	return e;
}
