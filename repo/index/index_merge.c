/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Merging packs into the index, in large transactions under the writers' lock.
 * An index that turns out damaged or replaced is opened or made anew, and the
 * merge tried again.
 */
#include <errno.h>

#include "index_internal.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"

int index_merge_explain(struct index *index, int err)
{
	if (err == -EAGAIN)
		return fail(err,
				"the index in %s is locked by another process "
				"that does not respond; nothing is lost, the "
				"index will be updated later",
				index->place.path);
	return fail_errno(err,
			"cannot update the index in %s (nothing is lost, "
			"it will be updated later)",
			index->place.path);
}

int index_merge_now(struct index *index, const struct index_merge *merge)
		REQUIRES(index->work)
{
	CLEANUP_FD int lock = -1;
	if (index_current_env(index) == NULL)
		return -EAGAIN;
	int err = index_place_lock(&lock, &index->place, index_tuning.lock_ms);
	if (err < 0)
		return err;
	err = index_write_merge(&index->place, lock, &index->identity,
			index_env_nonce(index_current_env(index)), merge);
	if (err == -EBADMSG) {
		err = index_place_remove(index->place.dir);
		if (err < 0)
			return err;
	}
	if (err == -EBADMSG || err == -ESTALE
			|| !index_env_current(index_current_env(index),
					&index->place)) {
		index_drop_env(index);
		return -ERESTART;
	}
	if (err == 0)
		index_load_filter(index);
	return err;
}

int index_merge_waiting(struct index *index) REQUIRES(index->work)
{
	while (index_first_waiting(index) != NULL) {
		struct index_merge m = { .run = index_first_waiting(index) };
		int err = index_merge_now(index, &m);
		if (err < 0)
			return err;
		pthread_rwlock_wrlock(&index->lock);
		struct index_run *run = index->waiting;
		index->waiting = run->next;
		pthread_rwlock_unlock(&index->lock);
		index->waiting_entries -= run->entry_count;
		index_run_free(run);
	}
	return 0;
}

static int merge_run(struct index *index, struct index_run *run)
		REQUIRES(index->work)
{
	struct index_merge m = { .run = run };
	int err = 0;
	index_run_sort(run);
	for (int i = 0; i < INDEX_RESTARTS_MAX; i++) {
		err = index_make_ready(index);
		if (err == 0)
			err = index_merge_waiting(index);
		if (err == 0)
			err = index_merge_now(index, &m);
		if (err != -ERESTART)
			break;
	}
	return err;
}

int index_merge_packs(struct index *index, const struct index_pack *packs,
		size_t count)
{
	LOCK_SCOPE(&index->work);
	size_t at = 0;
	int err = 0;
	while (at < count && err == 0) {
		struct index_run *run = index_run_new();
		if (run == NULL)
			return fail_no_memory("updating the index");
		while (at < count && err == 0
				&& run->entry_count < index_tuning.run_entries)
			err = index_run_add(run, &packs[at++]);
		if (err == 0)
			err = merge_run(index, run);
		index_run_free(run);
	}
	return err < 0 ? index_merge_explain(index,
			       err == -ERESTART ? -EIO : err)
		       : 0;
}
