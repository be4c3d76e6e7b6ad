/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reconciling the index with the packs that exist, shard by shard: a shard
 * whose state is the recorded one is not even listed. Packs that appeared are
 * loaded and merged, those that went are removed.
 *
 * What can't be merged is kept in memory, within a bound, and answered from
 * there, so that a stopped process that holds the lock keeps nobody from
 * reading. The shards' states are then not recorded: the next reconciliation
 * lists them again and merges what waits.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "index_internal.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"

struct id_list {
	struct pack_id *ids;
	size_t count, room;
};

static void clear_list(struct id_list *list)
{
	free(list->ids);
	*list = (struct id_list){ 0 };
}

static int push_id(struct id_list *list, const struct pack_id *id)
{
	if (list->count == list->room) {
		size_t room = list->room * 2 + 64;
		void *p = realloc(list->ids, room * sizeof(*list->ids));
		if (p == NULL)
			return fail_no_memory("reconciling the index");
		list->ids = p;
		list->room = room;
	}
	list->ids[list->count++] = *id;
	return 0;
}

static int compare_ids(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct pack_id));
}

struct reconciliation {
	struct index *index;
	struct index_run *run; /* loaded, not merged yet */
	struct id_list removed;
	uint64_t recorded[256]; /* shards' states in the index */
	uint64_t found[256];	/* read before the shard was listed */
	int trouble;		/* why nothing can be merged now */
};

/* Keeps the run in memory, where look-ups find it. */
static int keep_run(struct reconciliation *round) REQUIRES(round->index->work)
{
	struct index *index = round->index;
	if (index->waiting_entries + round->run->entry_count
			> index_tuning.memory_entries)
		return index_merge_explain(index, round->trouble);
	pthread_rwlock_wrlock(&index->lock);
	round->run->next = index->waiting;
	index->waiting = round->run;
	pthread_rwlock_unlock(&index->lock);
	index->waiting_entries += round->run->entry_count;
	round->run = NULL;
	return 0;
}

/* Merges the run, or keeps it in memory. LAST: with all that went, and the
 * states. */
static int flush_run(struct reconciliation *round, bool last)
		REQUIRES(round->index->work)
{
	struct index_merge m = { .run = round->run, .set_shards = last };
	if (round->run != NULL)
		index_run_sort(round->run);
	if (last) {
		m.removed = round->removed.ids;
		m.removed_count = round->removed.count;
		memcpy(m.before, round->recorded, sizeof(m.before));
		for (unsigned i = 0; i < 256; i++)
			m.now[i] = round->found[i] != 0 ? round->found[i]
							: round->recorded[i];
	}
	if (round->trouble == 0) {
		int err = index_merge_now(round->index, &m);
		if (err == -ERESTART)
			return err;
		round->trouble = err;
	}
	if (round->trouble != 0 && round->run != NULL)
		return keep_run(round);
	for (uint32_t i = 0; round->run != NULL && i < round->run->pack_count;
			i++)
		round->recorded[round->run->packs[i].id.b[0]] = 0;
	index_run_free(round->run);
	round->run = NULL;
	return 0;
}

static bool waits(struct index *index, const struct pack_id *id)
		REQUIRES(index->work)
{
	for (struct index_run *run = index_first_waiting(index); run != NULL;
			run = run->next)
		for (uint32_t i = 0; i < run->pack_count; i++)
			if (compare_ids(&run->packs[i].id, id) == 0)
				return true;
	return false;
}

/* A pack that the index lacks. */
static int take_in(struct reconciliation *round, const struct pack_id *id)
		REQUIRES(round->index->work)
{
	struct index_pack k = { .count = 0 };
	if (waits(round->index, id))
		return 0;
	int err = round->index->load(round->index->load_ctx, id, &k);
	if (err == -ENOENT)
		return 0;
	if (err == -EBADMSG || err == -EIO) {
		/* One pack must not keep all others from being found. The
		 * shard stays unsettled, so that a repaired pack is found and
		 * this one is counted each time. */
		round->index->unreadable++;
		round->found[id->b[0]] = 0;
		return 0;
	}
	if (err < 0)
		return err;
	k.pack = *id;
	if (round->run == NULL)
		round->run = index_run_new();
	err = round->run == NULL ? -ENOMEM : index_run_add(round->run, &k);
	free(k.prefixes);
	if (err < 0)
		return fail_errno(err, "reconciling the index");
	if (round->run->entry_count >= index_tuning.run_entries)
		return flush_run(round, false);
	return 0;
}

static bool lists(const struct id_list *list, const struct pack_id *id)
{
	return list->count > 0
			&& bsearch(id, list->ids, list->count,
					   sizeof(*list->ids), compare_ids)
			!= NULL;
}

/* Look-ups skip a waiting pack that was deleted. */
static void mark_gone(struct index *index, unsigned shard,
		const struct id_list *exist)
{
	pthread_rwlock_wrlock(&index->lock);
	for (struct index_run *run = index->waiting; run != NULL;
			run = run->next)
		for (uint32_t i = 0; i < run->pack_count; i++) {
			struct run_pack *pack = &run->packs[i];
			if (pack->id.b[0] == shard && !lists(exist, &pack->id))
				pack->gone = true;
		}
	pthread_rwlock_unlock(&index->lock);
}

