/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * condemned/PACK and condemned/epoch.N. The names alone say all that matters.
 *
 * The latest epoch's object stays for good, so that numbers only grow. Should
 * it get lost all the same (a copied repository), LEAST keeps a session's
 * older acknowledgement from passing for one of a new epoch.
 */
#include "condemned.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"
#include "repo/base/interrupt.h"
#include "repo/format/envelope.h"
#include "repo/format/session_record.h"

#define DIRECTORY "condemned/"
#define EPOCH_PREFIX DIRECTORY "epoch."
#define EPOCH_DIGITS 18
#define NAME_SIZE 64
#define ANNOUNCE_TRIES 1000
/* Objects put at once: each takes two descriptors until then. */
#define BATCH 64u

static int seal(struct repository *repo, const char *name, const char *text,
		uint8_t **object, size_t *len)
{
	return envelope_seal(repo->seal, repo->config.repo_id,
			ENVELOPE_CONDEMNED, name, text, strlen(text), object,
			len);
}

/* --- packs --- */

static void condemned_name(char out[NAME_SIZE], const struct pack_id *pack)
{
	char hex[2 * PACK_ID_SIZE + 1];
	hex_encode(hex, pack->b, PACK_ID_SIZE);
	snprintf(out, NAME_SIZE, DIRECTORY "%s", hex);
}

static int begin_object(struct repository *repo, const struct pack_id *pack,
		struct store_put **out)
{
	CLEANUP_FREE uint8_t *object = NULL;
	char name[NAME_SIZE], text[128];
	size_t len = 0;
	*out = NULL;
	condemned_name(name, pack);
	snprintf(text, sizeof(text), "{\"pack\":\"%s\",\"since\":%lld}",
			name + strlen(DIRECTORY), (long long)time(NULL));
	int err = seal(repo, name, text, &object, &len);
	if (err == 0)
		err = store_put_begin(repo->store, out, name);
	if (err == 0 && *out != NULL)
		err = store_put_write(*out, object, len);
	if (err < 0)
		store_put_abort(take_ptr(*out));
	return err;
}

/* COUNT is at most BATCH. */
static int add_batch(struct repository *repo, const struct pack_id *packs,
		size_t count)
{
	struct store_put *puts[BATCH];
	for (size_t i = 0; i < count; i++) {
		int err = begin_object(repo, &packs[i], &puts[i]);
		if (err < 0) {
			while (i-- > 0)
				store_put_abort(puts[i]);
			return err;
		}
	}
	return store_put_commit_all(puts, count);
}

int condemned_add(struct repository *repo, const struct pack_id *packs,
		size_t count)
{
	int err = 0;
	for (size_t done = 0; err == 0 && done < count; done += BATCH) {
		if (interrupt_flag)
			return fail(-ECANCELED, "interrupted");
		err = add_batch(repo, packs + done,
				(size_t)min_u64(count - done, BATCH));
	}
	return err;
}

int condemned_clear(struct repository *repo, const struct pack_id *pack)
{
	char name[NAME_SIZE];
	condemned_name(name, pack);
	int err = store_delete_unsynced(repo->store, name);
	return err == -ENOENT ? 0 : err;
}

int condemned_sync(struct repository *repo)
{
	return store_sync(repo->store, EPOCH_PREFIX "0");
}

struct pack_array {
	struct pack_id *items;
	size_t count, room;
};

static int note_pack(void *ctx, const char *name)
{
	struct pack_array *array = ctx;
	struct pack_id pack;
	if (hex_decode(pack.b, PACK_ID_SIZE, name + strlen(DIRECTORY)) < 0)
		return 0;
	if (array->count == array->room) {
		size_t room = array->room ? 2 * array->room : 64;
		struct pack_id *more =
				realloc(array->items, room * sizeof(*more));
		if (more == NULL)
			return fail_no_memory("listing condemned packs");
		array->items = more;
		array->room = room;
	}
	array->items[array->count++] = pack;
	return 0;
}

static int compare_packs(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct pack_id));
}

int condemned_list(struct repository *repo, struct pack_id **out, size_t *count)
{
	struct pack_array a = { .items = NULL };
	int err = store_list(repo->store, DIRECTORY, note_pack, &a);
	if (err < 0) {
		free(a.items);
		return err;
	}
	if (a.count > 1)
		qsort(a.items, a.count, sizeof(*a.items), compare_packs);
	*out = a.items;
	*count = a.count;
	return 0;
}

/* --- epochs --- */

/* The number of "condemned/epoch.N", or 0. */
static uint64_t epoch_number(const char *name)
{
	if (strncmp(name, EPOCH_PREFIX, strlen(EPOCH_PREFIX)) != 0)
		return 0;
	const char *digits = name + strlen(EPOCH_PREFIX);
	size_t n = strspn(digits, "0123456789");
	if (n == 0 || n > EPOCH_DIGITS || digits[n] != '\0' || digits[0] == '0')
		return 0;
	return strtoull(digits, NULL, 10);
}

static int note_epoch(void *ctx, const char *name)
{
	uint64_t *highest = ctx, n = epoch_number(name);
	if (n > *highest)
		*highest = n;
	return 0;
}

int condemned_latest_epoch(struct repository *repo, uint64_t *epoch)
{
	*epoch = 0;
	return store_list(repo->store, DIRECTORY, note_epoch, epoch);
}

struct older {
	struct store *store;
	uint64_t than;
};

/* A leftover one is harmless. */
static int delete_older(void *ctx, const char *name)
{
	struct older *older = ctx;
	uint64_t n = epoch_number(name);
	if (n != 0 && n < older->than)
		store_delete(older->store, name);
	return 0;
}

static int put_epoch(struct repository *repo, uint64_t n)
{
	CLEANUP_FREE uint8_t *object = NULL;
	char name[NAME_SIZE], text[128];
	size_t len;
	snprintf(name, sizeof(name), EPOCH_PREFIX "%" PRIu64, n);
	snprintf(text, sizeof(text), "{\"epoch\":%" PRIu64 ",\"since\":%lld}",
			n, (long long)time(NULL));
	int err = seal(repo, name, text, &object, &len);
	return err < 0 ? err : store_put(repo->store, name, object, len, true);
}

int condemned_announce_epoch(struct repository *repo, uint64_t least,
		uint64_t *epoch)
{
	int err = -EEXIST;
	for (int i = 0; err == -EEXIST && i < ANNOUNCE_TRIES; i++) {
		uint64_t n;
		err = condemned_latest_epoch(repo, &n);
		if (err < 0)
			return err;
		n = (n > least ? n : least) + 1;
		if (n > (uint64_t)EPOCH_MAX)
			return fail(-EOVERFLOW,
					"the epochs in %s/" DIRECTORY
					" are exhausted: one must be forged",
					store_path(repo->store));
		err = put_epoch(repo, n);
		*epoch = n;
	}
	if (err != 0)
		return err;
	struct older o = { .store = repo->store, .than = *epoch };
	store_list(repo->store, DIRECTORY, delete_older, &o);
	return 0;
}
