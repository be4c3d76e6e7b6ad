/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Mutual exclusion without filesystem locks: sessions/NAME.<n>, put
 * exclusively, with the highest n naming the holder. Its session's lease shows
 * whether it is alive; a dead holder is succeeded by n + 1.
 *
 * Taking, in this order:
 * 1 look: the highest n, and whether its holder lives (then: -EBUSY);
 * 2 put n + 1 exclusively (taken: back to 1);
 * 3 look again: a higher number means that 1 was out of date, when numbers
 *   that others have deleted since were free again (back to 1);
 * 4 delete the lower numbers.
 *
 * The highest is never deleted, not even by its holder, so numbers only grow
 * and a holder that was passed over sees it: exclusive_check.
 *
 * A listing that runs while one number follows another may show neither. So
 * it is repeated until two in a row agree, and shows nothing lower than what
 * is known to have existed.
 */
#include "exclusive.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"
#include "repo/base/units.h"
#include "repo/format/envelope.h"
#include "repo/format/json_fields.h"
#include "session.h"

#define ID_TEXT (2 * SESSION_ID_SIZE + 1)
#define OBJECT_MAX 4096
#define NUMBER_MAX 999999999999999999 /* 18 digits */
/* Each further look follows another session's step. */
#define LOOKS 100
#define LOOK_AGAIN_NS 1000000L

struct exclusive {
	struct repository *repo;
	char id[ID_TEXT];
	const char *name; /* one of kinds[] */
	enum session_kind kind;
	int64_t number;
};

static const struct {
	const char *name, *work;
	enum session_kind kind;
} kinds[] = {
	{ "prune", "pruning", SESSION_PRUNE },
	{ "keys", "changing the keys of", SESSION_WRITE },
};

static const char *work_name(const struct exclusive *exclusive)
{
	return exclusive->name == kinds[0].name ? kinds[0].work : kinds[1].work;
}

static const char *path_of(const struct exclusive *exclusive)
{
	return store_path(exclusive->repo->store);
}

static void object_name(char out[80], const struct exclusive *exclusive,
		int64_t number)
{
	snprintf(out, 80, "sessions/%s.%" PRId64, exclusive->name, number);
}

/* --- looking --- */

struct look {
	const struct exclusive *exclusive;
	int64_t highest;   /* -1: none */
	bool recorded;	   /* our session has a record */
	bool delete_lower; /* than exclusive->number */
};

/* The n of "sessions/NAME.<n>", or -1. */
static int64_t number_of(const char *name, const char *text)
{
	size_t len = strlen(name);
	const char *digits = text + len + 1;
	if (strncmp(text, name, len) != 0 || text[len] != '.')
		return -1;
	size_t count = strspn(digits, "0123456789");
	if (count == 0 || count > 18 || digits[count] != '\0'
			|| (digits[0] == '0' && count > 1))
		return -1;
	return strtoll(digits, NULL, 10);
}

static int note(void *ctx, const char *object)
{
	struct look *look = ctx;
	const struct exclusive *exclusive = look->exclusive;
	const char *text = object + strlen("sessions/");
	int64_t number = number_of(exclusive->name, text);
	if (number > look->highest)
		look->highest = number;
	if (strncmp(text, exclusive->id, ID_TEXT - 1) == 0
			&& text[ID_TEXT - 1] == '.')
		look->recorded = true;
	if (look->delete_lower && number >= 0 && number < exclusive->number)
		store_delete(exclusive->repo->store, object);
	return 0;
}

static int look_once(struct look *look, const struct exclusive *exclusive)
{
	*look = (struct look){ .exclusive = exclusive, .highest = -1 };
	return store_list(exclusive->repo->store, "sessions/", note, look);
}

static int look(struct look *l, const struct exclusive *exclusive)
{
	struct look before;
	int err = look_once(l, exclusive);
	do {
		before = *l;
		if (err == 0)
			err = look_once(l, exclusive);
	} while (err == 0 && l->highest != before.highest);
	return err;
}

/* --- the holder --- */

struct holder {
	const struct exclusive *exclusive;
	char id[ID_TEXT]; /* "": unknown; then any of that kind */
	bool found;
	char text[512];
};

static int describe(void *ctx, const char *id, bool alive,
		const struct session_record *record)
{
	struct holder *holder = ctx;
	const struct exclusive *exclusive = holder->exclusive;
	char since[UTC_TEXT_MAX];
	bool fits = holder->id[0] != '\0'
			? strcmp(id, holder->id) == 0
			: record == NULL || record->kind == exclusive->kind;
	if (!alive || !fits || strcmp(id, exclusive->id) == 0)
		return 0;
	holder->found = true;
	if (record == NULL)
		snprintf(holder->text, sizeof(holder->text),
				"session %s (unreadable record)", id);
	else
		snprintf(holder->text, sizeof(holder->text),
				"process %" PRId64 " on %.255s since %s",
				record->pid, NAME_SHOWN(record->host),
				utc_format(since, record->started));
	return 1;
}

/* Who holds NUMBER, from its object: holder->id, "" if that can't be read, or
 * -ENOENT if it is gone. */
