/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Condemned packs and damaged frames, as two sorted arrays. Both are short:
 * condemned ones live from one prune to the next, damage is rare.
 *
 * The names alone say all that matters (condemned/PACK, damaged/PACK.FRAME);
 * the objects' content is for humans and for repair. Whoever can add a name
 * could delete the pack as well, so opening them here would gain nothing.
 */
#include "exclusions.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "id_set.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"
#include "repo/format/envelope.h"

struct excluded {
	struct pack_id pack;
	uint32_t frame;
};

struct excluded_set {
	struct excluded *items;
	size_t count, room;
};

struct exclusions {
	struct store *store;
	const struct seal *seal;
	const uint8_t *repo_id;
	pthread_mutex_t mutex;
	struct excluded_set condemned GUARDED_BY(mutex);
	struct excluded_set damaged GUARDED_BY(mutex);
	/* Ids of packs, filled up with zeros */
	struct id_set *used GUARDED_BY(mutex);
	_Atomic bool any_condemned, any_damaged;
};

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct excluded));
}

static bool contains(const struct excluded_set *set,
		const struct excluded *excluded)
{
	return set->count != 0
			&& bsearch(excluded, set->items, set->count,
					   sizeof(*excluded), compare)
			!= NULL;
}

static int add(struct excluded_set *set, const struct excluded *excluded)
{
	if (set->count == set->room) {
		size_t room = set->room ? 2 * set->room : 64;
		struct excluded *items =
				realloc(set->items, room * sizeof(*items));
		if (items == NULL)
			return -ENOMEM;
		set->items = items;
		set->room = room;
	}
	set->items[set->count++] = *excluded;
	return 0;
}

static void sort(struct excluded_set *set)
{
	if (set->count > 1)
		qsort(set->items, set->count, sizeof(*set->items), compare);
}

struct exclusions *exclusions_new(struct store *store, const struct seal *seal,
		const uint8_t *repo_id)
{
	struct exclusions *exclusions = calloc(1, sizeof(*exclusions));
	if (exclusions == NULL)
		return NULL;
	exclusions->store = store;
	exclusions->seal = seal;
	exclusions->repo_id = repo_id;
	pthread_mutex_init(&exclusions->mutex, NULL);
	exclusions->used = id_set_new();
	if (exclusions->used == NULL) {
		exclusions_free(exclusions);
		return NULL;
	}
	return exclusions;
}

void exclusions_free(struct exclusions *exclusions)
{
	if (exclusions == NULL)
		return;
	not_shared(&exclusions->mutex);
	free(exclusions->condemned.items);
	free(exclusions->damaged.items);
	id_set_free(exclusions->used);
	pthread_mutex_destroy(&exclusions->mutex);
	free(exclusions);
}

/* "condemned/<32 digits>" */
static int note_condemned(void *ctx, const char *name)
{
	struct excluded e = { .frame = 0 };
	if (hex_decode(e.pack.b, PACK_ID_SIZE, name + strlen("condemned/")) < 0)
		return 0;
	return add(ctx, &e);
}

/* "damaged/<32 digits>.<frame number>" */
static int note_damaged(void *ctx, const char *name)
{
	const char *text = name + strlen("damaged/");
	char digits[2 * PACK_ID_SIZE + 1];
	struct excluded e;
	char *end;
	if (strlen(text) < sizeof(digits) + 1 || text[2 * PACK_ID_SIZE] != '.')
		return 0;
	memcpy(digits, text, 2 * PACK_ID_SIZE);
	digits[2 * PACK_ID_SIZE] = '\0';
	unsigned long frame = strtoul(text + sizeof(digits), &end, 10);
	if (*end != '\0' || frame > UINT32_MAX
			|| hex_decode(e.pack.b, PACK_ID_SIZE, digits) < 0)
		return 0;
	e.frame = (uint32_t)frame;
	return add(ctx, &e);
}

static struct id pack_as_id(const struct pack_id *pack)
{
	struct id id = { .b = { 0 } };
	memcpy(id.b, pack->b, PACK_ID_SIZE);
	return id;
}