/* Both lists ascend. */
static int compare_lists(struct reconciliation *round,
		const struct id_list *known, const struct id_list *exist)
		REQUIRES(round->index->work)
{
	size_t k = 0, e = 0;
	int err = 0;
	while (err == 0 && (k < known->count || e < exist->count)) {
		int order = k == known->count ? 1
				: e == exist->count
				? -1
				: compare_ids(&known->ids[k], &exist->ids[e]);
		if (order > 0)
			err = take_in(round, &exist->ids[e++]);
		else if (order < 0)
			err = push_id(&round->removed, &known->ids[k++]);
		else
			k++, e++;
	}
	return err;
}

struct shard_listing {
	unsigned shard;
	struct id_list *list;
};

static int list_object(void *ctx, const char *name)
{
	struct shard_listing *listing = ctx;
	struct pack_id id;
	if (pack_name_parse(&id, name) < 0 || id.b[0] != listing->shard)
		return 0;
	return push_id(listing->list, &id);
}

static int list_existing(struct index *index, unsigned shard,
		struct id_list *out)
{
	char prefix[16];
	struct shard_listing l = { shard, out };
	snprintf(prefix, sizeof(prefix), "packs/%02x/", shard);
	int err = store_list(index->store, prefix, list_object, &l);
	if (err < 0)
		return err;
	if (out->count > 1)
		qsort(out->ids, out->count, sizeof(*out->ids), compare_ids);
	return 0;
}

struct shard_call {
	unsigned shard;
	struct id_list *list;
};

static int packs_call(struct index_env *env, void *arg)
{
	struct shard_call *call = arg;
	return index_env_packs(env, call->shard, &call->list->ids,
			&call->list->count);
}

static int shards_call(struct index_env *env, void *arg)
{
	return index_env_shards(env, arg);
}

/* 0: unknown. */
static uint64_t shard_state(struct index *index, unsigned shard)
{
	uint64_t state = store_shard_state(index->store, shard);
	return state == 0 ? 0 : state ^ index->copy;
}

/* The state is read first, the index second, the store last: what changes in
 * between shows as a state that moved, or as a pack known already. */
static int reconcile_lists(struct reconciliation *round, unsigned shard,
		struct id_list *known, struct id_list *exist)
		REQUIRES(round->index->work)
{
	struct index *index = round->index;
	struct shard_call s = { shard, known };
	round->found[shard] = shard_state(index, shard);
	if (round->found[shard] != 0
			&& round->found[shard] == round->recorded[shard])
		return 0;
	if (index_current_env(round->index) != NULL) {
		int err = index_with_env(index, packs_call, &s);
		if (err < 0)
			return err == -ENOMEM ? err : -ERESTART;
	}
	int err = list_existing(index, shard, exist);
	if (err < 0)
		return err;
	if (index_first_waiting(round->index) != NULL)
		mark_gone(index, shard, exist);
	return compare_lists(round, known, exist);
}

static int reconcile_shard(struct reconciliation *round, unsigned shard)
		REQUIRES(round->index->work)
{
	struct id_list known = { 0 }, exist = { 0 };
	int err = reconcile_lists(round, shard, &known, &exist);
	clear_list(&known);
	clear_list(&exist);
	return err;
}

static int reconcile_shards(struct reconciliation *round)
		REQUIRES(round->index->work)
{
	round->trouble = index_make_ready(round->index);
	if (round->trouble == 0)
		round->trouble = index_merge_waiting(round->index);
	if (round->trouble == -ERESTART)
		return -ERESTART;
	if (index_current_env(round->index) != NULL
			&& index_with_env(round->index, shards_call,
					   round->recorded)
					< 0)
		return -ERESTART;
	for (unsigned i = 0; i < 256; i++) {
		int err = reconcile_shard(round, i);
		if (err < 0)
			return err;
	}
	bool same = round->run == NULL && round->removed.count == 0;
	for (unsigned i = 0; i < 256; i++)
		if (round->found[i] != 0
				&& round->found[i] != round->recorded[i])
			same = false;
	return same ? 0 : flush_run(round, true);
}

static int reconcile_once(struct index *index) REQUIRES(index->work)
{
	struct reconciliation *round = calloc(1, sizeof(*round));
	if (round == NULL)
		return fail_no_memory("reconciling the index");
	round->index = index;
	same_lock(&round->index->work);
	index->unreadable = 0;
	int err = reconcile_shards(round);
	index_run_free(round->run);
	clear_list(&round->removed);
	free(round);
	return err;
}

int index_reconcile_held(struct index *index) REQUIRES(index->work)
{
	for (int i = 0; i < INDEX_RESTARTS_MAX; i++) {
		int err = reconcile_once(index);
		if (err != -ERESTART)
			return err;
	}
	return fail(-EIO,
			"the index in %s keeps getting damaged; check the "
			"disk, or choose another directory with --index-dir",
			index->place.path);
}

int index_reconcile(struct index *index)
{
	LOCK_SCOPE(&index->work);
	return index_reconcile_held(index);
}
