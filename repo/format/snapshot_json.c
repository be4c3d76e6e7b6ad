/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The stored form of a snapshot; its members are listed in FORMAT.md.
 *
 * A snapshot that snapshot_json_decode accepts can be used without further
 * checks: its names are safe in paths and on terminals, its files differ in
 * name, and its sizes and roots agree with each other.
 */
#include "snapshot.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "name.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"

#define HEX_ID_SIZE (2 * ID_SIZE + 1)
#define OBJECT_SIZE (sizeof("snapshots//") + NAME_COMPONENT_MAX + UTC_TEXT_MAX)
#define MODE_MAX 07777
#define FILE_KINDS (FILE_BOOT + 1)

static_assert(SNAPSHOT_FILES_MAX == 8192 && SNAPSHOT_SKIPPED_MAX == 8192
				&& SNAPSHOT_CHAIN_MAX == 1024,
		"lists of a snapshot");
static_assert(NAME_COMPONENT_MAX == 180 + 2 + 32, "shortened names");
static_assert(IMAGE_SIZE_MAX == UINT64_C(140737488355328), "largest image");

/* --- writing --- */

/* The id as text, or NULL for zero (the member is then left out). */
static const char *hex_or_null(char out[HEX_ID_SIZE], const struct id *id)
{
	if (id_is_zero(id))
		return NULL;
	hex_encode(out, id->b, ID_SIZE);
	return out;
}

/* Device and inode use all 64 bits on some filesystems: they are stored as the
 * signed number with the same bits. */
static json_t *identity_to_json(const struct file_identity *identity)
{
	if (identity->device == 0 && identity->inode == 0)
		return json_null();
	if (!identity->valid || identity->size > INT64_MAX)
		return json_pack("{s:I,s:I}", "device",
				(json_int_t)identity->device, "inode",
				(json_int_t)identity->inode);
	return json_pack("{s:I,s:I,s:I,s:I,s:I}", "device",
			(json_int_t)identity->device, "inode",
			(json_int_t)identity->inode, "size",
			(json_int_t)identity->size, "mtime_ns",
			(json_int_t)identity->mtime_ns, "ctime_ns",
			(json_int_t)identity->ctime_ns);
}

