/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The index as the rest of the program sees it; index_internal.h lists its
 * parts. Here: opening, look-ups and merging.
 *
 * States of the environment: open; or absent (ix->env NULL), because the lock
 * could not be had, the disk is full, or a look-up met damage. Look-ups then
 * find nothing in it, which is a valid answer. The next index_add or
 * index_reconcile opens it again, made anew if it was damaged.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "index_internal.h"

/* So long an opening waits for the lock before it tries without. */
#define OPEN_LOCK_MS 1000
#define GROW_TRIES 4

struct index_tuning index_tuning = {
	.lock_ms = 10000,
	.silence_ms = 120000,
	.cpu_seconds = 30,
	.map_size = 1 << 30,
	.run_entries = 1 << 20,
	.txn_entries = 100000,
	.memory_entries = 1 << 20,
};

const char *index_dir(const struct index *ix)
{
	return ix->dir;
}

/* --- calls into the environment --- */

int index_with_env(struct index *ix, index_env_call *fn, void *arg)
{
	for (int try = 0; try < GROW_TRIES; try++) {
		pthread_rwlock_rdlock(&ix->lock);
		struct index_env *e = ix->env;
		int err = e != NULL ? fn(e, arg) : -EBADMSG;
		pthread_rwlock_unlock(&ix->lock);
		if (err != -EAGAIN)
			return err;
		/* Another process has let the file grow beyond the map. */
		pthread_rwlock_wrlock(&ix->lock);
		if (ix->env == e)
			index_env_grow(e);
		pthread_rwlock_unlock(&ix->lock);
	}
	return -EBADMSG;
}

static int numbers_call(struct index_env *e, void *arg)
{
	return index_env_numbers(e, arg);
}

/* --- opening, closing, replacing --- */

static void swap_filter(struct index *ix, struct index_filter *f)
{
	pthread_rwlock_wrlock(&ix->lock);
	struct index_filter *old = ix->filter;
	ix->filter = f;
	pthread_rwlock_unlock(&ix->lock);
	index_filter_close(old);
}

static void swap_env(struct index *ix, struct index_env *e)
{
	pthread_rwlock_wrlock(&ix->lock);
	struct index_env *old = ix->env;
	ix->env = e;
	pthread_rwlock_unlock(&ix->lock);
	index_env_close(old);
}

static void load_filter(struct index *ix)
{
	struct index_env_numbers n;
	struct index_filter *f = NULL;
	if (index_with_env(ix, numbers_call, &n) == 0)
		f = index_filter_open(ix->dir, index_env_nonce(ix->env),
				n.generation);
	swap_filter(ix, f);
}

/* Opens the environment without changing anything. */
static int open_env(struct index *ix)
{
	struct index_env *e;
	int err = index_env_open(&e, ix->dir, &ix->identity);
	if (err < 0)
		return err;
	swap_env(ix, e);
	load_filter(ix);
	return 0;
}

/* The same with the lock: what is damaged, foreign or missing is made anew. */
static int open_or_make_env(struct index *ix, int lock_fd)
{
	int err = ix->damaged ? -EBADMSG : open_env(ix);
	if (err != -EBADMSG && err != -ENOENT)
		return err;
	err = index_place_remove(ix->dir);
	if (err < 0)
		return err;
	ix->damaged = false;
	err = index_write_create(ix->dir, lock_fd, &ix->identity);
	return err < 0 ? err : open_env(ix);
}

static int lock_and_open(struct index *ix, unsigned ms)
{
	CLEANUP_FD int lock = -1;
	int err = index_place_lock(&lock, ix->dir, ms);
	return err < 0 ? err : open_or_make_env(ix, lock);
}

int index_make_ready(struct index *ix)
{
	if (ix->env != NULL) {
		bool broken = index_env_broken(ix->env);
		bool current = index_env_current(ix->env);
		if (current && !broken)
			return 0;
		if (current)
			ix->damaged = true;
		swap_filter(ix, NULL);
		swap_env(ix, NULL);
	}
	return lock_and_open(ix, index_tuning.lock_ms);
}

