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

static int no_memory(void)
{
	return fail_errno(-ENOMEM, "listing sessions");
}

static void *copy_array(const void *from, size_t count, size_t size)
{
	void *to = calloc(count + 1, size);
	if (to != NULL && count != 0)
		memcpy(to, from, count * size);
	return to;
}

static int copy_record(struct session_record *to,
		const struct session_record *from)
{
	*to = *from;
	to->host = from->host ? strdup(from->host) : NULL;
	to->activity = from->activity ? strdup(from->activity) : NULL;
	to->roots = copy_array(from->roots, from->root_count,
			sizeof(*from->roots));
	to->held = copy_array(from->held, from->held_count,
			sizeof(*from->held));
	if ((from->host && !to->host) || (from->activity && !to->activity)
			|| !to->roots || !to->held)
		return no_memory();
	return 0;
}

static int note(void *ctx, const char *id, bool alive,
		const struct session_record *record)
{
	struct listing *l = ctx;
	struct peers *p = l->to;
	if (!alive || strcmp(id, l->own_id) == 0
			|| strlen(id) != 2 * (size_t)SESSION_ID_SIZE)
		return 0;
	if (p->count == l->room) {
		size_t room = l->room ? 2 * l->room : 16;
		struct peer *more = realloc(p->items, room * sizeof(*more));
		if (more == NULL)
			return no_memory();
		p->items = more;
		l->room = room;
	}
	struct peer *k = &p->items[p->count++];
	memset(k, 0, sizeof(*k));
	memcpy(k->id, id, sizeof(k->id) - 1);
	k->readable = record != NULL;
	return record ? copy_record(&k->record, record) : 0;
}

int peers_list(struct repository *r, const char *own_id, struct peers *out)
{
	struct listing l = { .to = out, .own_id = own_id };
	*out = (struct peers){ .items = NULL };
	int err = session_list(r, note, &l);
	if (err < 0)
		peers_clear(out);
	return err;
}

static bool all_readable(const struct peers *p)
{
	for (size_t i = 0; i < p->count; i++)
		if (!p->items[i].readable)
			return false;
	return true;
}

int peers_list_readable(struct repository *r, const char *own_id,
		double seconds, struct peers *out)
{
	const struct timespec pause = { .tv_nsec = LOOK_AGAIN_NS };
	double end = monotonic_now() + seconds;
	for (;;) {
		int err = peers_list(r, own_id, out);
		if (err < 0 || all_readable(out) || monotonic_now() >= end)
			return err;
		peers_clear(out);
		if (interrupt_flag)
			return fail(-ECANCELED, "interrupted");
		nanosleep(&pause, NULL);
	}
}

void peers_clear(struct peers *p)
{
	for (size_t i = 0; i < p->count; i++)
		session_record_clear(&p->items[i].record);
	free(p->items);
	*p = (struct peers){ .items = NULL };
}

bool peers_writes(const struct peer *p)
{
	return !p->readable || session_kind_writes(p->record.kind);
}

bool peers_has_root(const struct peer *p, const struct id *root)
{
	for (uint32_t i = 0; i < p->record.root_count; i++)
		if (id_equal(&p->record.roots[i], root))
			return true;
	return false;
}

char *peers_text(char out[PEER_TEXT_MAX], const struct peer *p)
{
	char since[UTC_TEXT_MAX];
	const struct session_record *k = &p->record;
	if (!p->readable) {
		snprintf(out, PEER_TEXT_MAX, "session %.8s…, whose record can't "
				"be read", p->id);
		return out;
	}
	snprintf(out, PEER_TEXT_MAX,
			"the %s%s%.200s (process %" PRId64 " on %.200s since %s)",
			k->kind == SESSION_READ	   ? "reader"
			: k->kind == SESSION_WRITE ? "command"
						   : session_record_kind_name(k->kind),
			k->activity ? " " : "", k->activity ? k->activity : "",
			k->pid, k->host, utc_format(since, k->started));
	return out;
}
