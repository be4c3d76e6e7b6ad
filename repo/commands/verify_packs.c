/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The checksum at the end of each pack, over all of it; needs no key. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "verify.h"

#define READ_SIZE (1u << 20)

static int hash_range(struct verify *verify, const char *name, uint8_t *buf,
		uint64_t end, XXH3_state_t *state)
{
	for (uint64_t at = 0; at < end;) {
		size_t len = end - at < READ_SIZE ? (size_t)(end - at)
						  : READ_SIZE;
		ssize_t n = store_get_range(verify->store, name, buf, len, at);
		if (n < 0)
			return (int)n;
		if ((size_t)n != len)
			return fail(-EBADMSG, "pack %s is truncated", name);
		XXH3_128bits_update(state, buf, len);
		verify->counts.done += len;
		at += len;
	}
	return 0;
}

static int check_pack(struct verify *verify, const char *name, uint8_t *buf,
		XXH3_state_t *state)
{
	XXH128_canonical_t sum, stored;
	uint64_t size;
	int err = store_size(verify->store, name, &size);
	if (err < 0)
		return err;
	if (size < PACK_HEADER_SIZE + PACK_FOOTER_SIZE || size > PACK_SIZE_MAX)
		return fail(-EBADMSG, "pack %s has an impossible size", name);
	XXH3_128bits_reset(state);
	err = hash_range(verify, name, buf, size - PACK_CHECKSUM_SIZE, state);
	if (err < 0)
		return err;
	ssize_t n = store_get_range(verify->store, name, &stored,
			sizeof(stored), size - PACK_CHECKSUM_SIZE);
	XXH128_canonicalFromHash(&sum, XXH3_128bits_digest(state));
	if (n < 0)
		return (int)n;
	if (n != sizeof(stored) || memcmp(&sum, &stored, sizeof(sum)) != 0)
		return fail(-EBADMSG,
				"pack %s is damaged: its checksum does not "
				"match",
				name);
	return 0;
}

static void verify_pack(void *ctx, const char *name)
{
	struct verify *verify = ctx;
	CLEANUP_FREE uint8_t *buf = malloc(READ_SIZE);
	XXH3_state_t *state = XXH3_createState();
	int err = buf != NULL && state != NULL
			? check_pack(verify, name, buf, state)
			: fail_errno(-ENOMEM, "checking %s", name);
	XXH3_freeState(state);
	verify->counts.packs++;
	if (err < 0 && err != -ENOENT) /* gone: pruned meanwhile */
		verify_problem(verify, err, name, "%s", error_text(err));
}

int verify_packs(struct verify *verify)
{
	report_progress_begin("pack checksums", check_packs_progress,
			&verify->counts);
	int err = check_packs_each(verify->store, verify->jobs, &verify->counts,
			verify_pack, verify);
	report_progress_end();
	return err;
}
