/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzz entry: key slot. Input: a byte, then the object. If the byte is odd the
 * checksum is put right, if it has bit 1 also the repository id, since no
 * fuzzer finds those.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "repo/base/bytes.h"
#include "repo/format/keyslot.h"

#define SUM_AT 240

static void check_bounds(const struct keyslot *slot)
{
	bool passphrase = slot->kind == KEYSLOT_PASSPHRASE;
	must(passphrase || slot->kind == KEYSLOT_KEY_FILE
			|| slot->kind == KEYSLOT_RECOVERY);
	must(slot->cost.ops <= KDF_MAX_OPS);
	must(slot->cost.mem_kib <= KDF_MAX_MEM_KIB);
	must((slot->cost.ops > 0) == passphrase);
	must((slot->cost.mem_kib > 0) == passphrase);
	must(memchr(slot->label, '\0', sizeof(slot->label)) != NULL);
	must(slot->label[0] == '\0' || fuzz_is_escaped(slot->label));
	must(slot->created >= 0 && slot->created < 253402300800);
}

/* The one form that FORMAT.md gives the fields, made by the table there. */
static void encode(uint8_t out[KEYSLOT_SIZE], const struct keyslot *slot)
{
	static const uint8_t magic[8] = { 'A', 'M', 'B', 'R', 'K', 'E', 'Y',
		'\n' };
	memset(out, 0, KEYSLOT_SIZE);
	memcpy(out, magic, sizeof(magic));
	out[8] = 1;
	out[9] = (uint8_t)slot->kind;
	put_le32(out + 12, slot->cost.ops);
	put_le32(out + 16, slot->cost.mem_kib);
	put_le64(out + 24, (uint64_t)slot->created);
	memcpy(out + 32, slot->salt, KDF_SALT_SIZE);
	memcpy(out + 48, fuzz_repo_id, REPO_ID_SIZE);
	memcpy(out + 64, slot->wrapped, WRAPPED_KEY_SIZE);
	memcpy(out + 136, slot->label, strlen(slot->label));
	seal_hash(out + SUM_AT, 16, out, SUM_AT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t how = input_u8(&in), again[KEYSLOT_SIZE], object[KEYSLOT_SIZE],
		master[MASTER_KEY_SIZE];
	struct keyslot slot;
	fuzz_seal(true);
	if (in.left != KEYSLOT_SIZE) {
		must(!fuzz_accepted(keyslot_decode(&slot, fuzz_repo_id, in.at,
				in.left)));
		return 0;
	}
	memcpy(object, in.at, KEYSLOT_SIZE);
	if (how & 2)
		memcpy(object + 48, fuzz_repo_id, REPO_ID_SIZE);
	if (how & 1)
		seal_hash(object + SUM_AT, 16, object, SUM_AT);
	if (!fuzz_accepted(keyslot_decode(&slot, fuzz_repo_id, object,
			    KEYSLOT_SIZE)))
		return 0;
	check_bounds(&slot);
	encode(again, &slot);
	must(memcmp(again, object, KEYSLOT_SIZE) == 0);
	/* Argon2id takes what the slot says, and would be slow. */
	if (slot.kind != KEYSLOT_PASSPHRASE)
		must(keyslot_unwrap(&slot, fuzz_repo_id, "secret", 6, master)
				== -EKEYREJECTED);
	return 0;
}
