/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Listing packs, and whose they are. */
#include "stored.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/session/condemned.h"

struct listing {
	struct stored *to;
	struct store *store;
	size_t known; /* so many, sorted, were there before */
	bool fresh;
};

static int compare(const void *a, const void *b)
{
	const struct stored_pack *pack = a, *y = b;
	return memcmp(pack->id.b, y->id.b, PACK_ID_SIZE);
}

static struct stored_pack *find_among(const struct stored *stored, size_t count,
		const struct pack_id *id)
{
	struct stored_pack key = { .id = *id };
	return count ? bsearch(&key, stored->packs, count, sizeof(key), compare)
		     : NULL;
}

struct stored_pack *stored_find(const struct stored *stored,
		const struct pack_id *id)
{
	return find_among(stored, stored->count, id);
}

static struct stored_pack *append(struct stored *stored,
		const struct pack_id *id)
{
	if (stored->count == stored->room) {
		size_t room = stored->room ? 2 * stored->room : 256;
		struct stored_pack *more =
				realloc(stored->packs, room * sizeof(*more));
		if (more == NULL)
			return NULL;
		stored->packs = more;
		stored->room = room;
	}
	struct stored_pack *pack = &stored->packs[stored->count++];
	*pack = (struct stored_pack){ .id = *id };
	return pack;
}

static int note(void *ctx, const char *name)
{
	struct listing *listing = ctx;
	struct pack_id id;
	uint64_t size;
	if (pack_name_parse(&id, name) < 0
			|| find_among(listing->to, listing->known, &id) != NULL)
		return 0;
	int err = store_size(listing->store, name, &size);
	if (err < 0) /* not a repository's, or gone: nothing to prune there */
		return err == -ENOENT || err == -EBADMSG ? 0 : err;
	struct stored_pack *pack = append(listing->to, &id);
	if (pack == NULL)
		return fail_no_memory("listing packs");
	pack->size = size;
	pack->fresh = listing->fresh;
	return 0;
}

static void sort(struct stored *stored)
{
	if (stored->count > 1)
		qsort(stored->packs, stored->count, sizeof(*stored->packs),
				compare);
}

static int list_condemned(struct stored *stored, struct repository *repo)
{
	CLEANUP_FREE struct pack_id *ids = NULL;
	size_t count = 0, known = stored->count;
	int err = condemned_list(repo, &ids, &count);
	for (size_t i = 0; err == 0 && i < count; i++) {
		struct stored_pack *pack = find_among(stored, known, &ids[i]);
		if (pack == NULL) {
			pack = append(stored, &ids[i]);
			if (pack == NULL)
				return fail_no_memory("listing packs");
			pack->gone = true;
		}
		pack->condemned = true;
	}
	sort(stored);
	return err;
}

int stored_list(struct stored *stored, struct repository *repo, bool only_new)
{
	struct listing l = { .to = stored,
		.store = repo->store,
		.known = only_new ? stored->count : 0,
		.fresh = only_new };
	if (!only_new)
		stored_clear(stored);
	int err = store_list(repo->store, "packs/", note, &l);
	sort(stored);
	return err < 0 || only_new ? err : list_condemned(stored, repo);
}

static bool writer_lives(const struct pack_id *id, const struct peers *peers,
		const char *own_id)
{
	if (pack_id_is_of(id, own_id))
		return true;
	for (size_t i = 0; i < peers->count; i++)
		if (pack_id_is_of(id, peers->items[i].id))
			return true;
	return false;
}

int stored_leave_alone(struct stored *stored, struct repository *repo,
		const struct peers *peers, const char *own_id, int64_t young)
{
	int64_t now = time(NULL);
	for (size_t i = 0; i < stored->count; i++) {
		struct stored_pack *pack = &stored->packs[i];
		char name[PACK_NAME_SIZE];
		int64_t when = 0;
		if (pack->gone)
			continue;
		pack->alone = writer_lives(&pack->id, peers, own_id);
		if (pack->alone || young <= 0)
			continue;
		pack_name(name, &pack->id);
		int err = store_modified(repo->store, name, &when);
		if (err < 0 && err != -ENOENT)
			return err;
		pack->alone = err == 0 && when > now - young;
	}
	return 0;
}

void stored_clear(struct stored *stored)
{
	for (size_t i = 0; i < stored->count; i++)
		free(stored->packs[i].live_bits);
	free(stored->packs);
	*stored = (struct stored){ .packs = NULL };
}

uint64_t stored_live_bytes(const struct stored_pack *pack)
{
	/* Below 2^27 times 2^27. */
	return pack->shares ? pack->size * pack->live_shares / pack->shares : 0;
}

bool stored_is_live(const struct stored_pack *pack, uint32_t chunk)
{
	return pack->live_bits != NULL
			&& (pack->live_bits[chunk / 64] >> chunk % 64 & 1);
}
