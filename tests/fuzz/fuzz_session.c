/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz entry: a session's record. Input: the JSON. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "repo/format/session_record.h"

static void check(const struct session_record *record)
{
	must(session_record_kind_name(record->kind) != NULL);
	must(record->started >= 0 && record->pid >= 0);
	must(fuzz_is_escaped(record->host));
	must(!record->activity || fuzz_is_escaped(record->activity));
	must(record->root_count <= SESSION_ROOTS_MAX);
	for (uint32_t i = 0; i < record->root_count; i++)
		must(!id_is_zero(&record->roots[i]));
	must(record->acknowledged <= (uint64_t)EPOCH_MAX);
	must(record->held_count <= SESSION_HELD_MAX);
	must((record->held_count > 0) == (record->held != NULL));
}

static char *dump(const struct session_record *record)
{
	json_t *json = session_record_to_json(record);
	must(json != NULL);
	char *text = json_dumps(json, JSON_FIELDS_DUMP_FLAGS);

	must(text != NULL);
	json_decref(json);
	return text;
}

/* What was read is written, read and written again: the same bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct session_record r, again;
	if (!fuzz_accepted(session_record_from_json(&r, (const char *)data,
			    size)))
		return 0;
	check(&r);
	char *first = dump(&r);
	must(fuzz_accepted(session_record_from_json(&again, first,
			strlen(first))));
	check(&again);
	char *second = dump(&again);
	must(strcmp(first, second) == 0);
	free(first);
	free(second);
	session_record_clear(&again);
	session_record_clear(&r);
	return 0;
}