static json_t *identities_to_json(const struct snapshot_file *file)
{
	json_t *list = json_array();
	for (uint32_t n = 0; n < file->identity_count; n++) {
		json_t *item = identity_to_json(&file->identities[n]);
		if (json_array_append_new(list, item) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* Adds the members that this version doesn't know to those that it does. */
static json_t *with_extra(json_t *json, json_t *extra)
{
	if (json != NULL && extra != NULL
			&& json_object_update_missing(json, extra) < 0) {
		json_decref(json);
		return NULL;
	}
	return json;
}

static json_t *file_to_json(const struct snapshot_file *file)
{
	char root[HEX_ID_SIZE];
	json_t *identities = identities_to_json(file);
	if (identities == NULL)
		return NULL;
	json_t *json = json_pack(
			"{s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:o,s:s*,s:s*,s:s*,s:s*,s:s*,s:s*}",
			"name", file->name, "kind",
			snapshot_file_kind_name(file->kind), "size",
			(json_int_t)file->size, "mode", (json_int_t)file->mode,
			"mtime_ns", (json_int_t)file->mtime_ns, "data_bytes",
			(json_int_t)file->root.data_bytes, "clusters",
			(json_int_t)file->root.clusters, "identities",
			identities, "root", hex_or_null(root, &file->root.id),
			"source_path", file->source_path, "format",
			file->format, "target", file->target, "reading",
			file->reading, "checkpoint", file->checkpoint);
	return with_extra(json, file->extra);
}

static json_t *files_to_json(const struct snapshot *snap)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < snap->file_count; i++) {
		if (json_array_append_new(list, file_to_json(&snap->files[i]))
				< 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *skipped_to_json(const struct snapshot *snap)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < snap->skipped_count; i++) {
		const struct snapshot_skipped *skipped = &snap->skipped[i];
		char reason[ERROR_TEXT_MAX];
		/* A reason may quote anything, and must be UTF-8 here. */
		name_display(reason, sizeof(reason),
				skipped->reason != NULL ? skipped->reason : "");
		json_t *item = json_pack("{s:s,s:s,s:s}", "target",
				skipped->target, "reason", reason, "kind",
				snapshot_skipped_kind_name(skipped->kind));
		if (json_array_append_new(list, item) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* All but the lists. */
static json_t *head_to_json(const struct snapshot *snap)
{
	char time[UTC_TEXT_MAX], predecessor[HEX_ID_SIZE];
	return json_pack(
			"{s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:s,s:s*,s:s*,s:s*}",
			"source", snap->source, "kind",
			snapshot_kind_name(snap->kind), "time",
			utc_format(time, snap->time), "started_ns",
			(json_int_t)snap->started_ns, "finished_ns",
			(json_int_t)snap->finished_ns, "sequence",
			(json_int_t)snap->sequence, "read_bytes",
			(json_int_t)snap->read_bytes, "new_bytes",
			(json_int_t)snap->new_bytes, "stored_bytes",
			(json_int_t)snap->stored_bytes, "host", snap->host,
			"predecessor",
			hex_or_null(predecessor, &snap->predecessor), "uuid",
			snap->uuid, "consistency", snap->consistency);
}

/* True if every number fits what JSON can hold. */
static bool numbers_fit(const struct snapshot *snap)
{
	for (uint32_t i = 0; i < snap->file_count; i++)
		if (snap->files[i].size > IMAGE_SIZE_MAX
				|| snap->files[i].root.data_bytes
						> IMAGE_SIZE_MAX)
			return false;
	return snap->sequence <= INT64_MAX && snap->read_bytes <= INT64_MAX
			&& snap->new_bytes <= INT64_MAX
			&& snap->stored_bytes <= INT64_MAX;
}

static int add_origin(json_t *json, const struct snapshot *snap)
{
	char repository[2 * REPO_ID_SIZE + 1], snapshot[HEX_ID_SIZE];
	char arrived[UTC_TEXT_MAX];
	if (!snap->has_origin)
		return 0;
	hex_encode(repository, snap->origin_repository, REPO_ID_SIZE);
	hex_encode(snapshot, snap->origin_snapshot.b, ID_SIZE);
	int err = json_object_set_new(json, "origin",
			json_pack("{s:s,s:s}", "repository", repository,
					"snapshot", snapshot));
	if (err == 0 && snap->arrived > 0)
		err = json_object_set_new(json, "arrived",
				json_string(utc_format(arrived,
						snap->arrived)));
	return err;
}

json_t *snapshot_json_encode(const struct snapshot *snap)
{
	json_t *json = numbers_fit(snap) ? head_to_json(snap) : NULL;
	/* The setters fail, and take the value, where one of both is NULL. */
	int err = json_object_set_new(json, "skipped", skipped_to_json(snap));
	if (err == 0)
		err = json_object_set_new(json, "files", files_to_json(snap));
	if (err == 0)
		err = add_origin(json, snap);
	if (err == 0)
		json = with_extra(json, snap->extra);
	if (err == 0 && json != NULL)
		return json;
	if (err != 0)
		json_decref(json);
	fail(-EINVAL,
			"can't encode the snapshot's record: out of memory, "
			"text that is not UTF-8, or a number that is too "
			"large");
	return NULL;
}

int snapshot_json_derive_id(struct id *out, const struct seal *seal,
		const char *object, const char *json, size_t len)
{
	/* The zero byte keeps name and JSON apart. */
	size_t name_len = strlen(object) + 1;
	uint8_t *input = malloc(name_len + len);
	if (input == NULL)
		return fail_errno(-ENOMEM, "reading %s", object);
	memcpy(input, object, name_len);
	if (len > 0)
		memcpy(input + name_len, json, len);
	seal_id(seal, ID_SNAPSHOT, out, input, name_len + len);
	free(input);
	return 0;
}

/* --- reading --- */

/* An escaped name, or one that name_component shortened. */
static bool file_name_fits(const char *name)
{
	if (strlen(name) > NAME_COMPONENT_MAX
			|| strcmp(name, SNAPSHOT_JSON_NAME) == 0)
		return false;
	if (name_is_shortened(name))
		return true;
	CLEANUP_FREE char *raw = name_unescape(name, NULL);
	return raw != NULL;
}

static void read_file_name(struct snapshot_file *file,
		struct json_fields *fields)
{
	file->name = json_fields_text(fields, "name", true);
	if (fields->err == 0 && !file_name_fits(file->name))
		json_fields_refuse(fields, "name", "not a file's name");
}

static void read_file_kind(struct snapshot_file *file,
		struct json_fields *fields)
{
	CLEANUP_FREE char *kind = json_fields_text(fields, "kind", true);
	if (kind == NULL)
		return;
	for (unsigned k = 0; k < FILE_KINDS; k++) {
		if (strcmp(kind, snapshot_file_kind_name(k)) == 0) {
			file->kind = k;
			return;
		}
	}
	json_fields_refuse(fields, "kind", "not known to this version");
}

/* The counts must be possible for the size: data comes in whole blocks, but
 * for the last one of the image. */
static bool root_fits(const struct tree_root *root, uint64_t size)
{
	if (id_is_zero(&root->id))
		return root->data_bytes == 0 && root->clusters == 0;
	return root->data_bytes <= size && root->clusters >= 1
			&& root->clusters
			<= (size + CLUSTER_SIZE - 1) / CLUSTER_SIZE
			&& root->data_bytes
			<= (uint64_t)root->clusters * CLUSTER_SIZE
			&& root->data_bytes
			> (uint64_t)(root->clusters - 1) * BLOCK_SIZE;
}

static void read_root(struct snapshot_file *file, struct json_fields *fields)
{
	struct tree_root *root = &file->root;
	json_fields_hex(fields, "root", root->id.b, ID_SIZE);
	root->level = node_tree_level(node_span_count(file->size));
	root->data_bytes = (uint64_t)json_fields_number(fields, "data_bytes", 0,
			IMAGE_SIZE_MAX);
	root->clusters = (uint32_t)json_fields_number(fields, "clusters", 0,
			UINT32_MAX);
	if (fields->err == 0 && !root_fits(root, file->size))
		json_fields_refuse(fields, "root",
				"it does not match the sizes");
}

static int read_identity(struct file_identity *identity, json_t *json,
		const struct json_fields *file, uint32_t number)
{
	struct json_fields m;
	if (json_is_null(json))
		return 0;
	json_fields_begin(&m, json, file->object, "%sidentities[%u].",
			file->path, number);
	identity->device = (uint64_t)json_fields_number(&m, "device", INT64_MIN,
			INT64_MAX);
	identity->inode = (uint64_t)json_fields_number(&m, "inode", INT64_MIN,
			INT64_MAX);
	if (json_object_get(json, "size") == NULL
			&& json_object_get(json, "mtime_ns") == NULL
			&& json_object_get(json, "ctime_ns") == NULL)
		return m.err;
	identity->size = (uint64_t)json_fields_number(&m, "size", 0, INT64_MAX);
	identity->mtime_ns = json_fields_number(&m, "mtime_ns", INT64_MIN,
			INT64_MAX);
	identity->ctime_ns = json_fields_number(&m, "ctime_ns", INT64_MIN,
			INT64_MAX);
	identity->valid = m.err == 0;
	return m.err;
}

static void read_identities(struct snapshot_file *file,
		struct json_fields *fields)
{
	CLEANUP_JSON json_t *list = json_fields_array(fields, "identities",
			SNAPSHOT_CHAIN_MAX);
	size_t count = json_array_size(list);
	if (count == 0)
		return;
	file->identities = calloc(count, sizeof(*file->identities));
	if (file->identities == NULL) {
		fields->err = fail_errno(-ENOMEM, "reading %s", fields->object);
		return;
	}
	file->identity_count = (uint32_t)count;
	for (uint32_t i = 0; i < count && fields->err == 0; i++)
		fields->err = read_identity(&file->identities[i],
				json_array_get(list, i), fields, i);
}

static int read_file(struct snapshot_file *file, json_t *json,
		const char *object, uint32_t number)
{
	struct json_fields m;
	json_fields_begin(&m, json, object, "files[%u].", number);
	read_file_name(file, &m);
	read_file_kind(file, &m);
	file->size = (uint64_t)json_fields_number(&m, "size", 0,
			IMAGE_SIZE_MAX);
	file->mode = (uint32_t)json_fields_number(&m, "mode", 0, MODE_MAX);
	file->mtime_ns = json_fields_number(&m, "mtime_ns", INT64_MIN,
			INT64_MAX);
	read_root(file, &m);
	file->source_path = json_fields_name(&m, "source_path", false);
	file->format = json_fields_name(&m, "format", false);
	file->target = json_fields_name(&m, "target", false);
	file->reading = json_fields_text(&m, "reading", false);
	file->checkpoint = json_fields_name(&m, "checkpoint", false);
	read_identities(file, &m);
	file->extra = json_fields_rest(&m);
	return m.err;
}

static void read_files(struct snapshot *snap, struct json_fields *fields)
{
	CLEANUP_JSON json_t *list =
			json_fields_array(fields, "files", SNAPSHOT_FILES_MAX);
	if (list == NULL && fields->err == 0)
		json_fields_refuse(fields, "files", "missing");
	size_t count = json_array_size(list);
	for (uint32_t i = 0; i < count && fields->err == 0; i++) {
		struct snapshot_file *file = snapshot_add_file(snap);
		fields->err = file == NULL
				? fail_errno(-ENOMEM, "reading %s",
						fields->object)
				: read_file(file, json_array_get(list, i),
						fields->object, i);
	}
}

/* Absent in the first versions. What a later version calls otherwise may be
 * missing. */
static enum skipped_kind read_skipped_kind(struct json_fields *fields)
{
	CLEANUP_FREE char *kind = json_fields_text(fields, "kind", false);
	if (kind == NULL
			|| strcmp(kind,
					   snapshot_skipped_kind_name(
							   SKIPPED_UNSUPPORTED))
					== 0)
		return SKIPPED_UNSUPPORTED;
	if (strcmp(kind, snapshot_skipped_kind_name(SKIPPED_EXCLUDED)) == 0)
		return SKIPPED_EXCLUDED;
	if (strcmp(kind, snapshot_skipped_kind_name(SKIPPED_DAMAGED)) == 0)
		return SKIPPED_DAMAGED;
	return SKIPPED_MISSING;
}

static int read_skipped_one(struct snapshot_skipped *skipped, json_t *json,
		const char *object, uint32_t number)
{
	struct json_fields m;
	json_fields_begin(&m, json, object, "skipped[%u].", number);
	skipped->target = json_fields_name(&m, "target", true);
	skipped->reason = json_fields_text(&m, "reason", true);
	skipped->kind = read_skipped_kind(&m);
	return m.err;
}

static void read_skipped(struct snapshot *snap, struct json_fields *fields)
{
	CLEANUP_JSON json_t *list = json_fields_array(fields, "skipped",
			SNAPSHOT_SKIPPED_MAX);
	size_t count = json_array_size(list);
	if (count == 0)
		return;
	snap->skipped = calloc(count, sizeof(*snap->skipped));
	if (snap->skipped == NULL) {
		fields->err = fail_errno(-ENOMEM, "reading %s", fields->object);
		return;
	}
	snap->skipped_count = (uint32_t)count;
	for (uint32_t i = 0; i < count && fields->err == 0; i++)
		fields->err = read_skipped_one(&snap->skipped[i],
				json_array_get(list, i), fields->object, i);
}

static void read_kind(struct snapshot *snap, struct json_fields *fields)
{
	CLEANUP_FREE char *kind = json_fields_text(fields, "kind", true);
	if (kind == NULL)
		return;
	if (strcmp(kind, snapshot_kind_name(SNAPSHOT_DOMAIN)) == 0)
		snap->kind = SNAPSHOT_DOMAIN;
	else if (strcmp(kind, snapshot_kind_name(SNAPSHOT_FILES)) == 0)
		snap->kind = SNAPSHOT_FILES;
	else
		json_fields_refuse(fields, "kind", "not known to this version");
}

/* Source and time, which must be those of the object's name: else a snapshot
 * could be shown as another one. */
static void read_place(struct snapshot *snap, struct json_fields *fields)
{
	char object[OBJECT_SIZE];
	snap->source = json_fields_name(fields, "source", true);
	CLEANUP_FREE char *time = json_fields_text(fields, "time", true);
	if (fields->err < 0)
		return;
	if (utc_parse(&snap->time, time) < 0) {
		json_fields_refuse(fields, "time", "not a time");
		return;
	}
	snapshot_object_name(object, sizeof(object), snap->source, snap->time);
	if (strcmp(object, fields->object) != 0)
		json_fields_refuse(fields, "source",
				"it and time do not give the object's name");
}

static void read_origin(struct snapshot *snap, struct json_fields *fields)
{
	CLEANUP_JSON json_t *json = json_fields_object(fields, "origin");
	struct json_fields o;
	if (json == NULL)
		return;
	json_fields_begin(&o, json, fields->object, "%sorigin.", fields->path);
	json_fields_hex(&o, "repository", snap->origin_repository,
			REPO_ID_SIZE);
	json_fields_hex(&o, "snapshot", snap->origin_snapshot.b, ID_SIZE);
	static const uint8_t none[REPO_ID_SIZE];
	if (o.err == 0
			&& memcmp(snap->origin_repository, none, REPO_ID_SIZE)
					== 0)
		json_fields_refuse(&o, "repository", "missing");
	if (o.err == 0 && id_is_zero(&snap->origin_snapshot))
		json_fields_refuse(&o, "snapshot", "missing");
	fields->err = o.err;
	snap->has_origin = o.err == 0;
}

static void read_arrived(struct snapshot *snap, struct json_fields *fields)
{
	CLEANUP_FREE char *text = json_fields_text(fields, "arrived", false);
	if (text == NULL)
		return;
	if (!snap->has_origin || utc_parse(&snap->arrived, text) < 0
			|| snap->arrived <= 0)
		json_fields_refuse(fields, "arrived", "not a time of a copy");
}

static void read_head(struct snapshot *snap, struct json_fields *fields)
{
	read_place(snap, fields);
	read_kind(snap, fields);
	snap->started_ns = json_fields_number(fields, "started_ns", INT64_MIN,
			INT64_MAX);
	snap->finished_ns = json_fields_number(fields, "finished_ns", INT64_MIN,
			INT64_MAX);
	snap->sequence = (uint64_t)json_fields_number(fields, "sequence", 1,
			INT64_MAX);
	json_fields_hex(fields, "predecessor", snap->predecessor.b, ID_SIZE);
	read_origin(snap, fields);
	read_arrived(snap, fields);
	snap->host = json_fields_name(fields, "host", true);
	snap->uuid = json_fields_name(fields, "uuid", false);
	snap->consistency = json_fields_name(fields, "consistency", false);
	snap->read_bytes = (uint64_t)json_fields_number(fields, "read_bytes", 0,
			INT64_MAX);
	snap->new_bytes = (uint64_t)json_fields_number(fields, "new_bytes", 0,
			INT64_MAX);
	snap->stored_bytes = (uint64_t)json_fields_number(fields,
			"stored_bytes", 0, INT64_MAX);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void check_unique(const struct snapshot *snap,
		struct json_fields *fields)
{
	if (fields->err < 0 || snap->file_count < 2)
		return;
	CLEANUP_FREE const char **names =
			calloc(snap->file_count, sizeof(*names));
	if (names == NULL) {
		fields->err = fail_errno(-ENOMEM, "reading %s", fields->object);
		return;
	}
	for (uint32_t i = 0; i < snap->file_count; i++)
		names[i] = snap->files[i].name;
	qsort(names, snap->file_count, sizeof(*names), compare_names);
	for (uint32_t i = 1; i < snap->file_count && fields->err == 0; i++)
		if (strcmp(names[i - 1], names[i]) == 0)
			json_fields_refuse(fields, "files",
					"two are named \"%s\"", names[i]);
}

static int fill(struct snapshot *snap, const char *object, json_t *json)
{
	struct json_fields m;
	json_fields_begin(&m, json, object, "%s", "");
	read_head(snap, &m);
	read_skipped(snap, &m);
	read_files(snap, &m);
	check_unique(snap, &m);
	snap->extra = json_fields_rest(&m);
	if (m.err < 0)
		return m.err;
	snap->object = strdup(object);
	if (snap->object == NULL)
		return fail_errno(-ENOMEM, "reading %s", object);
	return 0;
}

int snapshot_json_decode(struct snapshot **out, const struct seal *seal,
		const char *object, const char *text, size_t len)
{
	CLEANUP_JSON json_t *json = NULL;
	*out = NULL;
	int err = json_fields_load(&json, object, text, len);
	if (err < 0)
		return err;
	struct snapshot *snap = snapshot_new();
	if (snap == NULL)
		return fail_errno(-ENOMEM, "reading %s", object);
	err = fill(snap, object, json);
	if (err == 0)
		err = snapshot_json_derive_id(&snap->id, seal, object, text,
				len);
	if (err < 0) {
		snapshot_free(snap);
		return err;
	}
	*out = snap;
	return 0;
}
