/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A span that is partly the base's: the leaf becomes what reading all of it
 * would have given, but only what may have changed is read.
 *
 * Where a chunk ends depends on nothing before its first block (chunker.h). So
 * from a place where a new cut meets one of the base's, the new chunks are the
 * base's as long as the bytes are, and the entries of the base's leaf can be
 * kept. What changed is read out to the borders of the base's chunks; cut anew
 * is from the last cut before that, and then one of the base's chunks after the
 * other is read as well until a cut meets the base's again. A chunk before the
 * change is affected only if it ended because of a hole in which there may be
 * data now. So each of the base's chunks is read whole or not at all.
 *
 * The base's holes are known to be zero, read or not. Kept chunks are never
 * read from the repository. A base's leaf made by another rule of cutting would
 * only cost more reading: bytes never depend on it.
 *
 * The leaf has a proof only if all of the span is known, so where the seventh
 * part of what must be read anyway is all that is missing, that is read as
 * well. If the leaf has the base's entries, the base's leaf is kept, with the
 * proof that it may have.
 */
#include <string.h>

#include "repo/base/bytes.h"
#include "image_writer_internal.h"

/* A mark of this file's: must be read. */
#define BLOCK_WANTED 4
/* What is missing from a proof is read if so many times as much is read. */
#define PROOF_SHARE 7

struct update {
	struct span_work *s;
	const struct leaf_entry *old;	/* the base's entries */
	uint32_t old_count;
	struct node_child child;	/* the base's, as its tree says */
	struct cached_node *node;	/* holds OLD; or NULL: */
	struct leaf_entry hole;		/* OLD, where all is hole */
};

static uint32_t first_block(const struct leaf_entry *e)
{
	return e->offset / BLOCK_SIZE;
}

/* The first block behind an entry. */
static uint32_t end_block(const struct leaf_entry *e)
{
	return (e->offset + e->len + BLOCK_SIZE - 1) / BLOCK_SIZE;
}

static void mark(struct update *u, uint32_t from, uint32_t to, uint8_t how)
{
	memset(u->s->w->marks + from, how, to - from);
}

/* --- what to read --- */

/* The base's span, if it is as long; else false. */
static bool find_base(struct update *u)
{
	struct span_work *s = u->s;
	struct image *base = s->job->base;
	uint64_t at = s->span * SPAN_SIZE;
	if (s->job->source->same == NULL || base == NULL
			|| at >= image_size(base)
			|| min_u64(SPAN_SIZE, image_size(base) - at) != s->len
			|| image_leaf(base, s->span, &u->node, &u->child) < 0)
		return false;
	u->hole = (struct leaf_entry){ .len = s->len, .hole = true };
	u->old = u->node ? u->node->leaf->entries : &u->hole;
	u->old_count = u->node ? u->node->leaf->count : 1;
	for (uint32_t k = 0; k < u->old_count; k++)
		mark(u, first_block(&u->old[k]), end_block(&u->old[k]),
				u->old[k].hole ? BLOCK_ZERO : BLOCK_UNREAD);
	return true;
}

static int want_changes(struct update *u)
{
	struct span_work *s = u->s;
	uint64_t base = s->span * SPAN_SIZE;
	for (uint32_t at = 0; at < s->len;) {
		bool same;
		uint64_t end;
		int err = span_read_same(s->w, s->job, base + at, base + s->len, &same,
				&end);
		if (err < 0)
			return err;
		uint32_t to = (uint32_t)(end - base);
		if (!same)
			mark(u, at / BLOCK_SIZE,
					(to + BLOCK_SIZE - 1) / BLOCK_SIZE,
					BLOCK_WANTED);
		at = to;
	}
	return 0;
}

/* A chunk that has changed is wanted whole, and so is one that is not stored:
 * the source still has it. */
static void want_chunks(struct update *u)
{
	const struct worker *w = u->s->w;
	bool doubt = span_reuse_in_doubt(w, u->s->job);
	for (uint32_t k = 0; k < u->old_count; k++) {
		const struct leaf_entry *e = &u->old[k];
		uint32_t from = first_block(e), to = end_block(e);
		if (!e->hole && (memchr(w->marks + from, BLOCK_WANTED, to - from)
						|| (doubt && !image_reader_chunk_stored(
								w->writer->reader,
								&e->id))))
			mark(u, from, to, BLOCK_WANTED);
	}
}

/* Wants all of the base's data if little is missing. Returns the number of
 * wanted blocks; *COMPLETE: none is left unread. */
static uint32_t want_rest(struct update *u, bool *complete)
{
	uint8_t *marks = u->s->w->marks;
	uint32_t blocks = (u->s->len + BLOCK_SIZE - 1) / BLOCK_SIZE;
	uint32_t wanted = 0, rest = 0;
	for (uint32_t b = 0; b < blocks; b++) {
		wanted += marks[b] == BLOCK_WANTED;
		rest += marks[b] == BLOCK_UNREAD;
	}
	*complete = wanted > 0 && rest <= wanted / PROOF_SHARE;
	for (uint32_t b = 0; *complete && b < blocks; b++)
		if (marks[b] == BLOCK_UNREAD)
			marks[b] = BLOCK_WANTED;
	return *complete ? wanted + rest : wanted;
}

