/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From a span in the worker's buffer to its place in the tree: chunks go to
 * the sink, their ids into a leaf, and that goes to the sink as well. If the
 * base's leaf has a proof that equals the span's, it is taken over as it is.
 */
#include "image_writer_internal.h"

#include <string.h>

#include "repo/base/bytes.h"
#include "repo/format/checksum.h"

/* The proof over the whole span: the non-zero blocks, then which they were,
 * then the length. */
static void end_proof(struct span_work *span, uint8_t out[PROOF_SIZE])
{
	uint8_t map[SPAN_BLOCKS / 8] = { 0 }, len[8];
	for (uint32_t b = 0; b < (span->len + BLOCK_SIZE - 1) / BLOCK_SIZE; b++)
		if (span->worker->marks[b] != BLOCK_ZERO)
			map[b / 8] |= (uint8_t)(1u << b % 8);
	seal_proof_update(&span->proof, map, sizeof(map));
	put_le64(len, span->len);
	seal_proof_update(&span->proof, len, sizeof(len));
	seal_proof_end(&span->proof, out);
}

/* False if a chunk of LEAF is missing, condemned or damaged as far as writers
 * know: then it must be stored again. The span's bytes are at hand and the
 * trailers near, so this is checked each time: a lost pack is healed even if
 * nobody has noticed the loss. */
static bool leaf_is_whole(struct image_writer *writer, const struct leaf *leaf)
{
	for (uint32_t k = 0; k < leaf->count; k++)
		if (!leaf->entries[k].hole
				&& !image_reader_chunk_stored(writer->reader,
						&leaf->entries[k].id))
			return false;
	return true;
}

/* 1 if the base's leaf has this proof; CHILD is its entry. */
static int same_as_base(struct span_work *span, const uint8_t *proof,
		struct node_child *child)
{
	struct image *base = span->job->base;
	struct cached_node *node;
	*child = (struct node_child){ .clusters = 0 };
	if (base == NULL || span->span >= node_span_count(image_size(base)))
		return 0;
	/* A base that can't be read only costs a full store. */
	int err = image_leaf(base, span->span, &node, child);
	if (err < 0)
		span->lost = child->id;
	if (err < 0 || node == NULL)
		return 0;
	const struct leaf *leaf = node->leaf;
	bool same = leaf->has_proof && leaf->span_len == span->len
			&& seal_equal(leaf->proof, proof, PROOF_SIZE)
			&& leaf_is_whole(span->worker->writer, leaf);
	node_cache_release(node);
	return same;
}

int span_store_piece(struct span_work *span, uint32_t offset, uint32_t len,
		bool hole)
{
	struct worker *worker = span->worker;
	struct leaf_entry *entry =
			&worker->leaf->entries[worker->leaf->count++];
	*entry = (struct leaf_entry){ .offset = offset,
		.len = len,
		.hole = hole };
	if (hole)
		return 0;
	const uint8_t *data = worker->span + offset;
	seal_id(worker->writer->seal, ID_CHUNK, &entry->id, data, len);
	/* The hashes are older than the id: whatever of the bytes changed in
	 * between, or changes from now on, is found by them. */
	const struct chunk_entry chunk = { .id = entry->id,
		.len = len,
		.checksum = checksum_of_blocks(worker->sums
						+ offset / BLOCK_SIZE,
				(len + BLOCK_SIZE - 1) / BLOCK_SIZE) };
	return chunk_stream_put(worker->stream, PACK_DATA, &chunk, data);
}

/* Encodes the leaf with this proof (NULL: none). */
static struct chunk_entry name_leaf(struct worker *worker, const uint8_t *proof)
{
	struct leaf *leaf = worker->leaf;
	leaf->has_proof = proof != NULL;
	memset(leaf->proof, 0, PROOF_SIZE);
	if (proof != NULL)
		memcpy(leaf->proof, proof, PROOF_SIZE);
	size_t len = leaf_encode(worker->node, leaf);
	return chunk_stream_name_node(worker->writer->seal, worker->node, len);
}

int span_store_leaf(struct span_work *span, const uint8_t *proof,
		struct node_child *child)
{
	struct worker *worker = span->worker;
	struct leaf *leaf = worker->leaf;
	leaf->span_len = span->len;
	leaf_sum(leaf);
	*child = (struct node_child){ .data_bytes = leaf->data_bytes,
		.clusters = leaf->clusters };
	if (leaf->data_bytes == 0)
		return 0;
	const struct chunk_entry chunk = name_leaf(worker, proof);
	child->id = chunk.id;
	return chunk_stream_put(worker->stream, PACK_TREE, &chunk,
			worker->node);
}

int span_store_end(struct span_work *span, const struct node_child *child)
{
	span->counts->done += span->len - span->done;
	span->done = span->len;
	return tree_builder_add(span->job->builder, span->worker->stream,
			span->span, child);
}

/* True if with this proof (NULL: without) the leaf is the one that is lost. */
static bool is_lost_leaf(struct span_work *span, const uint8_t *proof)
{
	struct leaf *leaf = span->worker->leaf;
	if (id_is_zero(&span->lost))
		return false;
	leaf->span_len = span->len;
	leaf_sum(leaf);
	if (leaf->data_bytes == 0)
		return false;
	const struct chunk_entry chunk = name_leaf(span->worker, proof);
	return id_equal(&chunk.id, &span->lost);
}

/* 1 if the leaf, all of which was read, gets its PROOF; 0, -errno. The base's
 * leaf, if it was lost and the bytes are the same, is healed. */
static int gets_proof(struct span_work *span, const uint8_t *proof)
{
	const struct image_source *source = span->job->source;
	if (!span->proving || is_lost_leaf(span, NULL))
		return 0;
	if (source->proven == NULL || is_lost_leaf(span, proof))
		return 1;
	return source->proven(source->ctx, span->worker->number,
			span->span * SPAN_SIZE);
}

int span_store_finish(struct span_work *span)
{
	struct worker *worker = span->worker;
	uint8_t proof[PROOF_SIZE];
	struct node_child child;
	uint32_t count = chunker_cut(&worker->writer->chunker, worker->marks,
			span->len, worker->pieces);
	if (span->proving)
		end_proof(span, proof);
	if (span->proving && same_as_base(span, proof, &child)) {
		span->counts->same += child.data_bytes;
		return span_store_end(span, &child);
	}
	int err = 0;
	worker->leaf->count = 0;
	for (uint32_t k = 0; err == 0 && k < count; k++)
		err = span_store_piece(span, worker->pieces[k].offset,
				worker->pieces[k].len, worker->pieces[k].hole);
	if (err == 0)
		err = gets_proof(span, proof);
	if (err >= 0)
		err = span_store_leaf(span, err == 1 ? proof : NULL, &child);
	return err < 0 ? err : span_store_end(span, &child);
}
