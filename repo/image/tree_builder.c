/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Open nodes, by level and position. A node whose 256 children are all known is
 * written at once and reported to its parent; tree_builder_finish writes the
 * last node of each level, which may have fewer children, or whose last child
 * may. The child in slot 0 of the level above the root's is the root.
 */
#include "tree_builder.h"

#include <stdlib.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"

struct open_node {
	struct node node;
	uint64_t position; /* first span / spans of a full node */
	unsigned known;	   /* children reported */
	struct open_node *next;
};

struct tree_builder {
	const struct seal *seal;
	uint64_t spans; /* of the image; 0: not known yet */
	void (*made)(void *ctx, uint8_t level, uint64_t first,
			const struct node_child *child);
	void *ctx; /* of made */
	pthread_mutex_t mutex;
	/* by level */
	struct open_node *levels[NODE_LEVEL_MAX + 2] GUARDED_BY(mutex);
};

struct tree_builder *tree_builder_new(const struct seal *seal, uint64_t spans)
{
	struct tree_builder *builder = calloc(1, sizeof(*builder));
	if (builder == NULL)
		return NULL;
	builder->seal = seal;
	builder->spans = spans;
	pthread_mutex_init(&builder->mutex, NULL);
	return builder;
}

void tree_builder_tell(struct tree_builder *builder,
		void (*made)(void *ctx, uint8_t level, uint64_t first,
				const struct node_child *child),
		void *ctx)
{
	builder->made = made;
	builder->ctx = ctx;
}

static void tell(const struct tree_builder *builder, uint8_t level,
		uint64_t first, const struct node_child *child)
{
	if (builder->made != NULL)
		builder->made(builder->ctx, level, first, child);
}

void tree_builder_free(struct tree_builder *builder)
{
	if (builder == NULL)
		return;
	not_shared(&builder->mutex);
	for (unsigned level = 0; level < NODE_LEVEL_MAX + 2; level++)
		while (builder->levels[level] != NULL) {
			struct open_node *node = builder->levels[level];
			builder->levels[level] = node->next;
			free(node);
		}
	pthread_mutex_destroy(&builder->mutex);
	free(builder);
}

static struct open_node *open_node_at(struct tree_builder *builder,
		uint8_t level, uint64_t position) REQUIRES(builder->mutex)
{
	for (struct open_node *node = builder->levels[level]; node != NULL;
			node = node->next)
		if (node->position == position)
			return node;
	struct open_node *node = calloc(1, sizeof(*node));
	if (node == NULL)
		return NULL;
	node->node.level = level;
	node->position = position;
	node->next = builder->levels[level];
	builder->levels[level] = node;
	return node;
}

static void take_out(struct tree_builder *builder, struct open_node *node)
		REQUIRES(builder->mutex)
{
	struct open_node **at = &builder->levels[node->node.level];
	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
}

/* What an open node covers: the last one of a level
 * may end early though it has all its children. */
static uint64_t spans_below(const struct tree_builder *builder,
		const struct open_node *node)
{
	uint64_t covers = node_slot_spans(node->node.level) * NODE_FANOUT;
	return builder->spans == 0
			? covers
			: min_u64(covers,
					builder->spans - node->position * covers);
}

/* Stores a node unless it is all hole; CHILD is what its parent says of it. */
static int write_node(struct tree_builder *builder, struct chunk_stream *stream,
		const struct node *node, struct node_child *child)
{
	uint8_t bytes[NODE_SIZE_MAX];
	*child = (struct node_child){ .clusters = 0 };
	for (unsigned slot = 0; slot < NODE_FANOUT; slot++) {
		child->data_bytes += node->children[slot].data_bytes;
		child->clusters += node->children[slot].clusters;
	}
	if (child->data_bytes == 0)
		return 0;
	size_t len = node_encode(bytes, node);
	const struct chunk_entry chunk =
			chunk_stream_name_node(builder->seal, bytes, len);
	child->id = chunk.id;
	return chunk_stream_put(stream, PACK_TREE, &chunk, bytes);
}

/* Reports COUNT children with the same entry to the node above; walks up while
 * nodes get full. Children of LEVEL; POSITION is the first child's. */
static int report(struct tree_builder *builder, struct chunk_stream *stream,
		uint8_t level, uint64_t position, unsigned count,
		const struct node_child *entry)
{
	struct node_child child = *entry;
	while (level <= NODE_LEVEL_MAX) {
		struct open_node *full = NULL;
		level++;
		{
			LOCK_SCOPE(&builder->mutex);
			struct open_node *node = open_node_at(builder, level,
					position / NODE_FANOUT);
			if (node == NULL)
				return fail_no_memory("writing a tree");
			for (unsigned k = 0; k < count; k++)
				node->node.children[position % NODE_FANOUT
						+ k] = child;
			node->known += count;
			if (node->known == NODE_FANOUT) {
				take_out(builder, node);
				full = node;
			}
		}
		if (full == NULL)
			return 0;
		full->node.spans = spans_below(builder, full);
		int err = write_node(builder, stream, &full->node, &child);
		uint64_t spans = full->node.spans;
		position = full->position;
		free(full);
		if (err < 0)
			return err;
		/* The last one may have all children and still not be full. */
		if (spans == node_slot_spans(level) * NODE_FANOUT)
			tell(builder, level, position * spans, &child);
		count = 1;
	}
	return 0;
}

int tree_builder_add(struct tree_builder *builder, struct chunk_stream *stream,
		uint64_t span, const struct node_child *child)
{
	tell(builder, 0, span, child);
	return report(builder, stream, 0, span, 1, child);
}

int tree_builder_add_node(struct tree_builder *builder,
		struct chunk_stream *stream, uint8_t level, uint64_t span,
		const struct node_child *child)
{
	uint64_t spans = level == 0 ? 1 : node_slot_spans(level) * NODE_FANOUT;
	return report(builder, stream, level, span / spans, 1, child);
}

int tree_builder_skip(struct tree_builder *builder, struct chunk_stream *stream,
		uint64_t span, uint64_t count)
{
	static const struct node_child hole;
	while (count > 0) {
		uint64_t room = NODE_FANOUT - span % NODE_FANOUT;
		unsigned n = (unsigned)min_u64(room, count);
		int err = report(builder, stream, 0, span, n, &hole);
		if (err < 0)
			return err;
		span += n;
		count -= n;
	}
	return 0;
}

int tree_builder_finish(struct tree_builder *builder,
		struct chunk_stream *stream, uint64_t spans,
		struct tree_root *root)
{
	uint8_t top = node_tree_level(spans);
	not_shared(&builder->mutex);
	builder->spans = spans;
	for (uint8_t level = 1; level <= top; level++) {
		/* At most one node of each level is not full: the last. */
		struct open_node *node = builder->levels[level];
		struct node_child child;
		if (node == NULL)
			continue;
		take_out(builder, node);
		node->node.spans = spans_below(builder, node);
		uint64_t position = node->position;
		int err = write_node(builder, stream, &node->node, &child);
		free(node);
		if (err == 0)
			err = report(builder, stream, level, position, 1,
					&child);
		if (err < 0)
			return err;
	}
	*root = (struct tree_root){ .level = top };
	struct open_node *above = builder->levels[top + 1];
	if (above != NULL) { /* none: an empty image */
		root->id = above->node.children[0].id;
		root->data_bytes = above->node.children[0].data_bytes;
		root->clusters = above->node.children[0].clusters;
	}
	return 0;
}
