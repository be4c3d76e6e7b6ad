/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Choosing packs; see plan.h. */
#include "plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"

struct planner {
	const struct plan_limits *limits;
	struct plan *plan;
	struct stored_pack **packs;	/* those that may go, by unused share */
	size_t count;
	/* Of them, while they are not doomed. */
	uint64_t candidates_unused;
	uint64_t left;			/* bytes of all that will be left */
};

static uint64_t unused_bytes(const struct stored_pack *p)
{
	return p->size - stored_live_bytes(p);
}

static bool may_go(const struct stored_pack *p)
{
	return !p->gone && !p->alone && !p->fresh && !p->unreadable
			&& !p->irreplaceable;
}

/* Dooms P unless that is too much to copy. */
static bool take(struct planner *k, struct stored_pack *p)
{
	const struct plan_limits *l = k->limits;
	struct plan *plan = k->plan;
	uint64_t bytes = plan->rewrite_bytes + stored_live_bytes(p);
	uint64_t chunks = plan->rewrite_chunks + p->live;
	if (p->live != 0 && (bytes > l->space_bytes
			|| chunks > l->rewrite_chunks)) {
		plan->cut_short = true;
		return false;
	}
	if (p->live != 0 && bytes > l->rewrite_bytes)
		return false;
	p->doomed = true;
	plan->rewrite_bytes = bytes;
	plan->rewrite_chunks = chunks;
	plan->doomed_packs++;
	plan->doomed_bytes += p->size;
	plan->condemned_packs += p->condemned;
	k->left -= unused_bytes(p);
	if (!p->condemned)
		k->candidates_unused -= unused_bytes(p);
	return true;
}

static void take_where(struct planner *k,
		bool (*wanted)(const struct stored_pack *p))
{
	for (size_t i = 0; i < k->count; i++)
		if (!k->packs[i]->doomed && wanted(k->packs[i]))
			take(k, k->packs[i]);
}

static bool is_condemned(const struct stored_pack *p)
{
	return p->condemned;
}

static bool is_dead(const struct stored_pack *p)
{
	return p->live == 0;
}

static bool is_damaged(const struct stored_pack *p)
{
	return p->damaged;
}

static uint64_t unused_allowed(const struct planner *k)
{
	const struct plan_limits *l = k->limits;
	return l->unused_is_share ? (uint64_t)(l->unused_share * (double)k->left)
				  : l->unused_bytes;
}

/* Most unused first. */
static void take_unused(struct planner *k)
{
	for (size_t i = 0; i < k->count
			&& k->candidates_unused > unused_allowed(k); i++) {
		struct stored_pack *p = k->packs[i];
		if (!p->doomed && unused_bytes(p) != 0)
			take(k, p);
	}
}

static bool is_tiny(const struct planner *k, const struct stored_pack *p,
		enum pack_kind kind)
{
	return !p->doomed && !p->condemned && p->kind == kind
			&& p->size < k->limits->pack_size / 4;
}

static void take_tiny(struct planner *k, enum pack_kind kind)
{
	uint64_t count = 0, live = 0;
	for (size_t i = 0; i < k->count; i++)
		if (is_tiny(k, k->packs[i], kind)) {
			count++;
			live += stored_live_bytes(k->packs[i]);
		}
	if (count < PLAN_TINY_COUNT && live < k->limits->pack_size)
		return;
	for (size_t i = 0; i < k->count; i++)
		if (is_tiny(k, k->packs[i], kind))
			take(k, k->packs[i]);
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

static void collect(struct planner *k, struct stored *s)
{
	for (size_t i = 0; i < s->count; i++) {
		struct stored_pack *p = &s->packs[i];
		p->doomed = p->spared = false;
		if (!p->gone)
			k->left += p->size;
		if (!may_go(p))
			continue;
		k->packs[k->count++] = p;
		if (!p->condemned)
			k->candidates_unused += unused_bytes(p);
	}
	if (k->count > 1)
		qsort(k->packs, k->count, sizeof(*k->packs), compare_unused);
}

int plan_make(struct stored *s, const struct plan_limits *l, struct plan *out)
{
	CLEANUP_FREE struct stored_pack **packs =
			calloc(s->count + 1, sizeof(struct stored_pack *));
	struct planner k = { .limits = l, .plan = out, .packs = packs };
	*out = (struct plan){ .doomed_packs = 0 };
	if (packs == NULL)
		return fail_errno(-ENOMEM, "planning");
	collect(&k, s);
	/* What needs no copying, then condemned ones: they have waited. */
	take_where(&k, is_dead);
	take_where(&k, is_condemned);
	take_where(&k, is_damaged);
	take_unused(&k);
	take_tiny(&k, PACK_DATA);
	take_tiny(&k, PACK_TREE);
	for (size_t i = 0; i < s->count; i++) {
		const struct stored_pack *p = &s->packs[i];
		if (!p->doomed && !p->gone && !p->unreadable)
			out->unused_bytes += unused_bytes(p);
	}
	return 0;
}
