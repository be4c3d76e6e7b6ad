/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From a span in the worker's buffer to what the tree says of it: chunks go to
 * the sink, their ids into a leaf, and that goes to the sink as well. If the
 * base's leaf has a proof that equals the span's, it is taken over as it is.
 */
#include "image_writer_internal.h"

#include <string.h>

#include "repo/base/bytes.h"

/* The proof over the whole span: the non-zero blocks, then which they were,
 * then the length. */
static void end_proof(struct span_work *s, uint8_t out[PROOF_SIZE])
{
	uint8_t map[SPAN_BLOCKS / 8] = { 0 }, len[8];
	for (uint32_t b = 0; b < (s->len + BLOCK_SIZE - 1) / BLOCK_SIZE; b++)
		if (s->w->marks[b] != BLOCK_ZERO)
			map[b / 8] |= (uint8_t)(1u << b % 8);
	seal_proof_update(&s->proof, map, sizeof(map));
	put_le64(len, s->len);
	seal_proof_update(&s->proof, len, sizeof(len));
	seal_proof_end(&s->proof, out);
}

/* False if a chunk of LEAF is missing, condemned or damaged as far as writers
 * know: then it must be stored anew. The span's bytes are at hand and the
 * trailers near, so this is asked each time: a pack that was lost is healed
 * though nobody has noticed the loss. */
static bool leaf_is_whole(struct image_writer *w, const struct leaf *leaf)
{
	for (uint32_t k = 0; k < leaf->count; k++)
		if (!leaf->entries[k].hole
				&& !image_reader_chunk_stored(w->reader,
						&leaf->entries[k].id))
			return false;
	return true;
}

/* 1 if the base's leaf has this proof; CHILD is its entry. */
static int same_as_base(struct span_work *s, const uint8_t *proof,
		struct node_child *child)
{
	struct image *base = s->job->base;
	struct cached_node *n;
	*child = (struct node_child){ .clusters = 0 };
	if (base == NULL || s->span >= node_span_count(image_size(base)))
		return 0;
	/* A base that can't be read costs a full store, nothing else. */
	int err = image_leaf(base, s->span, &n, child);
	if (err < 0)
		s->lost = child->id;
	if (err < 0 || n == NULL)
		return 0;
	const struct leaf *leaf = n->leaf;
	bool same = leaf->has_proof && leaf->span_len == s->len
			&& seal_equal(leaf->proof, proof, PROOF_SIZE)
			&& leaf_is_whole(s->w->writer, leaf);
	node_cache_release(n);
	return same;
}

int span_store_piece(struct span_work *s, uint32_t offset, uint32_t len,
		bool hole)
{
	struct worker *w = s->w;
	struct leaf_entry *e = &w->leaf->entries[w->leaf->count++];
	*e = (struct leaf_entry){ .offset = offset, .len = len, .hole = hole };
	if (hole)
		return 0;
	const uint8_t *data = w->span + offset;
	seal_id(w->writer->seal, ID_CHUNK, &e->id, data, len);
	return chunk_stream_put(w->stream, PACK_DATA, &e->id, data, len);
}

/* Encodes the leaf with this proof (NULL: none); returns the length. */
static size_t name_leaf(struct worker *w, const uint8_t *proof, struct id *id)
{
	struct leaf *leaf = w->leaf;
	leaf->has_proof = proof != NULL;
	memset(leaf->proof, 0, PROOF_SIZE);
	if (proof != NULL)
		memcpy(leaf->proof, proof, PROOF_SIZE);
	size_t len = leaf_encode(w->node, leaf);
	seal_id(w->writer->seal, ID_NODE, id, w->node, len);
	return len;
}

int span_store_leaf(struct span_work *s, const uint8_t *proof,
		struct node_child *child)
{
	struct worker *w = s->w;
	struct leaf *leaf = w->leaf;
	leaf->span_len = s->len;
	leaf_sum(leaf);
	*child = (struct node_child){ .data_bytes = leaf->data_bytes,
		.clusters = leaf->clusters };
	if (leaf->data_bytes == 0)
		return 0;
	size_t len = name_leaf(w, proof, &child->id);
	return chunk_stream_put(w->stream, PACK_TREE, &child->id, w->node,
			(uint32_t)len);
}

int span_store_end(struct span_work *s, const struct node_child *child)
{
	s->job->counts->done += s->len - s->done;
	s->done = s->len;
	return tree_builder_add(s->job->builder, s->w->stream, s->span, child);
}

/* True if with this proof (NULL: without) the leaf is the one that is lost. */
static bool is_lost_leaf(struct span_work *s, const uint8_t *proof)
{
	struct leaf *leaf = s->w->leaf;
	struct id id;
	if (id_is_zero(&s->lost))
		return false;
	leaf->span_len = s->len;
	leaf_sum(leaf);
	if (leaf->data_bytes == 0)
		return false;
	name_leaf(s->w, proof, &id);
	return id_equal(&id, &s->lost);
}

/* 1 if the leaf, all of which was read, gets its PROOF; 0, -errno. The base's
 * leaf, if it was lost and the bytes are the same, is healed. */
static int gets_proof(struct span_work *s, const uint8_t *proof)
{
	const struct image_source *source = s->job->source;
	if (!s->proving || is_lost_leaf(s, NULL))
		return 0;
	if (source->proven == NULL || is_lost_leaf(s, proof))
		return 1;
	return source->proven(source->ctx, s->w->number, s->span * SPAN_SIZE);
}

int span_store_finish(struct span_work *s)
{
	struct worker *w = s->w;
	uint8_t proof[PROOF_SIZE];
	struct node_child child;
	uint32_t count = chunker_cut(
			&w->writer->chunker, w->marks, s->len, w->pieces);
	if (s->proving)
		end_proof(s, proof);
	if (s->proving && same_as_base(s, proof, &child)) {
		s->job->counts->same += child.data_bytes;
		return span_store_end(s, &child);
	}
	int err = 0;
	w->leaf->count = 0;
	for (uint32_t k = 0; err == 0 && k < count; k++)
		err = span_store_piece(s, w->pieces[k].offset, w->pieces[k].len,
				w->pieces[k].hole);
	if (err == 0)
		err = gets_proof(s, proof);
	if (err >= 0)
		err = span_store_leaf(s, err == 1 ? proof : NULL, &child);
	return err < 0 ? err : span_store_end(s, &child);
}
