/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Living sessions, copied out of session_list. */
#include "peers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "repo/base/error.h"
#include "repo/base/interrupt.h"

#define LOOK_AGAIN_NS 100000000L

struct listing {
	struct peers *to;
	const char *own_id;
	size_t room;
};

static void *copy_array(const void *from, size_t count, size_t size)
{
	void *to = calloc(count + 1, size);
	if (to != NULL && count != 0)
		memcpy(to, from, count * size);
	return to;
}

static int copy_record(struct session_record *record,
		const struct session_record *from)
{
	*record = *from;
	record->host = from->host != NULL ? strdup(from->host) : NULL;
	record->activity =
			from->activity != NULL ? strdup(from->activity) : NULL;
	record->roots = copy_array(from->roots, from->root_count,
			sizeof(*from->roots));
	record->held = copy_array(from->held, from->held_count,
			sizeof(*from->held));
	if ((from->host != NULL && record->host == NULL)
			|| (from->activity != NULL && record->activity == NULL)
			|| record->roots == NULL || record->held == NULL)
		return fail_no_memory("listing sessions");
	return 0;
}

static int note(void *ctx, const char *id, bool alive,
		const struct session_record *record)
{
	struct listing *listing = ctx;
	struct peers *peers = listing->to;
	if (!alive || strcmp(id, listing->own_id) == 0
			|| strlen(id) != 2 * (size_t)SESSION_ID_SIZE)
		return 0;
	if (peers->count == listing->room) {
		size_t room = listing->room ? 2 * listing->room : 16;
		struct peer *more = realloc(peers->items, room * sizeof(*more));
		if (more == NULL)
			return fail_no_memory("listing sessions");
		peers->items = more;
		listing->room = room;
	}
	struct peer *peer = &peers->items[peers->count++];
	memset(peer, 0, sizeof(*peer));
	memcpy(peer->id, id, sizeof(peer->id) - 1);
	peer->readable = record != NULL;
	return record != NULL ? copy_record(&peer->record, record) : 0;
}

int peers_list(struct repository *repo, const char *own_id, struct peers *out)
{
	struct listing l = { .to = out, .own_id = own_id };
	*out = (struct peers){ .items = NULL };
	int err = session_list(repo, note, &l);
	if (err < 0)
		peers_clear(out);
	return err;
}

static bool all_readable(const struct peers *peers)
{
	for (size_t i = 0; i < peers->count; i++)
		if (!peers->items[i].readable)
			return false;
	return true;
}

int peers_list_readable(struct repository *repo, const char *own_id,
		double seconds, struct peers *out)
{
	const struct timespec pause = { .tv_nsec = LOOK_AGAIN_NS };
	double end = monotonic_now() + seconds;
	for (;;) {
		int err = peers_list(repo, own_id, out);
		if (err < 0 || all_readable(out) || monotonic_now() >= end)
			return err;
		peers_clear(out);
		if (interrupt_flag)
			return fail(-ECANCELED, "interrupted");
		nanosleep(&pause, NULL);
	}
}

void peers_clear(struct peers *peers)
{
	for (size_t i = 0; i < peers->count; i++)
		session_record_clear(&peers->items[i].record);
	free(peers->items);
	*peers = (struct peers){ .items = NULL };
}

bool peers_writes(const struct peer *peer)
{
	return !peer->readable || session_kind_writes(peer->record.kind);
}

bool peers_has_root(const struct peer *peer, const struct id *root)
{
	for (uint32_t i = 0; i < peer->record.root_count; i++)
		if (id_equal(&peer->record.roots[i], root))
			return true;
	return false;
}

char *peers_text(char out[PEER_TEXT_MAX], const struct peer *peer)
{
	char since[UTC_TEXT_MAX];
	const struct session_record *record = &peer->record;
	if (!peer->readable) {
		snprintf(out, PEER_TEXT_MAX,
				"session %.8s… (unreadable record)", peer->id);
		return out;
	}
	snprintf(out, PEER_TEXT_MAX,
			"the %s%s%.200s (process %" PRId64
			" on %.200s since %s)",
			record->kind == SESSION_READ ? "reader"
					: record->kind == SESSION_WRITE
					? "command"
					: session_record_kind_name(
							record->kind),
			record->activity != NULL ? " " : "",
			record->activity != NULL ? NAME_SHOWN(record->activity)
						 : "",
			record->pid, NAME_SHOWN(record->host),
			utc_format(since, record->started));
	return out;
}