static int load_holder(struct holder *holder, int64_t number)
{
	CLEANUP_FREE void *data = NULL;
	CLEANUP_FREE char *json = NULL;
	CLEANUP_JSON json_t *object = NULL;
	struct repository *repo = holder->exclusive->repo;
	uint8_t bytes[SESSION_ID_SIZE];
	size_t len = 0, json_len = 0;
	struct json_fields m;
	char name[80];
	object_name(name, holder->exclusive, number);
	int err = store_get(repo->store, name, &data, &len, OBJECT_MAX);
	if (err < 0 && err != -EFBIG)
		return err;
	if (err == 0)
		err = envelope_open(repo->seal, repo->config.repo_id,
				ENVELOPE_SESSION, name, data, len, &json,
				&json_len);
	if (err == 0)
		err = json_fields_load(&object, name, json, json_len);
	if (err == -ENOMEM)
		return err;
	if (err < 0)
		return 0;
	json_fields_begin(&m, object, name, "%s", "");
	json_fields_hex(&m, "session", bytes, sizeof(bytes));
	if (m.err == 0)
		hex_encode(holder->id, bytes, sizeof(bytes));
	return m.err == -ENOMEM ? m.err : 0;
}

static int busy(const struct exclusive *exclusive, const char *who)
{
	return fail(-EBUSY,
			"%s %s: another session is already doing this (%s); "
			"wait until it ends, see 'amberfs sessions'",
			work_name(exclusive), path_of(exclusive), who);
}

/* 0: nobody that lives holds NUMBER. */
static int check_holder(const struct exclusive *exclusive, int64_t number)
{
	struct holder h = { .exclusive = exclusive };
	int err = load_holder(&h, number);
	if (err < 0)
		return err;
	if (h.id[0] != '\0') {
		err = lease_alive(exclusive->repo->store, h.id);
		if (err <= 0) /* if unknown, that is an error, not a death */
			return err;
		if (strcmp(h.id, exclusive->id) == 0)
			return busy(exclusive, "this process itself");
		snprintf(h.text, sizeof(h.text), "session %s", h.id);
	}
	err = session_list(exclusive->repo, describe, &h);
	if (err < 0)
		return err;
	return h.found || h.id[0] != '\0' ? busy(exclusive, h.text) : 0;
}

/* --- taking --- */

static int put(const struct exclusive *exclusive)
{
	CLEANUP_FREE uint8_t *object = NULL;
	struct repository *repo = exclusive->repo;
	char name[80], json[64];
	size_t len = 0;
	object_name(name, exclusive, exclusive->number);
	snprintf(json, sizeof(json), "{\"session\":\"%s\"}", exclusive->id);
	int err = envelope_seal(repo->seal, repo->config.repo_id,
			ENVELOPE_SESSION, name, json, strlen(json), &object,
			&len);
	return err < 0 ? err : store_put(repo->store, name, object, len, true);
}

/* 1: another session was faster, look again. */
static int take(struct exclusive *exclusive)
{
	struct look l = { .highest = -1 };
	int err = look(&l, exclusive);
	if (err == 0 && l.highest >= 0)
		err = check_holder(exclusive, l.highest);
	if (err < 0)
		return err == -ENOENT ? 1 : err;
	if (l.highest == NUMBER_MAX)
		return fail(-EBADMSG,
				"sessions/%s.%" PRId64 " in %s has an "
				"impossible number; delete it",
				exclusive->name, l.highest, path_of(exclusive));
	exclusive->number = l.highest + 1;
	err = put(exclusive);
	if (err == 0)
		err = look(&l, exclusive);
	if (err < 0)
		return err == -EEXIST ? 1 : err;
	if (l.highest != exclusive->number)
		return 1; /* ours is deleted by our successor */
	l.delete_lower = true;
	store_list(exclusive->repo->store, "sessions/", note, &l);
	return 0;
}

static int find_kind(struct exclusive *exclusive, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(kinds[i].name, name) != 0)
			continue;
		exclusive->name = kinds[i].name;
		exclusive->kind = kinds[i].kind;
		return 0;
	}
	return fail(-EINVAL, "no exclusive work is called %s", name);
}

int exclusive_begin(struct exclusive **out, struct repository *repo,
		const char *session_id, const char *name)
{
	struct exclusive *exclusive = calloc(1, sizeof(*exclusive));
	if (exclusive == NULL)
		return fail_errno(-ENOMEM, "taking %s", name);
	exclusive->repo = repo;
	snprintf(exclusive->id, sizeof(exclusive->id), "%s", session_id);
	int err = find_kind(exclusive, name);
	if (err == 0)
		err = 1;
	for (int i = 0; err == 1 && i < LOOKS; i++)
		err = take(exclusive);
	if (err == 1)
		err = busy(exclusive, "many sessions in turn");
	if (err < 0) {
		free(exclusive);
		return err;
	}
	*out = exclusive;
	return 0;
}

static int passed_over(const struct exclusive *exclusive)
{
	return fail(-ESTALE,
			"%s %s: another process considered this one dead "
			"and took over; run it again",
			work_name(exclusive), path_of(exclusive));
}

int exclusive_check(struct exclusive *exclusive)
{
	const struct timespec pause = { .tv_nsec = LOOK_AGAIN_NS };
	struct look l = { .highest = -1 };
	int err = 0;
	/* Our record is out of sight for an instant while it changes. */
	for (int i = 0; err == 0 && !l.recorded && i < LOOKS; i++) {
		if (i > 0)
			nanosleep(&pause, NULL);
		err = look_once(&l, exclusive);
		if (err == 0 && l.highest > exclusive->number)
			return passed_over(exclusive);
	}
	if (err < 0)
		return err;
	err = lease_alive(exclusive->repo->store, exclusive->id);
	if (err < 0)
		return err;
	return err == 1 && l.recorded ? 0 : passed_over(exclusive);
}

void exclusive_end(struct exclusive *exclusive)
{
	free(exclusive);
}
