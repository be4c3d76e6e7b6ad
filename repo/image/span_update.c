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
 * The leaf has a proof only if all of the span is known, so if what is missing
 * is at most a seventh of what must be read anyway, it is read as well. If the
 * leaf has the base's entries, the base's leaf is kept, with the proof that it
 * may have.
 */
#include <string.h>

#include "image_writer_internal.h"
#include "repo/base/bytes.h"

/* A mark of this file's: must be read. */
#define BLOCK_WANTED 4
/* What is missing for a proof is read if this many times as much is read. */
#define PROOF_SHARE 7

struct update {
	struct span_work *span;
	const struct leaf_entry *old; /* the base's entries */
	uint32_t old_count;
	struct node_child child;  /* the base's, as its tree says */
	struct cached_node *node; /* holds OLD; or NULL: */
	struct leaf_entry hole;	  /* OLD, where all is hole */
};

static uint32_t first_block(const struct leaf_entry *entry)
{
	return entry->offset / BLOCK_SIZE;
}

/* The first block behind an entry. */
static uint32_t end_block(const struct leaf_entry *entry)
{
	return (entry->offset + entry->len + BLOCK_SIZE - 1) / BLOCK_SIZE;
}

static void mark(struct update *update, uint32_t from, uint32_t to, uint8_t how)
{
	struct worker *worker = update->span->worker;
	memset(worker->marks + from, how, to - from);
}

/* --- what to read --- */

/* The base's span, if it is as long; else false. */
static bool find_base(struct update *update)
{
	struct span_work *span = update->span;
	const struct job *job = span->job;
	struct image *base = job->base;
	uint64_t at = span->span * SPAN_SIZE;
	if (job->source->same == NULL || base == NULL || at >= image_size(base)
			|| min_u64(SPAN_SIZE, image_size(base) - at)
					!= span->len
			|| image_leaf(base, span->span, &update->node,
					   &update->child)
					< 0)
		return false;
	update->hole = (struct leaf_entry){ .len = span->len, .hole = true };
	const struct leaf *leaf =
			update->node != NULL ? update->node->leaf : NULL;
	update->old = leaf != NULL ? leaf->entries : &update->hole;
	update->old_count = leaf != NULL ? leaf->count : 1;
	for (uint32_t k = 0; k < update->old_count; k++)
		mark(update, first_block(&update->old[k]),
				end_block(&update->old[k]),
				update->old[k].hole ? BLOCK_ZERO
						    : BLOCK_UNREAD);
	return true;
}

static int want_changes(struct update *update)
{
	struct span_work *span = update->span;
	uint64_t base = span->span * SPAN_SIZE;
	for (uint32_t at = 0; at < span->len;) {
		bool same;
		uint64_t end;
		int err = span_read_same(span->worker, span->job, base + at,
				base + span->len, &same, &end);
		if (err < 0)
			return err;
		uint32_t to = (uint32_t)(end - base);
		if (!same)
			mark(update, at / BLOCK_SIZE,
					(to + BLOCK_SIZE - 1) / BLOCK_SIZE,
					BLOCK_WANTED);
		at = to;
	}
	return 0;
}

/* A changed chunk is wanted whole, and so is one that is not stored: the source
 * still has it. */
static void want_chunks(struct update *update)
{
	const struct worker *worker = update->span->worker;
	bool doubt = span_reuse_in_doubt(worker, update->span->job);
	for (uint32_t k = 0; k < update->old_count; k++) {
		const struct leaf_entry *entry = &update->old[k];
		uint32_t from = first_block(entry), to = end_block(entry);
		if (!entry->hole
				&& (memchr(worker->marks + from, BLOCK_WANTED,
						    to - from)
						|| (doubt
								&& !image_reader_chunk_stored(
										worker->writer->reader,
										&entry->id))))
			mark(update, from, to, BLOCK_WANTED);
	}
}

/* Wants all of the base's data if little is missing. Returns the number of
 * wanted blocks; *COMPLETE: none is left unread. */
