/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Counting clusters on the way down the tree, and in a leaf. */
#include "image_clusters.h"

#include <assert.h>

#include "repo/base/error.h"
#include "image_internal.h"

/* A descent to a span, which is given or is found by a cluster's number. */
struct way {
	bool by_number;
	uint64_t nth;		/* by_number */
	uint64_t span;		/* by_number: as far as it is known */
	uint64_t before;	/* clusters in front of where we are */
};

static int counts_differ(void)
{
	return fail(-EBADMSG, "a tree node's clusters are not as many as its "
			      "parent says");
}

uint64_t image_clusters_count(const struct image *i)
{
	return id_is_zero(&i->root.id) ? 0 : i->root.clusters;
}

/* Whether the way leads into the child of SLOT, which has its clusters after
 * the BEFORE first of the node. */
static bool leads_to(const struct way *w, const struct node *node,
		unsigned slot, uint64_t before)
{
	if (!w->by_number)
		return slot == w->span / node_slot_spans(node->level) % NODE_FANOUT;
	uint64_t first = w->before + before;
	return w->nth >= first &&
			w->nth - first < node->children[slot].clusters;
}

/* Goes on to the right child of NODE, which should have AT's clusters; AT
 * becomes that child. */
static int step_down(struct way *w, const struct node *node,
		struct node_child *at)
{
	uint64_t sum = 0, before = 0;
	unsigned into = NODE_FANOUT;
	for (unsigned slot = 0; slot < NODE_FANOUT; slot++) {
		if (into == NODE_FANOUT && leads_to(w, node, slot, sum)) {
			into = slot;
			before = sum;
		}
		sum += node->children[slot].clusters;
	}
	if (sum != at->clusters || into == NODE_FANOUT)
		return counts_differ();
	w->before += before;
	if (w->by_number)
		w->span += into * node_slot_spans(node->level);
	*at = node->children[into];
	return 0;
}

static void map_entry(const struct leaf_entry *e, uint64_t *map)
{
	uint32_t last = (e->offset + e->len - 1) / CLUSTER_SIZE;
	for (uint32_t n = e->offset / CLUSTER_SIZE; n <= last; n++)
		map[n / 64] |= UINT64_C(1) << n % 64;
}

/* AT's leaf into OUT. */
static int map_leaf(struct image *i, const struct node_child *at,
		struct span_clusters *out)
{
	struct cached_node *n;
	int err = node_cache_leaf(i->reader->nodes, &at->id,
			image_span_len(i, out->span), &n);
	if (err < 0)
		return err;
	if (n->leaf->clusters != at->clusters)
		err = counts_differ();
	for (uint32_t k = 0; err == 0 && k < n->leaf->count; k++)
		if (!n->leaf->entries[k].hole)
			map_entry(&n->leaf->entries[k], out->map);
	node_cache_release(n);
	out->count = at->clusters;
	return err;
}

static int go(struct image *i, struct way *w, struct span_clusters *out)
{
	struct node_child at = { .id = i->root.id,
		.clusters = (uint32_t)image_clusters_count(i) };
	for (uint8_t level = i->root.level;
			level > 0 && !id_is_zero(&at.id); level--) {
		struct cached_node *n;
		int err = image_node(i, &at.id, level, w->span, &n);
		if (err < 0)
			return err;
		err = step_down(w, n->node, &at);
		node_cache_release(n);
		if (err < 0)
			return err;
	}
	*out = (struct span_clusters){ .span = w->span, .before = w->before };
	return id_is_zero(&at.id) ? 0 : map_leaf(i, &at, out);
}

int image_clusters_at(struct image *i, uint64_t span, struct span_clusters *out)
{
	struct way w = { .span = span };
	assert(span < i->spans);
	return go(i, &w, out);
}

int image_clusters_with(struct image *i, uint64_t nth,
		struct span_clusters *out)
{
	struct way w = { .by_number = true, .nth = nth };
	assert(nth < image_clusters_count(i));
	return go(i, &w, out);
}

static bool is_set(const struct span_clusters *s, uint32_t n)
{
	return (s->map[n / 64] >> n % 64 & 1) != 0;
}

uint64_t image_clusters_run(const struct span_clusters *s, uint64_t nth,
		uint32_t *run)
{
	uint32_t skip = (uint32_t)(nth - s->before), n = 0;
	assert(nth >= s->before && nth - s->before < s->count);
	while (n < SPAN_CLUSTERS - 1 && (!is_set(s, n) || skip > 0)) {
		skip -= is_set(s, n);
		n++;
	}
	*run = 1;
	while (n + *run < SPAN_CLUSTERS && is_set(s, n + *run))
		++*run;
	return s->span * SPAN_CLUSTERS + n;
}