/* Adds to SET (sorted) what NOW lists beyond it. */
static int join(struct excluded_set *set, const struct excluded_set *now)
{
	size_t before = set->count;
	for (size_t i = 0; i < now->count; i++) {
		const struct excluded_set known = { .items = set->items,
			.count = before };
		if (contains(&known, &now->items[i]))
			continue;
		int err = add(set, &now->items[i]);
		if (err < 0) {
			set->count = before;
			return fail_errno(err, "listing condemned packs");
		}
	}
	sort(set);
	return 0;
}

static int condemn_more(struct exclusions *exclusions,
		const struct excluded_set *now) REQUIRES(exclusions->mutex)
{
	int err = join(&exclusions->condemned, now);
	exclusions->any_condemned = exclusions->condemned.count != 0;
	return err;
}

/* The condemned packs that are used. */
static int collect_held(struct exclusions *exclusions, struct pack_id **held,
		size_t *count) REQUIRES(exclusions->mutex)
{
	const struct excluded_set *set = &exclusions->condemned;
	struct pack_id *out = calloc(set->count + 1, sizeof(*out));
	size_t n = 0;
	if (out == NULL)
		return fail_no_memory("listing condemned packs");
	for (size_t i = 0; i < set->count; i++) {
		struct id id = pack_as_id(&set->items[i].pack);
		if (id_set_contains(exclusions->used, &id))
			out[n++] = set->items[i].pack;
	}
	*held = out;
	*count = n;
	return 0;
}

int exclusions_refresh(struct exclusions *exclusions, struct pack_id **held,
		size_t *count)
{
	struct excluded_set condemned = { 0 }, damaged = { 0 };
	int err = store_list(exclusions->store, "condemned/", note_condemned,
			&condemned);
	if (err == 0)
		err = store_list(exclusions->store, "damaged/", note_damaged,
				&damaged);
	if (err == 0) {
		LOCK_SCOPE(&exclusions->mutex);
		/* What this process found may not have been recorded. */
		err = join(&exclusions->damaged, &damaged);
		exclusions->any_damaged = exclusions->damaged.count != 0;
		if (err == 0)
			err = condemn_more(exclusions, &condemned);
		if (err == 0 && held != NULL)
			err = collect_held(exclusions, held, count);
	}
	free(condemned.items);
	free(damaged.items);
	return err;
}

int exclusions_load(struct exclusions *exclusions)
{
	return exclusions_refresh(exclusions, NULL, NULL);
}

int exclusions_set_aside(struct exclusions *exclusions,
		const struct pack_id *packs, size_t count)
{
	struct excluded_set set = { 0 };
	int err = 0;
	for (size_t i = 0; err == 0 && i < count; i++) {
		struct excluded e = { .pack = packs[i], .frame = 0 };
		err = add(&set, &e);
	}
	if (err == 0) {
		LOCK_SCOPE(&exclusions->mutex);
		err = condemn_more(exclusions, &set);
	}
	free(set.items);
	return err;
}

bool exclusions_use(struct exclusions *exclusions, const struct pack_id *pack)
{
	struct excluded e = { .pack = *pack, .frame = 0 };
	struct id id = pack_as_id(pack);
	LOCK_SCOPE(&exclusions->mutex);
	/* Without memory to remember it, the chunk is stored once more. */
	return !contains(&exclusions->condemned, &e)
			&& id_set_add(exclusions->used, &id) >= 0;
}

bool exclusions_condemned(struct exclusions *exclusions,
		const struct pack_id *pack)
{
	if (!exclusions->any_condemned)
		return false;
	struct excluded e = { .pack = *pack, .frame = 0 };
	LOCK_SCOPE(&exclusions->mutex);
	return contains(&exclusions->condemned, &e);
}

bool exclusions_any_damaged(struct exclusions *exclusions)
{
	return exclusions->any_damaged;
}

bool exclusions_damaged(struct exclusions *exclusions,
		const struct pack_id *pack, uint32_t frame)
{
	if (!exclusions->any_damaged)
		return false;
	struct excluded e = { .pack = *pack, .frame = frame };
	struct excluded whole = { .pack = *pack, .frame = TRAILER_AD };
	LOCK_SCOPE(&exclusions->mutex);
	return contains(&exclusions->damaged, &e)
			|| contains(&exclusions->damaged, &whole);
}