static int read_wanted(struct update *u)
{
	struct span_work *s = u->s;
	const uint8_t *marks = s->w->marks;
	uint32_t blocks = (s->len + BLOCK_SIZE - 1) / BLOCK_SIZE;
	for (uint32_t b = 0; b < blocks;) {
		uint32_t from = b;
		while (b < blocks && marks[b] == BLOCK_WANTED)
			b++;
		if (b == from) {
			b++;
			continue;
		}
		int err = span_read(s, from * BLOCK_SIZE,
				(uint32_t)min_u64(b * BLOCK_SIZE, s->len));
		if (err < 0)
			return err;
	}
	return 0;
}

/* --- cutting --- */

/* True if the base's entry K, which begins at a new cut, is what cutting would
 * give: it is unread, and ends where it did. If it ended before a hole, there
 * may be data now that belongs to it. */
static bool stands(const struct update *u, uint32_t k)
{
	const struct worker *w = u->s->w;
	const struct leaf_entry *e = &u->old[k], *next = e + 1;
	if (w->marks[first_block(e)] != BLOCK_UNREAD)
		return false;
	return k + 1 == u->old_count || !next->hole
			|| w->marks[first_block(next)] == BLOCK_ZERO
			|| e->len >= w->writer->chunker.max;
}

/* Reads the base's chunk with the unread block B, from entry K on. */
static int read_chunk_at(struct update *u, uint32_t k, uint32_t b)
{
	while (end_block(&u->old[k]) <= b)
		k++;
	return span_read(u->s, u->old[k].offset,
			u->old[k].offset + u->old[k].len);
}

/* The piece that begins at block *AT, which is not one of the base's from
 * entry K on. */
static int cut_piece(struct update *u, uint32_t k, uint32_t *at)
{
	struct span_work *s = u->s;
	const struct worker *w = s->w;
	uint32_t blocks = (s->len + BLOCK_SIZE - 1) / BLOCK_SIZE;
	uint32_t n, unread = 0, from = *at * BLOCK_SIZE;
	bool hole = w->marks[*at] == BLOCK_ZERO;
	while ((n = chunker_next(&w->writer->chunker, w->marks + *at,
				blocks - *at, &unread))
			== 0) {
		int err = read_chunk_at(u, k, *at + unread);
		if (err < 0)
			return err;
	}
	*at += n;
	return span_store_piece(s, from,
			(uint32_t)min_u64(*at * BLOCK_SIZE, s->len) - from,
			hole);
}

static int cut(struct update *u)
{
	struct span_work *s = u->s;
	struct leaf *leaf = s->w->leaf;
	uint32_t blocks = (s->len + BLOCK_SIZE - 1) / BLOCK_SIZE;
	uint32_t k = 0;
	leaf->count = 0;
	for (uint32_t at = 0; at < blocks;) {
		while (end_block(&u->old[k]) <= at)
			k++;
		const struct leaf_entry *e = &u->old[k];
		if (first_block(e) == at && stands(u, k)) {
			leaf->entries[leaf->count++] = *e;
			s->job->counts->same += e->len;
			at = end_block(e);
			continue;
		}
		int err = cut_piece(u, k, &at);
		if (err < 0)
			return err;
	}
	return 0;
}

/* --- the leaf --- */

static bool same_entries(const struct update *u, const struct leaf *leaf)
{
	if (leaf->count != u->old_count)
		return false;
	for (uint32_t k = 0; k < leaf->count; k++) {
		const struct leaf_entry *a = &leaf->entries[k], *b = &u->old[k];
		if (a->len != b->len || a->hole != b->hole
				|| !id_equal(&a->id, &b->id))
			return false;
	}
	return true;
}

/* Some of the span is read, some not. */
static int finish_partly(struct update *u)
{
	struct span_work *s = u->s;
	int err = cut(u);
	if (err < 0)
		return err;
	if (!same_entries(u, s->w->leaf))
		err = span_store_leaf(s, NULL, &u->child);
	return err < 0 ? err : span_store_end(s, &u->child);
}

static int update(struct update *u)
{
	struct span_work *s = u->s;
	bool complete, proving = s->proving;
	int err = want_changes(u);
	if (err < 0)
		return err;
	want_chunks(u);
	if (want_rest(u, &complete) == 0) {
		s->job->counts->same += u->child.data_bytes;
		return span_store_end(s, &u->child);
	}
	s->proving = false; /* which goes in order */
	err = read_wanted(u);
	if (err < 0)
		return err;
	if (!complete)
		return finish_partly(u);
	s->proving = proving;
	if (proving)
		span_read_prove(s, 0, s->len);
	return span_store_finish(s);
}

int span_update(struct span_work *s)
{
	struct update u = { .s = s };
	if (!find_base(&u))
		return 0;
	int err = update(&u);
	node_cache_release(u.node);
	return err < 0 ? err : 1;
}
