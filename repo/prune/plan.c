/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Choosing packs; see plan.h. */
#include "plan.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"

struct planner {
	const struct plan_limits *limits;
	struct plan *plan;
	struct stored_pack **packs; /* candidates, by unused share */
	size_t count;
	/* Of them, while they are not doomed. */
	uint64_t candidates_unused;
	uint64_t left; /* bytes of all that will be left */
};

static uint64_t unused_bytes(const struct stored_pack *pack)
{
	return pack->size - stored_live_bytes(pack);
}

static bool may_go(const struct stored_pack *pack)
{
	return !pack->gone && !pack->alone && !pack->fresh && !pack->unreadable
			&& !pack->irreplaceable;
}

/* Dooms PACK unless that is too much to copy. */
static bool take(struct planner *planner, struct stored_pack *pack)
{
	const struct plan_limits *limits = planner->limits;
	struct plan *plan = planner->plan;
	uint64_t bytes = plan->rewrite_bytes + stored_live_bytes(pack);
	uint64_t chunks = plan->rewrite_chunks + pack->live;
	if (pack->live != 0
			&& (bytes > limits->space_bytes
					|| chunks > limits->rewrite_chunks)) {
		plan->cut_short = true;
		return false;
	}
	if (pack->live != 0 && bytes > limits->rewrite_bytes)
		return false;
	pack->doomed = true;
	plan->rewrite_bytes = bytes;
	plan->rewrite_chunks = chunks;
	plan->doomed_packs++;
	plan->doomed_bytes += pack->size;
	plan->condemned_packs += pack->condemned;
	planner->left -= unused_bytes(pack);
	if (!pack->condemned)
		planner->candidates_unused -= unused_bytes(pack);
	return true;
}

static void take_where(struct planner *planner,
		bool (*wanted)(const struct stored_pack *pack))
{
	for (size_t i = 0; i < planner->count; i++)
		if (!planner->packs[i]->doomed && wanted(planner->packs[i]))
			take(planner, planner->packs[i]);
}

static bool is_condemned(const struct stored_pack *pack)
{
	return pack->condemned;
}

static bool is_dead(const struct stored_pack *pack)
{
	return pack->live == 0;
}

static bool is_damaged(const struct stored_pack *pack)
{
	return pack->damaged;
}

static uint64_t unused_allowed(const struct planner *planner)
{
	const struct plan_limits *limits = planner->limits;
	return limits->unused_is_share ? (uint64_t)(limits->unused_share
			       * (double)planner->left)
				       : limits->unused_bytes;
}

/* Most unused first. */
static void take_unused(struct planner *planner)
{
	for (size_t i = 0; i < planner->count
			&& planner->candidates_unused > unused_allowed(planner);
			i++) {
		struct stored_pack *pack = planner->packs[i];
		if (!pack->doomed && unused_bytes(pack) != 0)
			take(planner, pack);
	}
}

static bool is_tiny(const struct planner *planner,
		const struct stored_pack *pack, enum pack_kind kind)
{
	return !pack->doomed && !pack->condemned && pack->kind == kind
			&& pack->size < planner->limits->pack_size / 4;
}

static void take_tiny(struct planner *planner, enum pack_kind kind)
{
	uint64_t count = 0, live = 0;
	for (size_t i = 0; i < planner->count; i++)
		if (is_tiny(planner, planner->packs[i], kind)) {
			count++;
			live += stored_live_bytes(planner->packs[i]);
		}
	if (count < PLAN_TINY_COUNT && live < planner->limits->pack_size)
		return;
	for (size_t i = 0; i < planner->count; i++)
		if (is_tiny(planner, planner->packs[i], kind))
			take(planner, planner->packs[i]);
}

static int compare_unused(const void *a, const void *b)
{
	const struct stored_pack *x = *(struct stored_pack *const *)a;
	const struct stored_pack *y = *(struct stored_pack *const *)b;
	/* Sizes are below 2^27. */
	uint64_t ux = unused_bytes(x) * y->size, uy = unused_bytes(y) * x->size;
	if (ux != uy)
		return ux > uy ? -1 : 1;
	return memcmp(x->id.b, y->id.b, PACK_ID_SIZE);
}

static void collect(struct planner *planner, struct stored *stored)
{
	for (size_t i = 0; i < stored->count; i++) {
		struct stored_pack *pack = &stored->packs[i];
		pack->doomed = pack->spared = false;
		if (!pack->gone)
			planner->left += pack->size;
		if (!may_go(pack))
			continue;
		planner->packs[planner->count++] = pack;
		if (!pack->condemned)
			planner->candidates_unused += unused_bytes(pack);
	}
	if (planner->count > 1)
		qsort(planner->packs, planner->count, sizeof(*planner->packs),
				compare_unused);
}

int plan_make(struct stored *stored, const struct plan_limits *limits,
		struct plan *out)
{
	CLEANUP_FREE struct stored_pack **packs =
			calloc(stored->count + 1, sizeof(struct stored_pack *));
	struct planner k = { .limits = limits, .plan = out, .packs = packs };
	*out = (struct plan){ .doomed_packs = 0 };
	assert(limits->pack_size != 0);
	if (packs == NULL)
		return fail_no_memory("planning");
	collect(&k, stored);
	/* What needs no copying, then condemned ones: they have waited. */
	take_where(&k, is_dead);
	take_where(&k, is_condemned);
	take_where(&k, is_damaged);
	take_unused(&k);
	take_tiny(&k, PACK_DATA);
	take_tiny(&k, PACK_TREE);
	for (size_t i = 0; i < stored->count; i++) {
		const struct stored_pack *pack = &stored->packs[i];
		if (!pack->doomed && !pack->gone && !pack->unreadable)
			out->unused_bytes += unused_bytes(pack);
	}
	return 0;
}
