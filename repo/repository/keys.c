/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Key slots. Each is an object of its own, put or deleted in one durable step,
 * so at any instant the repository opens with what its slots say.
 *
 * A slot may vanish between the listing and its reading, when somebody has
 * just put another and removed this: then all are listed again.
 */
#include "keys.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"
#include "repo/format/name.h"
#include "repo/format/recovery.h"

#define PREFIX_MIN 4
#define LISTINGS 5
/* Passes times KiB, of all that is tried: enough for as many slots as there can be,
 * of the cost that they are made with. */
#define COST_MAX ((uint64_t)KEYS_MAX * KDF_DEFAULT_OPS * KDF_DEFAULT_MEM_KIB)

static void object_name(char out[32], const char *digits)
{
	snprintf(out, 32, "keys/%s", digits);
}

const char *keys_kind_name(enum keyslot_kind kind)
{
	static const char *const names[] = {
		[KEYSLOT_PASSPHRASE] = "passphrase",
		[KEYSLOT_KEY_FILE] = "key file",
		[KEYSLOT_RECOVERY] = "recovery key",
	};
	return names[kind];
}

/* --- listing --- */

static int note_slot(void *ctx, const char *name)
{
	struct key_slots *slots = ctx;
	const char *digits = name + strlen("keys/");
	uint8_t bytes[KEY_SLOT_DIGITS / 2];
	if (hex_decode(bytes, sizeof(bytes), digits) < 0)
		return 0;
	slots->more = slots->count == KEYS_MAX;
	if (slots->more)
		return 1;
	struct key_slot *slot = &slots->items[slots->count++];
	memset(slot, 0, sizeof(*slot));
	memcpy(slot->digits, digits, sizeof(slot->digits));
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct key_slot *x = a, *y = b;
	return strcmp(x->digits, y->digits);
}

static int list_slots(struct key_slots *out, struct store *store)
{
	out->count = 0;
	out->more = false;
	int err = store_list(store, "keys/", note_slot, out);
	if (err < 0)
		return err;
	qsort(out->items, (size_t)out->count, sizeof(out->items[0]), compare);
	return 0;
}

static int load_slot(struct key_slot *slot, struct store *store,
		const uint8_t *repo_id)
{
	CLEANUP_FREE void *data = NULL;
	size_t len = 0;
	char name[32];
	object_name(name, slot->digits);
	int err = store_get(store, name, &data, &len, KEYSLOT_SIZE);
	if (err == 0)
		err = keyslot_decode(&slot->slot, repo_id, data, len);
	slot->readable = err == 0;
	return err < 0 ? fail_within(err, "key slot %s", name) : 0;
}

int keys_load(struct key_slots *out, struct store *store,
		const uint8_t *repo_id)
{
	int err = list_slots(out, store), kept = 0;
	if (err < 0)
		return err;
	for (int i = 0; i < out->count; i++) {
		err = load_slot(&out->items[i], store, repo_id);
		if (err == -ENOMEM)
			return err;
		if (err != -ENOENT) /* removed just now */
			out->items[kept++] = out->items[i];
	}
	out->count = kept;
	return 0;
}

/* --- opening --- */

struct opening {
	const struct secret *secret;
	struct secret recovery; /* what it says as a recovery key; or no bytes */
	int mistyped;		/* -EINVAL: it seems to be one, but is wrong */
	struct error_copy why;
	bool recovery_slots;
	struct error_copy bad; /* of a slot that can't be used; err 0: none */
};

static int begin_opening(struct opening *opening, const struct secret *secret)
{
	*opening = (struct opening){ .secret = secret };
	opening->recovery.kind = KEYSLOT_RECOVERY;
	opening->recovery.bytes = seal_secret_alloc(RECOVERY_SIZE);
	if (opening->recovery.bytes == NULL)
		return fail_no_memory("opening");
	size_t len = secret->len;
	while (len > 0
			&& (secret->bytes[len - 1] == '\n'
					|| secret->bytes[len - 1] == '\r'))
		len--; /* of a key file */
	int err = recovery_decode((uint8_t *)opening->recovery.bytes,
			secret->bytes, len);
	if (err == 0)
		opening->recovery.len = RECOVERY_SIZE;
	if (err == -EINVAL) {
		opening->mistyped = err;
		error_save(&opening->why, err);
	}
	return 0;
}

