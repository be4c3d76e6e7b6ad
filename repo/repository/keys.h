/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The key slots of a repository: opening one, listing, adding, removing.
 * Threading: one thread at a time. Whoever changes slots must hold the
 * exclusive work "keys" (exclusive.h), but init, which makes the first.
 */
#ifndef AMBERFS_REPOSITORY_KEYS_H
#define AMBERFS_REPOSITORY_KEYS_H

#include "credentials.h"
#include "repo/format/keyslot.h"
#include "repo/store/store.h"

#define KEYS_MAX 64 /* slots of a repository */

struct key_slot {
	char digits[KEY_SLOT_DIGITS + 1]; /* of keys/<16 digits> */
	bool readable;			  /* else only the digits count */
	struct keyslot slot;
};

struct key_slots {
	struct key_slot items[KEYS_MAX]; /* sorted by digits */
	int count;
	bool more; /* than KEYS_MAX are there */
};

/* Loads all slots; damaged ones are in the list, not readable. */
int keys_load(struct key_slots *out, struct store *store,
		const uint8_t *repo_id);

/* Opens with SECRET: a passphrase, a key file's bytes, or either's text if
 * that is a recovery key. OPENED gets the slot's digits. 0; -EKEYREJECTED: none
 * opens; other errors. */
int keys_open(struct store *store, const uint8_t *repo_id,
		const struct secret *secret, uint8_t master[MASTER_KEY_SIZE],
		char opened[KEY_SLOT_DIGITS + 1]);

/* Makes a slot for SECRET (of its kind; a recovery key as its bytes), checks
 * that it opens, and puts it durably. LABEL: escaped, "" for none. */
int keys_add(struct store *store, const uint8_t *repo_id,
		const struct secret *secret, const char *label,
		const uint8_t master[MASTER_KEY_SIZE],
		char digits[KEY_SLOT_DIGITS + 1]);

/* The one that SPEC means: the beginning (4 digits or more) of its digits, or
 * its label, escaped or not. -ENOENT, -ENOTUNIQ. OUT is in SLOTS. */
int keys_find(const struct key_slots *slots, const char *spec,
		const struct key_slot **out);

/* Durably. The caller makes sure that another slot is left. */
int keys_remove(struct store *store, const struct key_slot *slot);

/* "passphrase", "key file", "recovery key" */
const char *keys_kind_name(enum keyslot_kind kind);

#endif