/* Whoever holds the lock for long, a look at the index must not wait for him
 * if it is in order. */
static void open_first(struct index *ix)
{
	unsigned ms = (unsigned)min_u64(index_tuning.lock_ms, OPEN_LOCK_MS);
	if (lock_and_open(ix, ms) != -EAGAIN)
		return;
	if (open_env(ix) < 0)
		lock_and_open(ix, index_tuning.lock_ms);
}

/* Look-ups in many threads would keep a writer waiting for ever. */
static void init_lock(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t a;
	pthread_rwlockattr_init(&a);
	pthread_rwlockattr_setkind_np(&a,
			PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(lock, &a);
	pthread_rwlockattr_destroy(&a);
}

int index_open(struct index **out, struct store *store, const uint8_t *repo_id,
		const char *dir, index_load_fn *load, void *load_ctx)
{
	struct index *ix = calloc(1, sizeof(*ix));
	if (ix == NULL)
		return fail_errno(-ENOMEM, "opening the index");
	pthread_mutex_init(&ix->work, NULL);
	init_lock(&ix->lock);
	ix->store = store;
	ix->load = load;
	ix->load_ctx = load_ctx;
	memcpy(ix->identity.repo, repo_id, REPO_ID_SIZE);
	index_place_machine(ix->identity.machine);
	int err = index_place_choose(&ix->dir, store, repo_id, dir);
	if (err < 0) {
		index_close(ix);
		return err;
	}
	open_first(ix);
	*out = ix;
	return 0;
}

static void drop_waiting(struct index *ix)
{
	pthread_rwlock_wrlock(&ix->lock);
	while (ix->waiting != NULL) {
		struct index_run *run = ix->waiting;
		ix->waiting = run->next;
		index_run_free(run);
	}
	ix->waiting_entries = 0;
	pthread_rwlock_unlock(&ix->lock);
}

void index_close(struct index *ix)
{
	if (ix == NULL)
		return;
	drop_waiting(ix);
	index_filter_close(ix->filter);
	index_env_close(ix->env);
	pthread_rwlock_destroy(&ix->lock);
	pthread_mutex_destroy(&ix->work);
	free(ix->dir);
	free(ix);
}

/* --- look-ups --- */

struct find {
	uint64_t key;
	struct pack_id *packs;
	int count, max;
};

static int find_call(struct index_env *e, void *arg)
{
	struct find *f = arg;
	return index_env_find(e, f->key, f->packs, f->count, f->max);
}

/* What the runs that wait to be merged have; *ASK: whether the environment is
 * worth asking. */
static int find_waiting(struct index *ix, const struct find *f, bool for_writer,
		bool *ask)
{
	int n = 0;
	pthread_rwlock_rdlock(&ix->lock);
	for (struct index_run *r = ix->waiting; r != NULL; r = r->next)
		n = index_run_find(r, f->key, f->packs, n, f->max);
	*ask = ix->env != NULL && (!for_writer || ix->filter == NULL
			|| index_filter_maybe(ix->filter, f->key));
	pthread_rwlock_unlock(&ix->lock);
	return n;
}

int index_candidates(struct index *ix, uint64_t prefix, bool for_writer,
		struct pack_id *packs, int max)
{
	struct find f = { .key = index_key(prefix), .packs = packs,
		.max = max };
	bool ask;
	f.count = find_waiting(ix, &f, for_writer, &ask);
	if (!ask)
		return f.count;
	int err = index_with_env(ix, find_call, &f);
	return err < 0 ? f.count : err;
}

uint64_t index_unreadable(const struct index *ix)
{
	return ix->unreadable;
}

int index_stats(struct index *ix, struct index_stats *out)
{
	struct index_env_numbers n;
	*out = (struct index_stats){ .unreadable_packs = ix->unreadable };
	if (index_with_env(ix, numbers_call, &n) == 0) {
		out->chunks = n.chunks;
		out->packs = n.packs;
		out->file_bytes = n.file_bytes;
	}
	pthread_rwlock_rdlock(&ix->lock);
	for (struct index_run *r = ix->waiting; r != NULL; r = r->next) {
		out->chunks += r->entry_count;
		out->packs += r->pack_count;
	}
	pthread_rwlock_unlock(&ix->lock);
	return 0;
}

/* --- merging --- */

int index_explain(struct index *ix, int err)
{
	if (err == -EAGAIN)
		return fail(err, "the index in %s is held by another process "
				"that does not answer; nothing is lost, it is "
				"brought up to date later", ix->dir);
	return fail_errno(err, "can't update the index in %s (nothing is "
			"lost, it is brought up to date later)", ix->dir);
}

int index_merge_now(struct index *ix, const struct index_merge *m)
{
	CLEANUP_FD int lock = -1;
	if (ix->env == NULL)
		return -EAGAIN;
	int err = index_place_lock(&lock, ix->dir, index_tuning.lock_ms);
	if (err < 0)
		return err;
	err = index_write_merge(ix->dir, lock, &ix->identity,
			index_env_nonce(ix->env), m);
	if (err == -EBADMSG) {
		err = index_place_remove(ix->dir);
		if (err < 0)
			return err;
	}
	if (err == -EBADMSG || err == -ESTALE || !index_env_current(ix->env)) {
		swap_filter(ix, NULL);
		swap_env(ix, NULL);
		return -ERESTART;
	}
	if (err == 0)
		load_filter(ix);
	return err;
}

int index_merge_waiting(struct index *ix)
{
	while (ix->waiting != NULL) {
		struct index_merge m = { .run = ix->waiting };
		int err = index_merge_now(ix, &m);
		if (err < 0)
			return err;
		pthread_rwlock_wrlock(&ix->lock);
		struct index_run *run = ix->waiting;
		ix->waiting = run->next;
		pthread_rwlock_unlock(&ix->lock);
		ix->waiting_entries -= run->entry_count;
		index_run_free(run);
	}
	return 0;
}

static int merge_run(struct index *ix, struct index_run *run)
{
	struct index_merge m = { .run = run };
	int err = 0;
	index_run_sort(run);
	for (int i = 0; i < INDEX_RESTARTS_MAX; i++) {
		err = index_make_ready(ix);
		if (err == 0)
			err = index_merge_waiting(ix);
		if (err == 0)
			err = index_merge_now(ix, &m);
		if (err != -ERESTART)
			break;
	}
	return err;
}

int index_add(struct index *ix, const struct index_pack *packs, size_t count)
{
	LOCK_SCOPE(&ix->work);
	size_t at = 0;
	int err = 0;
	while (at < count && err == 0) {
		struct index_run *run = index_run_new();
		if (run == NULL)
			return fail_errno(-ENOMEM, "updating the index");
		while (at < count && err == 0 &&
				run->entry_count < index_tuning.run_entries)
			err = index_run_add(run, &packs[at++]);
		if (err == 0)
			err = merge_run(ix, run);
		index_run_free(run);
	}
	return err < 0 ? index_explain(ix, err == -ERESTART ? -EIO : err) : 0;
}

int index_rebuild(struct index *ix)
{
	LOCK_SCOPE(&ix->work);
	CLEANUP_FD int lock = -1;
	int err = index_place_lock(&lock, ix->dir, index_tuning.lock_ms);
	if (err < 0)
		return index_explain(ix, err);
	swap_filter(ix, NULL);
	swap_env(ix, NULL);
	drop_waiting(ix);
	ix->damaged = true;
	/* Without room for it, reconciling goes on in memory. */
	open_or_make_env(ix, lock);
	close(take_fd(&lock));
	return index_reconcile_held(ix);
}