static const struct secret *secret_for(const struct opening *opening,
		const struct key_slot *slot)
{
	return slot->slot.kind == KEYSLOT_RECOVERY ? &opening->recovery
						   : opening->secret;
}

static bool is_for(const struct opening *opening, const struct key_slot *slot)
{
	const struct secret *secret = secret_for(opening, slot);
	return slot->slot.kind == secret->kind && secret->len > 0;
}

/* -EKEYREJECTED: not this slot. */
static int try_slot(struct opening *opening, const uint8_t *repo_id,
		const struct key_slot *slot, uint8_t *master)
{
	const struct secret *secret = secret_for(opening, slot);
	return keyslot_unwrap(&slot->slot, repo_id, secret->bytes, secret->len,
			master);
}

static int rejected(struct opening *opening, struct store *store)
{
	const char *kind = keys_kind_name(opening->secret->kind);
	if (opening->mistyped && opening->recovery_slots)
		return fail(-EKEYREJECTED, "wrong %s for %s: %s", kind,
				store_path(store), opening->why.text);
	return fail(-EKEYREJECTED, "wrong %s for %s", kind, store_path(store));
}

/* Loads all; OPENING->bad gets why one can't be used. -ENOENT: a slot was removed
 * meanwhile. */
static int load_for_opening(struct opening *opening, struct store *store,
		const uint8_t *repo_id, struct key_slots *slots)
{
	int r = list_slots(slots, store);
	if (r == 0 && slots->count == 0)
		r = fail(-EBADMSG,
				"%s has no key slots left in its directory "
				"keys: restore them from a copy",
				store_path(store));
	for (int i = 0; r == 0 && i < slots->count; i++) {
		struct key_slot *slot = &slots->items[i];
		int e = load_slot(slot, store, repo_id);
		if (e == -ENOENT)
			r = e;
		else if (e < 0)
			error_save(&opening->bad, e);
		else if (slot->slot.kind == KEYSLOT_RECOVERY)
			opening->recovery_slots = true;
	}
	return r;
}

static uint64_t cost_of(const struct key_slot *slot)
{
	return (uint64_t)slot->slot.cost.ops * slot->slot.cost.mem_kib;
}

static int by_cost(const void *a, const void *b)
{
	const struct key_slot *const *x = a, *const *y = b;
	uint64_t p = cost_of(*x), q = cost_of(*y);
	return p != q ? (p > q ? 1 : -1) : compare(*x, *y);
}

static int too_costly(const struct key_slot *slot, struct store *store)
{
	return fail(-EKEYREJECTED,
			"none of the other key slots of %s opens with it, and "
			"keys/%s would take too long to try (%u passes over "
			"%u MiB): unless you have made it, remove it",
			store_path(store), slot->digits, slot->slot.cost.ops,
			slot->slot.cost.mem_kib / 1024);
}

/* The cheap ones first; somebody may have added costly ones. */
static int try_slots(struct opening *opening, struct store *store,
		const uint8_t *repo_id, const struct key_slots *slots,
		uint8_t *master, char *opened)
{
	const struct key_slot *order[KEYS_MAX];
	uint64_t spent = 0;
	size_t count = 0;
	for (int i = 0; i < slots->count; i++)
		if (slots->items[i].readable)
			order[count++] = &slots->items[i];
	qsort(order, count, sizeof(*order), by_cost);
	for (size_t i = 0; i < count; i++) {
		const struct key_slot *slot = order[i];
		if (!is_for(opening, slot))
			continue;
		spent += cost_of(slot);
		int err = spent > COST_MAX
				? too_costly(slot, store)
				: try_slot(opening, repo_id, slot, master);
		if (err == 0) {
			memcpy(opened, slot->digits, sizeof(slot->digits));
			return 0;
		}
		if (err != -EKEYREJECTED || spent > COST_MAX)
			error_save(&opening->bad, err);
		if (spent > COST_MAX)
			break;
	}
	return opening->bad.err < 0 ? error_load(&opening->bad)
				    : rejected(opening, store);
}

