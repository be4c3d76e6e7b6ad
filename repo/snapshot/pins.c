/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pins of snapshots; see pins.h. */
#include "pins.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/units.h"
#include "repo/format/envelope.h"
#include "repo/format/json_fields.h"

#define SNAPSHOTS "snapshots/"
#define PINS "pins/"
#define OBJECT_MAX (1u << 20)
#define SECOND_MAX INT64_C(253402300799)

static void pin_name(char out[OBJECT_NAME_MAX], const char *snapshot)
{
	snprintf(out, OBJECT_NAME_MAX, PINS "%s", snapshot + strlen(SNAPSHOTS));
}

static void snapshot_of(char out[OBJECT_NAME_MAX], const char *pin)
{
	snprintf(out, OBJECT_NAME_MAX, SNAPSHOTS "%s", pin + strlen(PINS));
}

/* --- all of them --- */

/* "pins/<component>/<time>" */
static int note_pin(void *ctx, const char *name)
{
	struct pins *pins = ctx;
	int64_t second;
	const char *slash = strchr(name + strlen(PINS), '/');
	if (slash == NULL || utc_parse(&second, slash + 1) < 0)
		return 0;
	return names_add(&pins->names, name);
}

int pins_load(struct repository *repo, struct pins *out)
{
	*out = (struct pins){ 0 };
	int err = store_list(repo->store, PINS, note_pin, out);
	if (err < 0)
		pins_clear(out);
	else
		names_sort(&out->names);
	return err;
}

void pins_clear(struct pins *pins)
{
	names_clear(&pins->names);
}

bool pins_have(const struct pins *pins, const char *snapshot)
{
	char name[OBJECT_NAME_MAX];
	pin_name(name, snapshot);
	return names_have(&pins->names, name);
}

int pins_tidy(struct repository *repo, const struct pins *pins)
{
	for (size_t i = 0; i < pins->names.count; i++) {
		char snapshot[OBJECT_NAME_MAX];
		uint64_t size;
		snapshot_of(snapshot, pins->names.items[i]);
		if (store_size(repo->store, snapshot, &size) != -ENOENT)
			continue;
		int err = store_delete(repo->store, pins->names.items[i]);
		if (err < 0 && err != -ENOENT)
			return err;
	}
	return 0;
}

/* --- one --- */

int pins_exists(struct repository *repo, const char *snapshot)
{
	char name[OBJECT_NAME_MAX];
	uint64_t size;
	pin_name(name, snapshot);
	int err = store_size(repo->store, name, &size);
	/* Anything else under that name counts too. */
	return err == 0 || err == -EBADMSG ? 1 : err == -ENOENT ? 0 : err;
}

void pins_clear_one(struct pin *pin)
{
	free(pin->note);
	*pin = (struct pin){ 0 };
}

static int decode(struct pin *out, const char *name, const char *text,
		size_t len)
{
	CLEANUP_JSON json_t *json = NULL;
	struct json_fields m;
	int err = json_fields_load(&json, name, text, len);
	if (err < 0)
		return err;
	json_fields_begin(&m, json, name, "%s", "");
	out->since = json_fields_number(&m, "since", 0, SECOND_MAX);
	out->note = json_fields_text(&m, "note", false);
	if (m.err < 0)
		pins_clear_one(out);
	return m.err;
}

int pins_load_one(struct repository *repo, const char *snapshot,
		struct pin *out)
{
	CLEANUP_FREE void *data = NULL;
	CLEANUP_FREE char *text = NULL;
	size_t len = 0, text_len = 0;
	char name[OBJECT_NAME_MAX];
	*out = (struct pin){ 0 };
	pin_name(name, snapshot);
	int err = store_get(repo->store, name, &data, &len, OBJECT_MAX);
	if (err < 0)
		return err;
	err = envelope_open(repo->seal, repo->config.repo_id, ENVELOPE_PIN,
			name, data, len, &text, &text_len);
	return err < 0 ? err : decode(out, name, text, text_len);
}

static int put_pin(struct repository *repo, const char *name, const char *note)
{
	CLEANUP_FREE char *text = NULL;
	CLEANUP_FREE uint8_t *object = NULL;
	CLEANUP_JSON json_t *json = json_pack("{s:I,s:s*}", "since",
			(json_int_t)time(NULL), "note", note);
	size_t len = 0;
	text = json != NULL ? json_dumps(json, JSON_FIELDS_DUMP_FLAGS) : NULL;
	if (text == NULL)
		return fail(-EINVAL, "the note for %s is not valid UTF-8",
				name);
	int err = envelope_seal(repo->seal, repo->config.repo_id, ENVELOPE_PIN,
			name, text, strlen(text), &object, &len);
	return err < 0 ? err : store_put(repo->store, name, object, len, true);
}

int pins_set(struct repository *repo, const char *snapshot, const char *note)
{
	char name[OBJECT_NAME_MAX];
	uint64_t size;
	pin_name(name, snapshot);
	int err = put_pin(repo, name, note);
	if (err < 0)
		return err;
	err = store_size(repo->store, snapshot, &size);
	if (err == -ENOENT) {
		store_delete(repo->store, name);
		return fail(-ENOENT,
				"%s has just been forgotten by another "
				"process",
				snapshot + strlen(SNAPSHOTS));
	}
	return err;
}

int pins_remove(struct repository *repo, const char *snapshot)
{
	char name[OBJECT_NAME_MAX];
	pin_name(name, snapshot);
	return store_delete(repo->store, name);
}
