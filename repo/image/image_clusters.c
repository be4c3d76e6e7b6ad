/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Counting clusters on the way down the tree, and in a leaf. */
#include "image_clusters.h"

#include <assert.h>

#include "image_internal.h"
#include "repo/base/error.h"

/* A descent to a span, which is given or is found by a cluster's number. */
struct way {
	bool by_number;
	uint64_t nth;	 /* by_number */
	uint64_t span;	 /* by_number: as far as it is known */
	uint64_t before; /* clusters in front of where we are */
};

static int counts_differ(void)
{
	return fail(-EBADMSG,
			"a tree node's number of clusters differs from what "
			"its parent says");
}

uint64_t image_clusters_count(const struct image *image)
{
	return id_is_zero(&image->root.id) ? 0 : image->root.clusters;
}

/* Whether the way leads into the child of SLOT, which has its clusters after
 * the BEFORE first of the node. */
static bool leads_to(const struct way *way, const struct node *node,
		unsigned slot, uint64_t before)
{
	if (!way->by_number)
		return slot
				== way->span / node_slot_spans(node->level)
				% NODE_FANOUT;
	uint64_t first = way->before + before;
	return way->nth >= first
			&& way->nth - first < node->children[slot].clusters;
}

/* Goes on to the right child of NODE, which should have CHILD's clusters; CHILD
 * becomes that child. */
static int step_down(struct way *way, const struct node *node,
		struct node_child *child)
{
	uint64_t sum = 0, before = 0;
	unsigned into = NODE_FANOUT;
	for (unsigned slot = 0; slot < NODE_FANOUT; slot++) {
		if (into == NODE_FANOUT && leads_to(way, node, slot, sum)) {
			into = slot;
			before = sum;
		}
		sum += node->children[slot].clusters;
	}
	if (sum != child->clusters || into == NODE_FANOUT)
		return counts_differ();
	way->before += before;
	if (way->by_number)
		way->span += into * node_slot_spans(node->level);
	*child = node->children[into];
	return 0;
}

static void map_entry(const struct leaf_entry *entry, uint64_t *map)
{
	uint32_t last = (entry->offset + entry->len - 1) / CLUSTER_SIZE;
	for (uint32_t n = entry->offset / CLUSTER_SIZE; n <= last; n++)
		map[n / 64] |= UINT64_C(1) << n % 64;
}

/* CHILD's leaf into OUT. */
static int map_leaf(struct image *image, const struct node_child *child,
		struct span_clusters *out)
{
	struct cached_node *node;
	int err = node_cache_leaf(image->reader->nodes, &child->id,
			image_span_len(image, out->span), &node);
	if (err < 0)
		return err;
	if (node->leaf->clusters != child->clusters)
		err = counts_differ();
	for (uint32_t k = 0; err == 0 && k < node->leaf->count; k++)
		if (!node->leaf->entries[k].hole)
			map_entry(&node->leaf->entries[k], out->map);
	node_cache_release(node);
	out->count = child->clusters;
	return err;
}

static int go(struct image *image, struct way *way, struct span_clusters *out)
{
	struct node_child at = { .id = image->root.id,
		.clusters = (uint32_t)image_clusters_count(image) };
	for (uint8_t level = image->root.level;
			level > 0 && !id_is_zero(&at.id); level--) {
		struct cached_node *node;
		int err = image_node(image, &at.id, level, way->span, &node);
		if (err < 0)
			return err;
		err = step_down(way, node->node, &at);
		node_cache_release(node);
		if (err < 0)
			return err;
	}
	*out = (struct span_clusters){ .span = way->span,
		.before = way->before };
	return id_is_zero(&at.id) ? 0 : map_leaf(image, &at, out);
}

int image_clusters_at(struct image *image, uint64_t span,
		struct span_clusters *out)
{
	struct way w = { .span = span };
	assert(span < image->spans);
	return go(image, &w, out);
}

int image_clusters_with(struct image *image, uint64_t nth,
		struct span_clusters *out)
{
	struct way w = { .by_number = true, .nth = nth };
	assert(nth < image_clusters_count(image));
	return go(image, &w, out);
}

static bool is_set(const struct span_clusters *clusters, uint32_t n)
{
	return (clusters->map[n / 64] >> n % 64 & 1) != 0;
}

uint64_t image_clusters_run(const struct span_clusters *clusters, uint64_t nth,
		uint32_t *run)
{
	uint32_t skip = (uint32_t)(nth - clusters->before), n = 0;
	assert(nth >= clusters->before
			&& nth - clusters->before < clusters->count);
	while (n < SPAN_CLUSTERS - 1 && (!is_set(clusters, n) || skip > 0)) {
		skip -= is_set(clusters, n);
		n++;
	}
	*run = 1;
	while (n + *run < SPAN_CLUSTERS && is_set(clusters, n + *run))
		++*run;
	return clusters->span * SPAN_CLUSTERS + n;
}
