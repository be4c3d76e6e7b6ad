/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From leaves to a root: spans may be reported in any order; a node is written
 * as soon as all its children are known.
 * Threading: all calls may run at once, each with its own stream.
 */
#ifndef AMBERFS_IMAGE_TREE_BUILDER_H
#define AMBERFS_IMAGE_TREE_BUILDER_H

#include "repo/format/node.h"
#include "repo/pack/chunk_stream.h"

struct tree_builder;

/* SPANS: of the whole image; 0: not known before tree_builder_finish. */
struct tree_builder *tree_builder_new(const struct seal *seal, uint64_t spans);
/* From now on MADE is called with each whole node (0: leaf) that is stored; by
 * any thread. */
void tree_builder_tell(struct tree_builder *builder,
		void (*made)(void *ctx, uint8_t level, uint64_t first,
				const struct node_child *child),
		void *ctx);
void tree_builder_free(struct tree_builder *builder); /* NULL allowed */

/* What is at SPAN: a leaf's child entry, or a zero id for an all-hole span.
 * Each span exactly once. 0 or -errno. */
int tree_builder_add(struct tree_builder *builder, struct chunk_stream *stream,
		uint64_t span, const struct node_child *child);

/* All spans below a whole node of LEVEL (0: a leaf) that is stored already and
 * covers SPAN onwards exactly what the node there in the new tree will. */
int tree_builder_add_node(struct tree_builder *builder,
		struct chunk_stream *stream, uint8_t level, uint64_t span,
		const struct node_child *child);

/* COUNT all-hole spans from SPAN on. */
int tree_builder_skip(struct tree_builder *builder, struct chunk_stream *stream,
		uint64_t span, uint64_t count);

/* After all SPANS spans were reported: writes what is left. */
int tree_builder_finish(struct tree_builder *builder,
		struct chunk_stream *stream, uint64_t spans,
		struct tree_root *root);

#endif