int keys_open(struct store *store, const uint8_t *repo_id,
		const struct secret *secret, uint8_t master[MASTER_KEY_SIZE],
		char opened[KEY_SLOT_DIGITS + 1])
{
	struct opening o;
	CLEANUP_FREE struct key_slots *slots = malloc(sizeof(*slots));
	if (slots == NULL)
		return fail_no_memory("opening");
	int err = begin_opening(&o, secret);
	if (err == 0)
		err = -ENOENT;
	for (int i = 0; err == -ENOENT && i < LISTINGS; i++)
		err = load_for_opening(&o, store, repo_id, slots);
	if (err == 0)
		err = try_slots(&o, store, repo_id, slots, master, opened);
	credentials_clear_secret(&o.recovery);
	return err;
}

/* --- changing --- */

/* What is written must open: other slots may be removed relying on it. */
static int check_opens(const uint8_t bytes[KEYSLOT_SIZE],
		const uint8_t *repo_id, const struct secret *secret,
		const uint8_t *master)
{
	struct keyslot back;
	uint8_t *again = seal_secret_alloc(MASTER_KEY_SIZE);
	if (again == NULL)
		return fail_no_memory("making a key slot");
	int err = keyslot_decode(&back, repo_id, bytes, KEYSLOT_SIZE);
	if (err == 0)
		err = keyslot_unwrap(&back, repo_id, secret->bytes, secret->len,
				again);
	bool right = err == 0 && seal_equal(again, master, MASTER_KEY_SIZE);
	seal_secret_free(again);
	if (!right && err != -ENOMEM)
		err = fail(-EIO,
				"the new key slot does not open and was not "
				"written: is this machine's memory faulty?");
	return err;
}

int keys_add(struct store *store, const uint8_t *repo_id,
		const struct secret *secret, const char *label,
		const uint8_t master[MASTER_KEY_SIZE],
		char digits[KEY_SLOT_DIGITS + 1])
{
	struct keyslot slot = { .kind = secret->kind, .created = time(NULL) };
	uint8_t bytes[KEYSLOT_SIZE], random[KEY_SLOT_DIGITS / 2];
	char name[32];
	if (strlen(label) > KEYSLOT_LABEL_MAX)
		return fail(-ENAMETOOLONG, "the label is too long");
	memcpy(slot.label, label, strlen(label) + 1);
	if (secret->kind == KEYSLOT_PASSPHRASE)
		slot.cost = (struct kdf_cost){ .ops = KDF_DEFAULT_OPS,
			.mem_kib = KDF_DEFAULT_MEM_KIB };
	int err = keyslot_make(bytes, &slot, repo_id, secret->bytes,
			secret->len, master);
	if (err == 0)
		err = check_opens(bytes, repo_id, secret, master);
	if (err < 0)
		return fail_within(err, "making a key slot");
	seal_random(random, sizeof(random));
	hex_encode(digits, random, sizeof(random));
	object_name(name, digits);
	return store_put(store, name, bytes, sizeof(bytes), true);
}

/* SPEC as it is typed or as it is shown. */
static bool has_label(const struct key_slot *slot, const char *spec)
{
	if (!slot->readable || slot->slot.label[0] == '\0')
		return false;
	CLEANUP_FREE char *escaped = name_escape(spec, strlen(spec));
	return strcmp(slot->slot.label, spec) == 0
			|| (escaped != NULL
					&& strcmp(slot->slot.label, escaped)
							== 0);
}

int keys_find(const struct key_slots *slots, const char *spec,
		const struct key_slot **out)
{
	char shown[256];
	size_t len = strlen(spec);
	const struct key_slot *found = NULL;
	name_display(shown, sizeof(shown), spec);
	for (int i = 0; i < slots->count; i++) {
		const struct key_slot *slot = &slots->items[i];
		bool meant = len >= PREFIX_MIN
				&& strncmp(slot->digits, spec, len) == 0;
		if (!meant && !has_label(slot, spec))
			continue;
		if (found != NULL)
			return fail(-ENOTUNIQ,
					"'%s' is ambiguous: slot %s or %s; "
					"give all its digits",
					shown, found->digits, slot->digits);
		found = slot;
	}
	if (found == NULL)
		return fail(-ENOENT,
				"there is no key slot '%s'; 'amberfs key "
				"list' shows all",
				shown);
	*out = found;
	return 0;
}

int keys_remove(struct store *store, const struct key_slot *slot)
{
	char name[32];
	object_name(name, slot->digits);
	return store_delete(store, name);
}
