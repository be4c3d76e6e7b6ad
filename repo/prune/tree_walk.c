/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Depth first, in the order of the image. A child must be one level below its
 * parent, so the walk ends whatever it is given.
 */
#include "tree_walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/format/leaf.h"
#include "repo/pack/chunk_read.h"

#define ANY_LEVEL (-1)
#define LEAF_HEAD 16
#define NODE_HEAD 16

/* The node's bytes, copied, so that the frame need not stay in memory. */
static int read_node(const struct tree_walk *walk, const struct id *id,
		uint8_t **out, uint32_t *len)
{
	struct frame *frame;
	const uint8_t *data;
	struct chunk_entry chunk;
	int err = chunk_read(walk->packs, walk->frames, PACK_TREE, id, 0,
			UINT32_MAX, &frame, &data, &chunk);
	if (err < 0)
		return err;
	*len = chunk.len;
	if (walk->read != NULL)
		*walk->read += *len;
	*out = malloc(*len);
	if (*out != NULL)
		memcpy(*out, data, *len);
	frame_cache_unpin(frame);
	return *out != NULL ? 0 : fail_no_memory("walking a tree");
}

static int walk_leaf(const struct tree_walk *walk, const uint8_t *data,
		uint32_t len, const struct id *id)
{
	CLEANUP_FREE struct leaf *leaf = NULL;
	int err = len < LEAF_HEAD
			? fail(-EBADMSG, "a leaf is truncated")
			: leaf_decode(&leaf, data, len, get_le32(data + 4));
	if (err == 0 && walk->node != NULL)
		err = walk->node(walk->ctx, id);
	for (uint32_t i = 0; err == 0 && walk->chunk != NULL && i < leaf->count;
			i++)
		if (!leaf->entries[i].hole)
			err = walk->chunk(walk->ctx, &leaf->entries[i].id);
	return err;
}

static int walk_id(const struct tree_walk *walk, const struct id *id,
		int level);

static int walk_children(const struct tree_walk *walk, const struct node *node,
		const struct id *id)
{
	int err = walk->node != NULL ? walk->node(walk->ctx, id) : 0;
	for (unsigned i = 0; err == 0 && i < NODE_FANOUT; i++)
		err = walk_id(walk, &node->children[i].id, node->level - 1);
	return err;
}

/* At most NODE_LEVEL_MAX deep. */
static int walk_id(const struct tree_walk *walk, const struct id *id, int level)
{
	CLEANUP_FREE uint8_t *data = NULL;
	CLEANUP_FREE struct node *node = NULL;
	uint32_t len = 0;
	if (id_is_zero(id) || (walk->skip != NULL && walk->skip(walk->ctx, id)))
		return 0;
	if (interrupt_flag)
		return fail(-ECANCELED, "interrupted");
	int err = read_node(walk, id, &data, &len);
	if (err < 0)
		return err;
	if (len < NODE_HEAD || (level != ANY_LEVEL && data[0] != level))
		return fail(-EBADMSG, "a tree node has the wrong level");
	if (data[0] == 0)
		return walk_leaf(walk, data, len, id);
	err = node_decode(&node, data, len, data[0], get_le64(data + 8));
	free(take_ptr(data)); /* the levels below need the memory */
	return err < 0 ? err : walk_children(walk, node, id);
}

int tree_walk(const struct tree_walk *walk, const struct id *root)
{
	return walk_id(walk, root, ANY_LEVEL);
}
