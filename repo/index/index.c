/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The index as the rest of the program sees it; index_internal.h lists its
 * parts. Here: opening and look-ups.
 *
 * States of the environment: open; or absent (index->env NULL), because the
 * lock could not be had, the disk is full, or a look-up met damage. Look-ups
 * then find nothing in it, which is a valid answer. The next merge or
 * reconciliation opens it again, made anew if it was damaged.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "index_internal.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"

/* So long an opening waits for the lock before it tries without. */
#define OPEN_LOCK_MS 1000

struct index_tuning index_tuning = {
	.lock_ms = 10000,
	.silence_ms = 120000,
	.cpu_seconds = 30,
	.map_size = 1 << 30,
	.run_entries = 1 << 20,
	.txn_entries = 100000,
	.memory_entries = 1 << 20,
};

const char *index_dir(const struct index *index)
{
	return index->place.path;
}

/* --- calls into the environment --- */

int index_with_env(struct index *index, index_env_call *fn, void *arg)
{
	pthread_rwlock_rdlock(&index->lock);
	struct index_env *env = index->env;
	int err = env != NULL ? fn(env, arg) : -EBADMSG;
	pthread_rwlock_unlock(&index->lock);
	return err;
}

static int numbers_call(struct index_env *env, void *arg)
{
	return index_env_numbers(env, arg);
}

/* --- opening, closing, replacing --- */

static void swap_filter(struct index *index, struct index_filter *filter)
{
	pthread_rwlock_wrlock(&index->lock);
	struct index_filter *old = index->filter;
	index->filter = filter;
	pthread_rwlock_unlock(&index->lock);
	index_filter_close(old);
}

static void swap_env(struct index *index, struct index_env *env)
{
	pthread_rwlock_wrlock(&index->lock);
	struct index_env *old = index->env;
	index->env = env;
	pthread_rwlock_unlock(&index->lock);
	index_env_close(old);
}

void index_drop_env(struct index *index)
{
	swap_filter(index, NULL);
	swap_env(index, NULL);
}

void index_load_filter(struct index *index) REQUIRES(index->work)
{
	struct index_env_numbers n;
	struct index_filter *filter = NULL;
	if (index_with_env(index, numbers_call, &n) == 0)
		filter = index_filter_open(index->place.dir,
				index_env_nonce(index_current_env(index)),
				n.generation);
	swap_filter(index, filter);
}

/* Opens the environment without changing anything. */
static int open_env(struct index *index) REQUIRES(index->work)
{
	struct index_env *env;
	int err = index_env_open(&env, &index->place, &index->identity);
	if (err < 0)
		return err;
	swap_env(index, env);
	index_load_filter(index);
	return 0;
}

/* The same with the lock: what is damaged, foreign or missing is made anew. */
static int open_or_make_env(struct index *index, int lock_fd)
		REQUIRES(index->work)
{
	int err = index->damaged ? -EBADMSG : open_env(index);
	if (err != -EBADMSG && err != -ENOENT)
		return err;
	err = index_place_remove(index->place.dir);
	if (err < 0)
		return err;
	index->damaged = false;
	err = index_write_create(&index->place, lock_fd, &index->identity);
	return err < 0 ? err : open_env(index);
}

static int lock_and_open(struct index *index, unsigned ms) REQUIRES(index->work)
{
	CLEANUP_FD int lock = -1;
	int err = index_place_lock(&lock, &index->place, ms);
	return err < 0 ? err : open_or_make_env(index, lock);
}

int index_make_ready(struct index *index) REQUIRES(index->work)
{
	if (index_current_env(index) != NULL) {
		int broken = index_env_broken(index_current_env(index));
		bool current = index_env_current(index_current_env(index),
				&index->place);
		if (current && broken == 0)
			return 0;
		if (current && broken == -EBADMSG)
			index->damaged = true;
		index_drop_env(index);
	}
	return lock_and_open(index, index_tuning.lock_ms);
}

/* Whoever holds the lock for long, a look at the index must not wait for him
 * if it is in order. */
