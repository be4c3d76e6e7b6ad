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

static void marking_name(char out[80], const struct session *session)
{
	snprintf(out, 80, "sessions/%s" SUFFIX, session_id(session));
}

int marking_begin(struct session *session)
{
	struct repository *repo = session_repository(session);
	CLEANUP_FREE uint8_t *object = NULL;
	char name[80];
	size_t len = 0;
	marking_name(name, session);
	int err = envelope_seal(repo->seal, repo->config.repo_id,
			ENVELOPE_SESSION, name, "{}", 2, &object, &len);
	return err < 0 ? err : store_put(repo->store, name, object, len, false);
}

int marking_end(struct session *session)
{
	char name[80];
	marking_name(name, session);
	int err = store_delete(session_repository(session)->store, name);
	return err == -ENOENT ? 0 : err;
}

struct marker {
	struct store *store;
	char id[ID_DIGITS + 1]; /* of a living one, or "" */
};

static int note_marker(void *ctx, const char *name)
{
	struct marker *marker = ctx;
	const char *text = name + strlen("sessions/");
	char id[ID_DIGITS + 1];
	if (strlen(text) != ID_DIGITS + strlen(SUFFIX)
			|| strcmp(text + ID_DIGITS, SUFFIX) != 0)
		return 0;
	memcpy(id, text, ID_DIGITS);
	id[ID_DIGITS] = '\0';
	/* If unknown it counts as alive. */
	if (lease_alive(marker->store, id) == 0)
		return 0;
	memcpy(marker->id, id, sizeof(id));
	return 1;
}

static int find_marker(struct repository *repo, struct marker *marker)
{
	*marker = (struct marker){ .store = repo->store };
	int err = store_list(repo->store, "sessions/", note_marker, marker);
	return err < 0 ? err : 0;
}

struct culprit {
	const char *id;
	char text[400];
};

static int describe(void *ctx, const char *id, bool alive,
		const struct session_record *record)
{
	struct culprit *culprit = ctx;
	char since[UTC_TEXT_MAX];
	if (!alive || record == NULL || strcmp(id, culprit->id) != 0)
		return 0;
	snprintf(culprit->text, sizeof(culprit->text),
			"process %" PRId64 " on %.255s since %s", record->pid,
			NAME_SHOWN(record->host),
			utc_format(since, record->started));
	return 1;
}

static int gave_up(struct repository *repo, const struct marker *marker)
{
	struct culprit c = { .id = marker->id };
	session_list(repo, describe, &c);
	return fail(-EBUSY,
			"a prune of %s (%s) has been examining the "
			"snapshots for a minute, and none can be removed "
			"meanwhile; see 'amberfs sessions' and try again",
			store_path(repo->store),
			c.text[0] ? c.text : marker->id);
}

int marking_wait(struct repository *repo)
{
	const struct timespec pause = { .tv_nsec = LOOK_AGAIN_NS };
	double begin = monotonic_now();
	struct marker m;
	for (;;) {
		int err = find_marker(repo, &m);
		if (err < 0 || m.id[0] == '\0')
			return err;
		if (interrupt_flag)
			return fail(-ECANCELED, "interrupted");
		if (monotonic_now() - begin > PATIENCE_SECONDS)
			return gave_up(repo, &m);
		nanosleep(&pause, NULL);
	}
}