static uint32_t want_rest(struct update *update, bool *complete)
{
	const struct worker *worker = update->span->worker;
	uint8_t *marks = worker->marks;
	uint32_t blocks = (update->span->len + BLOCK_SIZE - 1) / BLOCK_SIZE;
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

static int read_wanted(struct update *update)
{
	struct span_work *span = update->span;
	const uint8_t *marks = span->worker->marks;
	uint32_t blocks = (span->len + BLOCK_SIZE - 1) / BLOCK_SIZE;
	for (uint32_t b = 0; b < blocks;) {
		uint32_t from = b;
		while (b < blocks && marks[b] == BLOCK_WANTED)
			b++;
		if (b == from) {
			b++;
			continue;
		}
		int err = span_read(span, from * BLOCK_SIZE,
				(uint32_t)min_u64(b * BLOCK_SIZE, span->len));
		if (err < 0)
			return err;
	}
	return 0;
}

/* --- cutting --- */

/* True if the base's entry K, which begins at a new cut, is what cutting would
 * give: it is unread, and ends where it did. If it ended before a hole, there
 * may be data now that belongs to it. */
static bool stands(const struct update *update, uint32_t k)
{
	const struct worker *worker = update->span->worker;
	const struct leaf_entry *entry = &update->old[k], *next = entry + 1;
	if (worker->marks[first_block(entry)] != BLOCK_UNREAD)
		return false;
	return k + 1 == update->old_count || !next->hole
			|| worker->marks[first_block(next)] == BLOCK_ZERO
			|| entry->len >= worker->writer->chunker.max;
}

/* Reads the base's chunk with the unread block B, from entry K on. */
static int read_chunk_at(struct update *update, uint32_t k, uint32_t b)
{
	while (end_block(&update->old[k]) <= b)
		k++;
	return span_read(update->span, update->old[k].offset,
			update->old[k].offset + update->old[k].len);
}

/* The piece that begins at block *AT, which is not one of the base's from
 * entry K on. */
static int cut_piece(struct update *update, uint32_t k, uint32_t *at)
{
	struct span_work *span = update->span;
	const struct worker *worker = span->worker;
	uint32_t blocks = (span->len + BLOCK_SIZE - 1) / BLOCK_SIZE;
	uint32_t n, unread = 0, from = *at * BLOCK_SIZE;
	bool hole = worker->marks[*at] == BLOCK_ZERO;
	while ((n = chunker_next(&worker->writer->chunker, worker->marks + *at,
				blocks - *at, &unread))
			== 0) {
		int err = read_chunk_at(update, k, *at + unread);
		if (err < 0)
			return err;
	}
	*at += n;
	return span_store_piece(span, from,
			(uint32_t)min_u64(*at * BLOCK_SIZE, span->len) - from,
			hole);
}

static int cut(struct update *update)
{
	struct span_work *span = update->span;
	struct leaf *leaf = span->worker->leaf;
	uint32_t blocks = (span->len + BLOCK_SIZE - 1) / BLOCK_SIZE;
	uint32_t k = 0;
	leaf->count = 0;
	for (uint32_t at = 0; at < blocks;) {
		while (end_block(&update->old[k]) <= at)
			k++;
		const struct leaf_entry *entry = &update->old[k];
		if (first_block(entry) == at && stands(update, k)) {
			leaf->entries[leaf->count++] = *entry;
			span->counts->same += entry->len;
			at = end_block(entry);
			continue;
		}
		int err = cut_piece(update, k, &at);
		if (err < 0)
			return err;
	}
	return 0;
}

/* --- the leaf --- */

static bool same_entries(const struct update *update, const struct leaf *leaf)
{
	if (leaf->count != update->old_count)
		return false;
	for (uint32_t k = 0; k < leaf->count; k++) {
		const struct leaf_entry *a = &leaf->entries[k],
					*b = &update->old[k];
		if (a->len != b->len || a->hole != b->hole
				|| !id_equal(&a->id, &b->id))
			return false;
	}
	return true;
}

/* Part of the span is read. */
static int finish_partly(struct update *update)
{
	struct span_work *span = update->span;
	int err = cut(update);
	if (err < 0)
		return err;
	if (!same_entries(update, span->worker->leaf))
		err = span_store_leaf(span, NULL, &update->child);
	return err < 0 ? err : span_store_end(span, &update->child);
}

static int update(struct update *u)
{
	struct span_work *span = u->span;
	bool complete, proving = span->proving;
	int err = want_changes(u);
	if (err < 0)
		return err;
	want_chunks(u);
	if (want_rest(u, &complete) == 0) {
		span->counts->same += u->child.data_bytes;
		return span_store_end(span, &u->child);
	}
	span->proving = false; /* which goes in order */
	err = read_wanted(u);
	if (err < 0)
		return err;
	if (!complete)
		return finish_partly(u);
	span->proving = proving;
	if (proving)
		span_read_prove(span, 0, span->len);
	return span_store_finish(span);
}

int span_update(struct span_work *span)
{
	struct update u = { .span = span };
	if (!find_base(&u))
		return 0;
	int err = update(&u);
	node_cache_release(u.node);
	return err < 0 ? err : 1;
}
