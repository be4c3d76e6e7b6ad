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
static int keep_run(struct reconciliation *c) REQUIRES(c->index->work)
{
	struct index *index = c->index;
	if (index->waiting_entries + c->run->entry_count
			> index_tuning.memory_entries)
		return index_merge_explain(index, c->trouble);
	pthread_rwlock_wrlock(&index->lock);
	c->run->next = index->waiting;
	index->waiting = c->run;
	pthread_rwlock_unlock(&index->lock);
	index->waiting_entries += c->run->entry_count;
	c->run = NULL;
	return 0;
}

/* Merges the run, or keeps it in memory. LAST: with all that went, and the
 * states. */
static int flush_run(struct reconciliation *c, bool last)
		REQUIRES(c->index->work)
{
	struct index_merge m = { .run = c->run, .set_shards = last };
	if (c->run != NULL)
		index_run_sort(c->run);
	if (last) {
		m.removed = c->removed.ids;
		m.removed_count = c->removed.count;
		memcpy(m.shards, c->recorded, sizeof(m.shards));
	}
	if (c->trouble == 0) {
		int err = index_merge_now(c->index, &m);
		if (err == -ERESTART)
			return err;
		c->trouble = err;
	}
	if (c->trouble != 0 && c->run != NULL)
		return keep_run(c);
	index_run_free(c->run);
	c->run = NULL;
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
static int take_in(struct reconciliation *c, const struct pack_id *id)
		REQUIRES(c->index->work)
{
	struct index_pack k = { .count = 0 };
	if (waits(c->index, id))
		return 0;
	int err = c->index->load(c->index->load_ctx, id, &k);
	if (err == -ENOENT)
		return 0;
	if (err == -EBADMSG || err == -EIO) {
		/* One pack must not keep all others from being found. The
		 * shard stays unsettled, so that a repaired pack is found and
		 * this one is counted each time. */
		c->index->unreadable++;
		c->found[id->b[0]] = 0;
		return 0;
	}
	if (err < 0)
		return err;
	k.pack = *id;
	if (c->run == NULL)
		c->run = index_run_new();
	err = c->run == NULL ? -ENOMEM : index_run_add(c->run, &k);
	free(k.prefixes);
	if (err < 0)
		return fail_errno(err, "reconciling the index");
	if (c->run->entry_count >= index_tuning.run_entries)
		return flush_run(c, false);
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
static int compare_lists(struct reconciliation *c, const struct id_list *known,
		const struct id_list *exist) REQUIRES(c->index->work)
{
	size_t k = 0, e = 0;
	int err = 0;
	while (err == 0 && (k < known->count || e < exist->count)) {
		int order = k == known->count ? 1
				: e == exist->count
				? -1
				: compare_ids(&known->ids[k], &exist->ids[e]);
		if (order > 0)
			err = take_in(c, &exist->ids[e++]);
		else if (order < 0)
			err = push_id(&c->removed, &known->ids[k++]);
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

/* The state is read first, the index second, the store last: what changes in
 * between shows as a state that moved, or as a pack known already. */
static int reconcile_lists(struct reconciliation *c, unsigned shard,
		struct id_list *known, struct id_list *exist)
		REQUIRES(c->index->work)
{
	struct index *index = c->index;
	struct shard_call s = { shard, known };
	c->found[shard] = store_shard_state(index->store, shard);
	if (c->found[shard] != 0 && c->found[shard] == c->recorded[shard])
		return 0;
	if (index_current_env(c->index) != NULL) {
		int err = index_with_env(index, packs_call, &s);
		if (err < 0)
			return err == -ENOMEM ? err : -ERESTART;
	}
	int err = list_existing(index, shard, exist);
	if (err < 0)
		return err;
	if (index_first_waiting(c->index) != NULL)
		mark_gone(index, shard, exist);
	return compare_lists(c, known, exist);
}

static int reconcile_shard(struct reconciliation *c, unsigned shard)
		REQUIRES(c->index->work)
{
	struct id_list known = { 0 }, exist = { 0 };
	int err = reconcile_lists(c, shard, &known, &exist);
	clear_list(&known);
	clear_list(&exist);
	return err;
}

static int reconcile_shards(struct reconciliation *c) REQUIRES(c->index->work)
{
	c->trouble = index_make_ready(c->index);
	if (c->trouble == 0)
		c->trouble = index_merge_waiting(c->index);
	if (c->trouble == -ERESTART)
		return -ERESTART;
	if (index_current_env(c->index) != NULL
			&& index_with_env(c->index, shards_call, c->recorded)
					< 0)
		return -ERESTART;
	for (unsigned i = 0; i < 256; i++) {
		int err = reconcile_shard(c, i);
		if (err < 0)
			return err;
	}
	bool same = c->run == NULL && c->removed.count == 0;
	for (unsigned i = 0; i < 256; i++) {
		/* Unknown: the old state is past and never comes back. */
		if (c->found[i] == 0 || c->found[i] == c->recorded[i])
			continue;
		c->recorded[i] = c->found[i];
		same = false;
	}
	return same ? 0 : flush_run(c, true);
}

static int reconcile_once(struct index *index) REQUIRES(index->work)
{
	struct reconciliation *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return fail_no_memory("reconciling the index");
	c->index = index;
	same_lock(&c->index->work);
	index->unreadable = 0;
	int err = reconcile_shards(c);
	index_run_free(c->run);
	clear_list(&c->removed);
	free(c);
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
			index->dir);
}

int index_reconcile(struct index *index)
{
	LOCK_SCOPE(&index->work);
	return index_reconcile_held(index);
}
