/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The stored form of a session's record; its members are listed in FORMAT.md.
 *
 * What this file does not do: it knows nothing of leases, names and numbers of
 * records; see session.h.
 */
#include "session_record.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"

#define KINDS (SESSION_WRITE + 1)
#define YEAR_10000 INT64_C(253402300800)
#define WHAT "the session's record"

static_assert(SESSION_ROOTS_MAX == 65536 && SESSION_ID_SIZE == 16, "session");

const char *session_record_kind_name(enum session_kind k)
{
	static const char *const names[KINDS] = {
		[SESSION_BACKUP] = "backup",
		[SESSION_MOUNT] = "mount",
		[SESSION_PRUNE] = "prune",
		[SESSION_READ] = "read",
		[SESSION_WRITE] = "write",
	};
	assert((unsigned)k < KINDS);
	return names[k];
}

static json_t *roots_to_json(const struct session_record *record)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < record->root_count; i++) {
		char text[2 * ID_SIZE + 1];
		hex_encode(text, record->roots[i].b, ID_SIZE);
		if (json_array_append_new(list, json_string(text)) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *held_to_json(const struct session_record *record)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < record->held_count; i++) {
		char text[2 * PACK_ID_SIZE + 1];
		hex_encode(text, record->held[i].b, PACK_ID_SIZE);
		if (json_array_append_new(list, json_string(text)) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

json_t *session_record_to_json(const struct session_record *record)
{
	json_t *roots = roots_to_json(record);
	json_t *held = record->held_count ? held_to_json(record) : NULL;
	if (roots == NULL || (record->held_count && held == NULL)) {
		json_decref(roots);
		return NULL;
	}
	json_t *json = json_pack("{s:s,s:I,s:s,s:I,s:s*,s:o,s:o*}", "kind",
			session_record_kind_name(record->kind), "started",
			(json_int_t)record->started, "host", record->host,
			"pid", (json_int_t)record->pid, "activity",
			record->activity, "roots", roots, "held", held);
	if (record->acknowledged != 0)
		json_object_set_new(json, "acknowledged",
				json_integer((json_int_t)record->acknowledged));
	return json;
}

static void read_kind(struct session_record *record, struct json_fields *fields)
{
	CLEANUP_FREE char *kind = json_fields_text(fields, "kind", true);
	if (kind == NULL)
		return;
	for (unsigned k = 0; k < KINDS; k++) {
		if (strcmp(kind, session_record_kind_name(k)) == 0) {
			record->kind = k;
			return;
		}
	}
	json_fields_refuse(fields, "kind", "not known to this version");
}

static bool root_from_json(struct id *out, json_t *json)
{
	return json_is_string(json) && json_string_length(json) == 2 * ID_SIZE
			&& hex_decode(out->b, ID_SIZE, json_string_value(json))
			== 0
			&& !id_is_zero(out);
}

static void read_roots(struct session_record *record,
		struct json_fields *fields)
{
	CLEANUP_JSON json_t *list =
			json_fields_array(fields, "roots", SESSION_ROOTS_MAX);
	if (list == NULL && fields->err == 0)
		json_fields_refuse(fields, "roots", "missing");
	size_t count = json_array_size(list);
	if (count == 0)
		return;
	record->roots = calloc(count, sizeof(*record->roots));
	if (record->roots == NULL) {
		fields->err = fail_errno(-ENOMEM, "reading %s", fields->object);
		return;
	}
	record->root_count = (uint32_t)count;
	for (uint32_t i = 0; i < count; i++)
		if (!root_from_json(&record->roots[i], json_array_get(list, i)))
			json_fields_refuse(fields, "roots",
					"number %u is not an id", i);
}

static void read_held(struct session_record *record, struct json_fields *fields)
{
	CLEANUP_JSON json_t *list =
			json_fields_array(fields, "held", SESSION_HELD_MAX);
	size_t count = json_array_size(list);
	if (count == 0)
		return;
	record->held = calloc(count, sizeof(*record->held));
	if (record->held == NULL) {
		fields->err = fail_errno(-ENOMEM, "reading %s", fields->object);
		return;
	}
	record->held_count = (uint32_t)count;
	for (uint32_t i = 0; i < count; i++) {
		const char *text = json_string_value(json_array_get(list, i));
		if (text == NULL
				|| hex_decode(record->held[i].b, PACK_ID_SIZE,
						   text)
						< 0)
			json_fields_refuse(fields, "held",
					"number %u is not a pack", i);
	}
}

static void read_acknowledged(struct session_record *record,
		struct json_fields *fields)
{
	if (json_object_get(fields->json, "acknowledged") != NULL)
		record->acknowledged = (uint64_t)json_fields_number(fields,
				"acknowledged", 1, EPOCH_MAX);
}

int session_record_from_json(struct session_record *record, const char *text,
		size_t len)
{
	CLEANUP_JSON json_t *json = NULL;
	struct json_fields m;
	memset(record, 0, sizeof(*record));
	int err = json_fields_load(&json, WHAT, text, len);
	if (err < 0)
		return err;
	json_fields_begin(&m, json, WHAT, "%s", "");
	read_kind(record, &m);
	record->started = json_fields_number(&m, "started", 0, YEAR_10000 - 1);
	record->host = json_fields_name(&m, "host", true);
	record->pid = json_fields_number(&m, "pid", 0, INT64_MAX);
	record->activity = json_fields_name(&m, "activity", false);
	read_roots(record, &m);
	read_acknowledged(record, &m);
	read_held(record, &m);
	if (m.err < 0)
		session_record_clear(record);
	return m.err;
}

void session_record_clear(struct session_record *record)
{
	free(record->host);
	free(record->activity);
	free(record->roots);
	free(record->held);
	memset(record, 0, sizeof(*record));
}