/* True if it was not known before. */
static bool remember_damaged(struct exclusions *exclusions,
		const struct excluded *excluded)
{
	LOCK_SCOPE(&exclusions->mutex);
	if (contains(&exclusions->damaged, excluded)
			|| add(&exclusions->damaged, excluded) < 0)
		return false;
	sort(&exclusions->damaged);
	exclusions->any_damaged = true;
	return true;
}

void exclusions_distrust(struct exclusions *exclusions,
		const struct pack_id *pack)
{
	struct excluded e = { .pack = *pack, .frame = TRAILER_AD };
	remember_damaged(exclusions, &e);
}

void exclusions_add_missing(struct exclusions *exclusions)
{
	static const struct pack_id none;
	exclusions_add_damaged(exclusions, &none, TRAILER_AD);
}

/* "damaged/<32 digits>.<frame number>"; HEX gets the digits. */
static void damaged_name(char name[64], char hex[2 * PACK_ID_SIZE + 1],
		const struct pack_id *pack, uint32_t frame)
{
	hex_encode(hex, pack->b, PACK_ID_SIZE);
	snprintf(name, 64, "damaged/%s.%" PRIu32, hex, frame);
}

void exclusions_add_damaged(struct exclusions *exclusions,
		const struct pack_id *pack, uint32_t frame)
{
	struct excluded e = { .pack = *pack, .frame = frame };
	if (!remember_damaged(exclusions, &e)
			|| !store_writable(exclusions->store))
		return;
	char pack_hex[2 * PACK_ID_SIZE + 1], name[64], text[160];
	damaged_name(name, pack_hex, pack, frame);
	int len = snprintf(text, sizeof(text),
			"{\"frame\":%" PRIu32
			",\"pack\":\"%s\",\"since\":%lld}",
			frame, pack_hex, (long long)time(NULL));
	CLEANUP_FREE uint8_t *object = NULL;
	size_t object_len;
	struct error_copy reader;
	error_save(&reader, -EBADMSG);
	/* Best effort: the reader gets its error whether or not the record
	 * could be written, and the next one finds the damage again. */
	if (envelope_seal(exclusions->seal, exclusions->repo_id,
			    ENVELOPE_DAMAGED, name, text, (size_t)len, &object,
			    &object_len)
			== 0)
		store_put(exclusions->store, name, object, object_len, false);
	error_load(&reader); /* the caller reports the damage */
}

int exclusions_list_damaged(struct exclusions *exclusions,
		struct damaged_frame **out, size_t *count)
{
	LOCK_SCOPE(&exclusions->mutex);
	struct damaged_frame *all =
			calloc(exclusions->damaged.count + 1, sizeof(*all));
	if (all == NULL)
		return fail_no_memory("listing damaged frames");
	for (size_t i = 0; i < exclusions->damaged.count; i++)
		all[i] = (struct damaged_frame){
			.pack = exclusions->damaged.items[i].pack,
			.frame = exclusions->damaged.items[i].frame
		};
	*out = all;
	*count = exclusions->damaged.count;
	return 0;
}

int exclusions_clear_damaged(struct exclusions *exclusions,
		const struct damaged_frame *frame, bool durably)
{
	char name[64], hex[2 * PACK_ID_SIZE + 1];
	const struct excluded e = { .pack = frame->pack,
		.frame = frame->frame };
	damaged_name(name, hex, &frame->pack, frame->frame);
	/* The record first: a thread listing the directory meanwhile must not
	 * bring it back into memory. */
	int err = durably ? store_delete(exclusions->store, name) : 0;
	if (err < 0 && err != -ENOENT)
		return err;
	LOCK_SCOPE(&exclusions->mutex);
	struct excluded_set *set = &exclusions->damaged;
	for (size_t i = 0; i < set->count; i++)
		if (compare(&set->items[i], &e) == 0) {
			set->count--;
			memmove(&set->items[i], &set->items[i + 1],
					(set->count - i) * sizeof(e));
			break;
		}
	exclusions->any_damaged = set->count != 0;
	return 0;
}

void exclusions_clear_missing(struct exclusions *exclusions)
{
	const struct damaged_frame lost = { .frame = TRAILER_AD };
	if (exclusions_damaged(exclusions, &lost.pack, lost.frame))
		exclusions_clear_damaged(exclusions, &lost, true);
}
