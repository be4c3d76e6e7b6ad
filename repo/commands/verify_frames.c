/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every frame of every pack, or of a share of them: authenticated, decoded, and each chunk's bytes
 * hashed to the id that the trailer gives it. What fails is recorded as
 * damaged, so that the walk over the trees can tell what it affects.
 */
#include <errno.h>

#include "repo/base/error.h"
#include "verify.h"

static void check_all(struct verify *verify, struct pack *pack,
		const char *name, struct check_frames_buffers *buffers)
{
	for (uint32_t i = 0; i < pack->trailer->frame_count; i++) {
		int err = check_frames_one(verify->repo, pack->trailer, i,
				buffers);
		verify->counts.frames++;
		verify->counts.done += pack->trailer->frames[i].stored_len;
		if (err == 0)
			continue;
		if (err == -ENOENT) /* pruned meanwhile */
			return;
		verify_problem(verify, err, name, "%s, frame %u: %s", name, i,
				error_text(err));
		if (err == -EBADMSG || err == -EIO)
			exclusions_add_damaged(verify->repo->exclusions,
					&pack->trailer->pack, i);
	}
}

/* A pack's id begins with random bytes, so shares are about equal; which share a
 * pack is in never changes. */
static bool is_in_share(const struct verify *verify, const struct pack_id *id)
{
	unsigned number = id->b[0] | (unsigned)id->b[1] << 8
			| (unsigned)id->b[2] << 16;
	return number % verify->shares == verify->share;
}

static void verify_pack(void *ctx, const char *name)
{
	struct verify *verify = ctx;
	struct pack_id id;
	struct pack *pack;
	struct check_frames_buffers b;
	int err = check_frames_init(&b);
	if (err == 0 && pack_name_parse(&id, name) < 0)
		err = -ENOENT; /* a foreign file; nobody reads it */
	if (err == 0 && !is_in_share(verify, &id)) {
		check_frames_clear(&b);
		return;
	}
	if (err == 0)
		err = pack_cache_load(verify->repo->packs, &id, &pack);
	if (err == 0) {
		check_all(verify, pack, name, &b);
		pack_cache_release(pack);
	} else if (err != -ENOENT) {
		verify_problem(verify, err, name, "%s", error_text(err));
	}
	verify->counts.packs++;
	check_frames_clear(&b);
}

int verify_frames(struct verify *verify)
{
	verify->counts.packs = 0;
	report_progress_begin("frames", check_packs_progress, &verify->counts);
	int err = check_packs_each(verify->store, verify->jobs, &verify->counts,
			verify_pack, verify);
	report_progress_end();
	return err;
}
