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
	size_t known;		/* so many, sorted, were there before */
	bool fresh;
};

static int compare(const void *a, const void *b)
{
	const struct stored_pack *x = a, *y = b;
	return memcmp(x->id.b, y->id.b, PACK_ID_SIZE);
}

static struct stored_pack *find_among(const struct stored *s, size_t count,
		const struct pack_id *id)
{
	struct stored_pack key = { .id = *id };
	return count ? bsearch(&key, s->packs, count, sizeof(key), compare)
		     : NULL;
}

struct stored_pack *stored_find(const struct stored *s,
		const struct pack_id *id)
{
	return find_among(s, s->count, id);
}

static struct stored_pack *append(struct stored *s, const struct pack_id *id)
{
	if (s->count == s->room) {
		size_t room = s->room ? 2 * s->room : 256;
		struct stored_pack *more = realloc(
				s->packs, room * sizeof(*more));
		if (more == NULL)
			return NULL;
		s->packs = more;
		s->room = room;
	}
	struct stored_pack *p = &s->packs[s->count++];
	*p = (struct stored_pack){ .id = *id };
	return p;
}

static int note(void *ctx, const char *name)
{
	struct listing *l = ctx;
	struct pack_id id;
	uint64_t size;
	if (pack_name_parse(&id, name) < 0
			|| find_among(l->to, l->known, &id) != NULL)
		return 0;
	int err = store_size(l->store, name, &size);
	if (err < 0) /* nobody's directory, or gone: nothing to prune there */
		return err == -ENOENT || err == -EBADMSG ? 0 : err;
	struct stored_pack *p = append(l->to, &id);
	if (p == NULL)
		return fail_errno(-ENOMEM, "listing packs");
	p->size = size;
	p->fresh = l->fresh;
	return 0;
}

static void sort(struct stored *s)
{
	if (s->count > 1)
		qsort(s->packs, s->count, sizeof(*s->packs), compare);
}

static int list_condemned(struct stored *s, struct repository *r)
{
	CLEANUP_FREE struct pack_id *ids = NULL;
	size_t count = 0, known = s->count;
	int err = condemned_list(r, &ids, &count);
	for (size_t i = 0; err == 0 && i < count; i++) {
		struct stored_pack *p = find_among(s, known, &ids[i]);
		if (p == NULL) {
			p = append(s, &ids[i]);
			if (p == NULL)
				return fail_errno(-ENOMEM, "listing packs");
			p->gone = true;
		}
		p->condemned = true;
	}
	sort(s);
	return err;
}

int stored_list(struct stored *s, struct repository *r, bool only_new)
{
	struct listing l = { .to = s, .store = r->store,
		.known = only_new ? s->count : 0, .fresh = only_new };
	if (!only_new)
		stored_clear(s);
	int err = store_list(r->store, "packs/", note, &l);
	sort(s);
	return err < 0 || only_new ? err : list_condemned(s, r);
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

int stored_leave_alone(struct stored *s, struct repository *r,
		const struct peers *peers, const char *own_id, int64_t young)
{
	int64_t now = time(NULL);
	for (size_t i = 0; i < s->count; i++) {
		struct stored_pack *p = &s->packs[i];
		char name[PACK_NAME_SIZE];
		int64_t when = 0;
		if (p->gone)
			continue;
		p->alone = writer_lives(&p->id, peers, own_id);
		if (p->alone || young <= 0)
			continue;
		pack_name(name, &p->id);
		int err = store_modified(r->store, name, &when);
		if (err < 0 && err != -ENOENT)
			return err;
		p->alone = err == 0 && when > now - young;
	}
	return 0;
}

void stored_clear(struct stored *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->packs[i].live_bits);
	free(s->packs);
	*s = (struct stored){ .packs = NULL };
}

uint64_t stored_live_bytes(const struct stored_pack *p)
{
	/* Below 2^27 times 2^27. */
	return p->shares ? p->size * p->live_shares / p->shares : 0;
}

bool stored_is_live(const struct stored_pack *p, uint32_t chunk)
{
	return p->live_bits && (p->live_bits[chunk / 64] >> chunk % 64 & 1);
}