static void open_first(struct index *index) REQUIRES(index->work)
{
	unsigned ms = (unsigned)min_u64(index_tuning.lock_ms, OPEN_LOCK_MS);
	if (lock_and_open(index, ms) != -EAGAIN)
		return;
	if (open_env(index) < 0)
		lock_and_open(index, index_tuning.lock_ms);
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

/* Copies of a repository have the id in common, and thus the index: a state of
 * one's packs says nothing of the other's. */
static uint64_t copy_of(struct store *store)
{
	struct stat st;
	uint64_t at[2] = { 0 };
	uint8_t out[16];
	if (stat(store_path(store), &st) == 0) {
		at[0] = st.st_dev;
		at[1] = st.st_ino;
	}
	seal_hash(out, sizeof(out), at, sizeof(at));
	return get_le64(out);
}

int index_open(struct index **out, struct store *store, const uint8_t *repo_id,
		const char *dir, index_load_fn *load, void *load_ctx)
{
	struct index *index = calloc(1, sizeof(*index));
	if (index == NULL)
		return fail_no_memory("opening the index");
	pthread_mutex_init(&index->work, NULL);
	init_lock(&index->lock);
	index->store = store;
	index->load = load;
	index->load_ctx = load_ctx;
	memcpy(index->identity.repo, repo_id, REPO_ID_SIZE);
	index_place_machine(index->identity.machine);
	index->copy = copy_of(store);
	int err = index_place_open(&index->place, repo_id, dir);
	if (err < 0) {
		index_close(index);
		return err;
	}
	index_former_remove(store, index->place.dir);
	open_first(index);
	*out = index;
	return 0;
}

static void drop_waiting(struct index *index) REQUIRES(index->work)
{
	pthread_rwlock_wrlock(&index->lock);
	while (index->waiting != NULL) {
		struct index_run *run = index->waiting;
		index->waiting = run->next;
		index_run_free(run);
	}
	index->waiting_entries = 0;
	pthread_rwlock_unlock(&index->lock);
}

int index_empty(struct index *index, int lock_fd) REQUIRES(index->work)
{
	index_drop_env(index);
	drop_waiting(index);
	index->damaged = true;
	return open_or_make_env(index, lock_fd);
}

void index_close(struct index *index)
{
	if (index == NULL)
		return;
	not_shared(&index->work);
	not_shared(&index->lock);
	drop_waiting(index);
	index_filter_close(index->filter);
	index_env_close(index->env);
	pthread_rwlock_destroy(&index->lock);
	pthread_mutex_destroy(&index->work);
	index_place_close(&index->place);
	free(index);
}

/* --- look-ups --- */

struct find {
	uint64_t key;
	struct pack_id *packs;
	int count, max;
};

static int find_call(struct index_env *env, void *arg)
{
	struct find *find = arg;
	return index_env_find(env, find->key, find->packs, find->count,
			find->max);
}

/* What the runs that wait to be merged have; *ASK: whether the environment is
 * worth asking. */
static int find_waiting(struct index *index, const struct find *find,
		bool for_writer, bool *ask)
{
	int n = 0;
	pthread_rwlock_rdlock(&index->lock);
	for (struct index_run *run = index->waiting; run != NULL;
			run = run->next)
		n = index_run_find(run, find->key, find->packs, n, find->max);
	*ask = index->env != NULL
			&& (!for_writer || index->filter == NULL
					|| index_filter_maybe(index->filter,
							find->key));
	pthread_rwlock_unlock(&index->lock);
	return n;
}

int index_candidates(struct index *index, uint64_t prefix, bool for_writer,
		struct pack_id *packs, int max)
{
	struct find f = { .key = index_key(prefix),
		.packs = packs,
		.max = max };
	bool ask;
	f.count = find_waiting(index, &f, for_writer, &ask);
	if (!ask)
		return f.count;
	int err = index_with_env(index, find_call, &f);
	return err < 0 ? f.count : err;
}

uint64_t index_unreadable(const struct index *index)
{
	return index->unreadable;
}

int index_stats(struct index *index, struct index_stats *out)
{
	struct index_env_numbers n;
	*out = (struct index_stats){ .unreadable_packs = index->unreadable };
	if (index_with_env(index, numbers_call, &n) == 0) {
		out->chunks = n.chunks;
		out->packs = n.packs;
		out->file_bytes = n.file_bytes;
	}
	pthread_rwlock_rdlock(&index->lock);
	for (struct index_run *run = index->waiting; run != NULL;
			run = run->next) {
		out->chunks += run->entry_count;
		out->packs += run->pack_count;
	}
	pthread_rwlock_unlock(&index->lock);
	return 0;
}
