/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The object sessions/<id>.marking: its name alone says all. It goes with the
 * other traces of its session, and a dead session's keeps nobody waiting.
 */
#include "marking.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/base/units.h"
#include "repo/format/envelope.h"

#define SUFFIX ".marking"
#define ID_DIGITS (2 * SESSION_ID_SIZE)
#define PATIENCE_SECONDS 60.0
#define LOOK_AGAIN_NS 20000000L

static void marking_name(char out[80], const struct session *s)
{
	snprintf(out, 80, "sessions/%s" SUFFIX, session_id(s));
}

int marking_begin(struct session *s)
{
	struct repository *r = session_repository(s);
	CLEANUP_FREE uint8_t *object = NULL;
	char name[80];
	size_t len = 0;
	marking_name(name, s);
	int err = envelope_seal(r->seal, r->config.repo_id, ENVELOPE_SESSION,
			name, "{}", 2, &object, &len);
	return err < 0 ? err : store_put(r->store, name, object, len, false);
}

int marking_end(struct session *s)
{
	char name[80];
	marking_name(name, s);
	int err = store_delete(session_repository(s)->store, name);
	return err == -ENOENT ? 0 : err;
}

struct marker {
	struct store *store;
	char id[ID_DIGITS + 1];	/* of a living one, or "" */
};

static int note_marker(void *ctx, const char *name)
{
	struct marker *m = ctx;
	const char *text = name + strlen("sessions/");
	char id[ID_DIGITS + 1];
	if (strlen(text) != ID_DIGITS + strlen(SUFFIX)
			|| strcmp(text + ID_DIGITS, SUFFIX) != 0)
		return 0;
	memcpy(id, text, ID_DIGITS);
	id[ID_DIGITS] = '\0';
	/* What can't be told counts as alive. */
	if (lease_alive(m->store, id) == 0)
		return 0;
	memcpy(m->id, id, sizeof(id));
	return 1;
}

static int find_marker(struct repository *r, struct marker *m)
{
	*m = (struct marker){ .store = r->store };
	int err = store_list(r->store, "sessions/", note_marker, m);
	return err < 0 ? err : 0;
}

struct culprit {
	const char *id;
	char text[400];
};

static int describe(void *ctx, const char *id, bool alive,
		const struct session_record *record)
{
	struct culprit *c = ctx;
	char since[UTC_TEXT_MAX];
	if (!alive || record == NULL || strcmp(id, c->id) != 0)
		return 0;
	snprintf(c->text, sizeof(c->text),
			"process %" PRId64 " on %.255s since %s", record->pid,
			record->host, utc_format(since, record->started));
	return 1;
}

static int gave_up(struct repository *r, const struct marker *m)
{
	struct culprit c = { .id = m->id };
	session_list(r, describe, &c);
	return fail(-EBUSY,
			"a prune of %s (%s) has been looking for a minute at what "
			"the snapshots need, and none may be removed meanwhile; "
			"see 'amberfs sessions' and try again",
			store_path(r->store), c.text[0] ? c.text : m->id);
}

int marking_wait(struct repository *r)
{
	const struct timespec pause = { .tv_nsec = LOOK_AGAIN_NS };
	double begin = monotonic_now();
	struct marker m;
	for (;;) {
		int err = find_marker(r, &m);
		if (err < 0 || m.id[0] == '\0')
			return err;
		if (interrupt_flag)
			return fail(-ECANCELED, "interrupted");
		if (monotonic_now() - begin > PATIENCE_SECONDS)
			return gave_up(r, &m);
		nanosleep(&pause, NULL);
	}
}
