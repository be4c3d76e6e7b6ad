/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The answers of the living; see FORMAT.md, section 12. */
#include "acknowledge.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/session/condemned.h"

#define POLL_NS 50000000L

int acknowledge_announce(struct repository *repo, const char *own_id,
		uint64_t *epoch)
{
	struct peers now;
	uint64_t least = 0;
	int err = peers_list(repo, own_id, &now);
	if (err < 0)
		return err;
	for (size_t i = 0; i < now.count; i++)
		if (now.items[i].record.acknowledged > least)
			least = now.items[i].record.acknowledged;
	peers_clear(&now);
	return condemned_announce_epoch(repo, least, epoch);
}

bool acknowledge_answered(const struct peer *peer, uint64_t epoch)
{
	return !peers_writes(peer)
			|| (peer->readable
					&& peer->record.acknowledged >= epoch);
}

static bool all_answered(const struct peers *peers, uint64_t epoch)
{
	for (size_t i = 0; i < peers->count; i++)
		if (!acknowledge_answered(&peers->items[i], epoch))
			return false;
	return true;
}

int acknowledge_wait(struct repository *repo, const char *own_id,
		uint64_t epoch, double seconds, struct peers *out, bool *all)
{
	const struct timespec pause = { .tv_nsec = POLL_NS };
	double end = monotonic_now() + seconds;
	assert(epoch != 0);
	for (;;) {
		int err = peers_list(repo, own_id, out);
		if (err < 0)
			return err;
		*all = all_answered(out, epoch);
		if (*all || monotonic_now() >= end)
			return 0;
		peers_clear(out);
		if (interrupt_flag)
			return fail(-ECANCELED, "interrupted");
		nanosleep(&pause, NULL);
	}
}

bool acknowledge_holds(const struct peer *peer, const struct pack_id *pack)
{
	for (uint32_t i = 0; i < peer->record.held_count; i++)
		if (memcmp(peer->record.held[i].b, pack->b, PACK_ID_SIZE) == 0)
			return true;
	return false;
}
