/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzz entry: the envelope of small objects. Input: kind u8, the object's name
 * and a line end, then bytes, which are taken once for the stored object and
 * once for the payload of one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "repo/format/envelope.h"

struct place {
	const struct seal *seal;
	enum envelope_kind kind;
	const char *name;
};

static int open_there(const struct place *place, const uint8_t *object,
		size_t len)
{
	char *payload;
	size_t n;
	int err = envelope_open(place->seal, fuzz_repo_id, place->kind,
			place->name, object, len, &payload, &n);
	must((err == 0) == (payload != NULL));
	must(err == 0 || err == -EBADMSG);
	must(err < 0 || (n + 52 == len && payload[n] == '\0'));
	free(payload);
	return err;
}

/* One wrong bit, one byte less, another kind or name: none opens. */
static void try_changed(const struct place *place, uint8_t *object, size_t len,
		size_t where)
{
	struct place other = *place;
	object[where % len] ^= (uint8_t)(1u << where % 8);
	must(open_there(place, object, len) < 0);
	object[where % len] ^= (uint8_t)(1u << where % 8);
	must(open_there(place, object, len) == 0);
	must(open_there(place, object, len - 1) < 0);
	other.kind = place->kind == ENVELOPE_SNAPSHOT ? ENVELOPE_SESSION
						      : ENVELOPE_SNAPSHOT;
	must(open_there(&other, object, len) < 0);
	other = *place;
	other.name = "snapshots/another";
	must(open_there(&other, object, len) < 0
			|| strcmp(place->name, other.name) == 0);
	other = *place;
	other.seal = fuzz_seal(!seal_encrypts(place->seal));
	must(open_there(&other, object, len) < 0);
}

static void try_payload(const struct place *place, const struct input *in)
{
	uint8_t *object = NULL;
	char *payload = NULL;
	size_t len, n;

	int err = envelope_seal(place->seal, fuzz_repo_id, place->kind,
			place->name, in->at, in->left, &object, &len);
	must(err == 0 || err == -ENAMETOOLONG);
	if (err < 0)
		return;
	must(envelope_open(place->seal, fuzz_repo_id, place->kind, place->name,
			     object, len, &payload, &n)
			== 0);
	must(n == in->left && (n == 0 || memcmp(payload, in->at, n) == 0));
	try_changed(place, object, len, in->left * 31);
	free(payload);
	free(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t first = input_u8(&in);
	char *name = input_line(&in);
	struct place p = {
		.seal = fuzz_seal(first & 8),
		.kind = ENVELOPE_SNAPSHOT + first % 8 % ENVELOPE_RETENTION,
		.name = name,
	};
	/* Not to be opened by who lacks the key; without one it may open. */
	if (open_there(&p, in.at, in.left) == 0)
		must(!seal_encrypts(p.seal));
	try_payload(&p, &in);
	free(name);
	return 0;
}
