/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Packs and the prefixes of their chunks in memory: what a merge brings into
 * the index, sorted so that neighbours meet in the same B-tree page; and what
 * answers look-ups by binary search while merging is not possible.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "index_internal.h"

struct index_run *index_run_new(void)
{
	return calloc(1, sizeof(struct index_run));
}

void index_run_free(struct index_run *run)
{
	if (run == NULL)
		return;
	free(run->packs);
	free(run->entries);
	free(run);
}

/* Room for MORE elements of SIZE bytes, half as much again in reserve. */
static int reserve(void *array, uint32_t *room, uint32_t count, uint32_t more,
		size_t size)
{
	uint64_t need = (uint64_t)count + more;
	if (need <= *room)
		return 0;
	uint64_t to = max_u64(need, *room + *room / 2);
	if (to > UINT32_MAX)
		return -ENOMEM;
	void *p = realloc(*(void **)array, to * size);
	if (p == NULL)
		return -ENOMEM;
	*(void **)array = p;
	*room = (uint32_t)to;
	return 0;
}

int index_run_add(struct index_run *run, const struct index_pack *pack)
{
	if (reserve(&run->packs, &run->pack_room, run->pack_count, 1,
			    sizeof(*run->packs))
					< 0
			|| reserve(&run->entries, &run->entry_room,
					   run->entry_count, pack->count,
					   sizeof(*run->entries))
					< 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < pack->count; i++)
		run->entries[run->entry_count++] = (struct run_entry){
			.key = index_key(pack->prefixes[i]),
			.pack = run->pack_count,
		};
	run->packs[run->pack_count++] = (struct run_pack){
		.id = pack->pack,
		.kind = (uint8_t)pack->kind,
	};
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct run_entry *x = a, *y = b;
	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	if (x->pack != y->pack)
		return x->pack > y->pack ? -1 : 1;
	return 0;
}

void index_run_sort(struct index_run *run)
{
	if (run->entry_count > 1)
		qsort(run->entries, run->entry_count, sizeof(*run->entries),
				compare);
}

int index_run_join_packs(struct pack_id *packs, int count, int max,
		const struct pack_id *id)
{
	for (int i = 0; i < count; i++)
		if (memcmp(&packs[i], id, sizeof(*id)) == 0)
			return count;
	if (count < max)
		packs[count++] = *id;
	return count;
}

int index_run_find(const struct index_run *run, uint64_t key,
		struct pack_id *packs, int count, int max)
{
	uint32_t low = 0, high = run->entry_count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (run->entries[middle].key < key)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < run->entry_count && run->entries[low].key == key; low++) {
		const struct run_pack *pack =
				&run->packs[run->entries[low].pack];
		if (!pack->gone)
			count = index_run_join_packs(packs, count, max,
					&pack->id);
	}
	return count;
}
