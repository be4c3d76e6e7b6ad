/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Snapshots for programs; see document.h. */
#include "document.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/hex.h"
#include "repo/base/printable.h"
#include "repo/base/report_json.h"

void document_set_name(json_t *json, const char *key, const char *escaped)
{
	char other[64];
	if (escaped == NULL)
		return;
	CLEANUP_FREE char *raw = name_unescape(escaped, NULL);
	const char *name = raw != NULL ? raw : escaped;
	size_t size = 4 * strlen(name) + 1;
	CLEANUP_FREE char *shown = malloc(size);
	if (shown == NULL)
		return;
	if (strcmp(printable(shown, size, name), name) != 0) {
		snprintf(other, sizeof(other), "%.50s_encoded", key);
		json_object_set_new(json, other, json_string(escaped));
	}
	json_object_set_new(json, key, json_string(shown));
}

static void set_text(json_t *json, const char *key, const char *text)
{
	if (text != NULL)
		json_object_set_new(json, key, report_json_text(text));
}

static void set_id(json_t *json, const char *key, const struct id *id)
{
	char hex[2 * ID_SIZE + 1];
	hex_encode(hex, id->b, ID_SIZE);
	if (!id_is_zero(id))
		json_object_set_new(json, key, json_string(hex));
}

static void set_number(json_t *json, const char *key, uint64_t number)
{
	json_object_set_new(json, key, json_integer((json_int_t)number));
}

static json_t *file_of(const struct snapshot_file *file)
{
	json_t *json = json_object();
	document_set_name(json, "name", file->name);
	set_text(json, "kind", snapshot_file_kind_name(file->kind));
	set_number(json, "size", file->size);
	set_number(json, "data_bytes", file->root.data_bytes);
	set_number(json, "mode", file->mode);
	json_object_set_new(json, "mtime", report_json_time_ns(file->mtime_ns));
	set_id(json, "root", &file->root.id);
	document_set_name(json, "path", file->source_path);
	set_text(json, "format", file->format);
	document_set_name(json, "target", file->target);
	document_set_name(json, "checkpoint", file->checkpoint);
	return json;
}

static json_t *skipped_of(const struct snapshot_skipped *skipped)
{
	CLEANUP_FREE char *raw = name_unescape(skipped->target, NULL);
	return report_json_problem(snapshot_skipped_kind_name(skipped->kind),
			skipped->reason, raw != NULL ? raw : skipped->target);
}

static json_t *origin_of(const struct snapshot *snap)
{
	char repository[2 * REPO_ID_SIZE + 1];
	hex_encode(repository, snap->origin_repository, REPO_ID_SIZE);
	json_t *json = json_pack("{s:s}", "repository_id", repository);
	set_id(json, "id", &snap->origin_snapshot);
	if (snap->arrived > 0)
		json_object_set_new(json, "arrived",
				report_json_time(snap->arrived));
	return json;
}

static void set_head(json_t *json, const struct snapshot *snap)
{
	char shown[SNAPSHOT_SHOWN_MAX];
	if (snap->object != NULL) {
		set_text(json, "snapshot", snapshot_shown(shown, snap->object));
		set_text(json, "object", snap->object);
	}
	set_id(json, "id", &snap->id);
	document_set_name(json, "source", snap->source);
	json_object_set_new(json, "time", report_json_time(snap->time));
	set_text(json, "kind", snapshot_kind_name(snap->kind));
	json_object_set_new(json, "complete",
			json_boolean(snapshot_is_complete(snap)));
	set_number(json, "sequence", snap->sequence);
	document_set_name(json, "host", snap->host);
	document_set_name(json, "uuid", snap->uuid);
	document_set_name(json, "consistency", snap->consistency);
	json_object_set_new(json, "started",
			report_json_time_ns(snap->started_ns));
	json_object_set_new(json, "finished",
			report_json_time_ns(snap->finished_ns));
	set_number(json, "read_bytes", snap->read_bytes);
	set_number(json, "new_bytes", snap->new_bytes);
	set_number(json, "stored_bytes", snap->stored_bytes);
	set_id(json, "predecessor", &snap->predecessor);
}

json_t *document_of_snapshot(const struct snapshot *snap)
{
	json_t *json = json_object(), *skipped = json_array(),
	       *files = json_array();
	set_head(json, snap);
	if (snap->has_origin)
		json_object_set_new(json, "origin", origin_of(snap));
	for (uint32_t i = 0; i < snap->skipped_count; i++)
		json_array_append_new(skipped, skipped_of(&snap->skipped[i]));
	for (uint32_t i = 0; i < snap->file_count; i++)
		json_array_append_new(files, file_of(&snap->files[i]));
	json_object_set_new(json, "skipped", skipped);
	json_object_set_new(json, "files", files);
	return json;
}
