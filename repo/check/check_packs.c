/* SPDX-License-Identifier: GPL-3.0-or-later */
/* All packs, in parallel. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/store/names.h"

#define THREADS_MAX 256u

void check_packs_progress(void *ctx, struct progress_numbers *now)
{
	const struct check_counts *counts = ctx;
	now->done = counts->done;
	now->total = counts->total;
	now->fresh = UINT64_MAX;
}

struct pack_list {
	struct store *store;
	struct check_counts *counts;
	check_pack_fn *fn;
	void *ctx;
	struct names names;
	_Atomic size_t next;
};

static int note_pack(void *ctx, const char *name)
{
	struct pack_list *list = ctx;
	uint64_t size;
	int err = names_add(&list->names, name);
	if (err < 0)
		return err;
	if (store_size(list->store, name, &size) == 0)
		list->counts->total += size;
	return 0;
}

static void *pack_thread(void *arg)
{
	struct pack_list *list = arg;
	for (size_t i = list->next++; i < list->names.count && !interrupt_flag;
			i = list->next++)
		list->fn(list->ctx, list->names.items[i]);
	return NULL;
}

int check_packs_each(struct store *store, unsigned jobs,
		struct check_counts *counts, check_pack_fn *fn, void *ctx)
{
	struct pack_list l = { .store = store,
		.counts = counts,
		.fn = fn,
		.ctx = ctx };
	pthread_t threads[THREADS_MAX];
	unsigned started = 0;
	counts->done = counts->total = 0;
	int err = store_list(store, "packs/", note_pack, &l);
	while (err == 0 && started + 1 < jobs && started < THREADS_MAX
			&& pthread_create(&threads[started], NULL, pack_thread,
					   &l)
					== 0)
		started++;
	if (err == 0)
		pack_thread(&l);
	while (started > 0)
		pthread_join(threads[--started], NULL);
	names_clear(&l.names);
	if (err == 0 && interrupt_flag)
		err = fail(-ECANCELED, "interrupted");
	return err;
}
