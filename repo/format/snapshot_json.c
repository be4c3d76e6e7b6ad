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

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"
#include "name.h"

#define HEX_ID_SIZE (2 * ID_SIZE + 1)
#define OBJECT_SIZE (sizeof("snapshots//") + NAME_COMPONENT_MAX + UTC_TEXT_MAX)
#define MODE_MAX 07777
#define FILE_KINDS (FILE_BOOT + 1)

static_assert(SNAPSHOT_FILES_MAX == 8192 && SNAPSHOT_SKIPPED_MAX == 8192 &&
		SNAPSHOT_CHAIN_MAX == 1024, "lists of a snapshot");
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
static json_t *identity_to_json(const struct file_identity *i)
{
	if (i->device == 0 && i->inode == 0)
		return json_null();
	if (!i->valid || i->size > INT64_MAX)
		return json_pack("{s:I,s:I}", "device", (json_int_t)i->device,
				"inode", (json_int_t)i->inode);
	return json_pack("{s:I,s:I,s:I,s:I,s:I}",
			"device", (json_int_t)i->device,
			"inode", (json_int_t)i->inode,
			"size", (json_int_t)i->size,
			"mtime_ns", (json_int_t)i->mtime_ns,
			"ctime_ns", (json_int_t)i->ctime_ns);
}

static json_t *identities_to_json(const struct snapshot_file *f)
{
	json_t *list = json_array();
	for (uint32_t n = 0; n < f->identity_count; n++) {
		json_t *item = identity_to_json(&f->identities[n]);
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
	if (json != NULL && extra != NULL &&
			json_object_update_missing(json, extra) < 0) {
		json_decref(json);
		return NULL;
	}
	return json;
}

static json_t *file_to_json(const struct snapshot_file *f)
{
	char root[HEX_ID_SIZE];
	json_t *identities = identities_to_json(f);
	if (identities == NULL)
		return NULL;
	json_t *json = json_pack("{s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:o,"
			"s:s*,s:s*,s:s*,s:s*,s:s*,s:s*}",
			"name", f->name,
			"kind", snapshot_file_kind_name(f->kind),
			"size", (json_int_t)f->size,
			"mode", (json_int_t)f->mode,
			"mtime_ns", (json_int_t)f->mtime_ns,
			"data_bytes", (json_int_t)f->root.data_bytes,
			"clusters", (json_int_t)f->root.clusters,
			"identities", identities,
			"root", hex_or_null(root, &f->root.id),
			"source_path", f->source_path,
			"format", f->format,
			"target", f->target,
			"reading", f->reading,
			"checkpoint", f->checkpoint);
	return with_extra(json, f->extra);
}

static json_t *files_to_json(const struct snapshot *s)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < s->file_count; i++) {
		if (json_array_append_new(list, file_to_json(&s->files[i])) <
				0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *skipped_to_json(const struct snapshot *s)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < s->skipped_count; i++) {
		const struct snapshot_skipped *k = &s->skipped[i];
		char reason[ERROR_TEXT_MAX];
		/* A reason may quote anything, and must be UTF-8 here. */
		name_display(reason, sizeof(reason),
				k->reason != NULL ? k->reason : "");
		json_t *item = json_pack("{s:s,s:s}", "target", k->target,
				"reason", reason);
		if (json_array_append_new(list, item) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* All but the lists. */
static json_t *head_to_json(const struct snapshot *s)
{
	char time[UTC_TEXT_MAX], predecessor[HEX_ID_SIZE];
	return json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:s,"
			"s:s*,s:s*,s:s*}",
			"source", s->source,
			"kind", snapshot_kind_name(s->kind),
			"time", utc_format(time, s->time),
			"started_ns", (json_int_t)s->started_ns,
			"finished_ns", (json_int_t)s->finished_ns,
			"sequence", (json_int_t)s->sequence,
			"read_bytes", (json_int_t)s->read_bytes,
			"new_bytes", (json_int_t)s->new_bytes,
			"stored_bytes", (json_int_t)s->stored_bytes,
			"host", s->host,
			"predecessor", hex_or_null(predecessor,
					&s->predecessor),
			"uuid", s->uuid,
			"consistency", s->consistency);
}

/* True if every number fits what JSON can hold. */
static bool numbers_fit(const struct snapshot *s)
{
	for (uint32_t i = 0; i < s->file_count; i++)
		if (s->files[i].size > IMAGE_SIZE_MAX ||
				s->files[i].root.data_bytes > IMAGE_SIZE_MAX)
			return false;
	return s->sequence <= INT64_MAX && s->read_bytes <= INT64_MAX &&
			s->new_bytes <= INT64_MAX &&
			s->stored_bytes <= INT64_MAX;
}

static int add_origin(json_t *json, const struct snapshot *s)
{
	char repository[2 * REPO_ID_SIZE + 1], snapshot[HEX_ID_SIZE];
	if (!s->has_origin)
		return 0;
	hex_encode(repository, s->origin_repository, REPO_ID_SIZE);
	hex_encode(snapshot, s->origin_snapshot.b, ID_SIZE);
	return json_object_set_new(json, "origin",
			json_pack("{s:s,s:s}", "repository", repository,
					"snapshot", snapshot));
}

static int add_derived(json_t *json, const struct snapshot *s)
{
	char id[HEX_ID_SIZE];
	hex_encode(id, s->id.b, ID_SIZE);
	int err = json_object_set_new(json, "id", json_string(id));
	if (err == 0 && s->object != NULL)
		err = json_object_set_new(json, "object",
				json_string(s->object));
	return err;
}

json_t *snapshot_json_encode(const struct snapshot *s, bool derived)
{
	json_t *json = numbers_fit(s) ? head_to_json(s) : NULL;
	/* The setters fail, and take the value, where one of both is NULL. */
	int err = json_object_set_new(json, "skipped", skipped_to_json(s));
	if (err == 0)
		err = json_object_set_new(json, "files", files_to_json(s));
	if (err == 0)
		err = add_origin(json, s);
	if (err == 0 && derived)
		err = add_derived(json, s);
	if (err == 0)
		json = with_extra(json, s->extra);
	if (err == 0 && json != NULL)
		return json;
	if (err != 0)
		json_decref(json);
	fail(-EINVAL, "the snapshot's record can't be written: there is no "
			"memory for it, or it has text that is not UTF-8 or "
			"a number that is too large");
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
	char prefix[NAME_COMPONENT_MAX + 1];
	uint8_t digest[16];
	const char *mark = strstr(name, "%~");
	if (strlen(name) > NAME_COMPONENT_MAX ||
			strcmp(name, SNAPSHOT_JSON_NAME) == 0)
		return false;
	memcpy(prefix, name, strlen(name) + 1);
	if (mark != NULL) {
		size_t len = (size_t)(mark - name);
		if (len < 178 || len > 180 || hex_decode(digest,
				sizeof(digest), mark + 2) < 0)
			return false;
		prefix[len] = '\0';
	}
	CLEANUP_FREE char *raw = name_unescape(prefix, NULL);
	return raw != NULL;
}

static void read_file_name(struct snapshot_file *f, struct json_fields *m)
{
	f->name = json_fields_text(m, "name", true);
	if (m->err == 0 && !file_name_fits(f->name))
		json_fields_refuse(m, "name", "not a file's name");
}

static void read_file_kind(struct snapshot_file *f, struct json_fields *m)
{
	CLEANUP_FREE char *kind = json_fields_text(m, "kind", true);
	if (kind == NULL)
		return;
	for (unsigned k = 0; k < FILE_KINDS; k++) {
		if (strcmp(kind, snapshot_file_kind_name(k)) == 0) {
			f->kind = k;
			return;
		}
	}
	json_fields_refuse(m, "kind", "not known to this version");
}

/* The counts must be possible for the size: data comes in whole blocks, but
 * for the last one of the image. */
static bool root_fits(const struct tree_root *r, uint64_t size)
{
	if (id_is_zero(&r->id))
		return r->data_bytes == 0 && r->clusters == 0;
	return r->data_bytes <= size && r->clusters >= 1 &&
			r->clusters <= (size + CLUSTER_SIZE - 1) /
					CLUSTER_SIZE &&
			r->data_bytes <= (uint64_t)r->clusters * CLUSTER_SIZE &&
			r->data_bytes > (uint64_t)(r->clusters - 1) *
					BLOCK_SIZE;
}

static void read_root(struct snapshot_file *f, struct json_fields *m)
{
	struct tree_root *r = &f->root;
	json_fields_hex(m, "root", r->id.b, ID_SIZE);
	r->level = node_tree_level(node_span_count(f->size));
	r->data_bytes = (uint64_t)json_fields_number(m, "data_bytes", 0,
			IMAGE_SIZE_MAX);
	r->clusters = (uint32_t)json_fields_number(m, "clusters", 0, UINT32_MAX);
	if (m->err == 0 && !root_fits(r, f->size))
		json_fields_refuse(m, "root", "it does not agree with the sizes");
}

static int read_identity(struct file_identity *i, json_t *json,
		const struct json_fields *file, uint32_t number)
{
	struct json_fields m;
	if (json_is_null(json))
		return 0;
	json_fields_begin(&m, json, file->object, "%sidentities[%u].", file->path,
			number);
	i->device = (uint64_t)json_fields_number(&m, "device", INT64_MIN,
			INT64_MAX);
	i->inode = (uint64_t)json_fields_number(&m, "inode", INT64_MIN, INT64_MAX);
	if (json_object_get(json, "size") == NULL &&
			json_object_get(json, "mtime_ns") == NULL &&
			json_object_get(json, "ctime_ns") == NULL)
		return m.err;
	i->size = (uint64_t)json_fields_number(&m, "size", 0, INT64_MAX);
	i->mtime_ns = json_fields_number(&m, "mtime_ns", INT64_MIN, INT64_MAX);
	i->ctime_ns = json_fields_number(&m, "ctime_ns", INT64_MIN, INT64_MAX);
	i->valid = m.err == 0;
	return m.err;
}

static void read_identities(struct snapshot_file *f, struct json_fields *m)
{
	CLEANUP_JSON json_t *list = json_fields_array(m, "identities",
			SNAPSHOT_CHAIN_MAX);
	size_t count = json_array_size(list);
	if (count == 0)
		return;
	f->identities = calloc(count, sizeof(*f->identities));
	if (f->identities == NULL) {
		m->err = fail_errno(-ENOMEM, "reading %s", m->object);
		return;
	}
	f->identity_count = (uint32_t)count;
	for (uint32_t i = 0; i < count && m->err == 0; i++)
		m->err = read_identity(&f->identities[i],
				json_array_get(list, i), m, i);
}

static int read_file(struct snapshot_file *f, json_t *json,
		const char *object, uint32_t number)
{
	struct json_fields m;
	json_fields_begin(&m, json, object, "files[%u].", number);
	read_file_name(f, &m);
	read_file_kind(f, &m);
	f->size = (uint64_t)json_fields_number(&m, "size", 0, IMAGE_SIZE_MAX);
	f->mode = (uint32_t)json_fields_number(&m, "mode", 0, MODE_MAX);
	f->mtime_ns = json_fields_number(&m, "mtime_ns", INT64_MIN, INT64_MAX);
	read_root(f, &m);
	f->source_path = json_fields_name(&m, "source_path", false);
	f->format = json_fields_name(&m, "format", false);
	f->target = json_fields_name(&m, "target", false);
	f->reading = json_fields_text(&m, "reading", false);
	f->checkpoint = json_fields_name(&m, "checkpoint", false);
	read_identities(f, &m);
	f->extra = json_fields_rest(&m);
	return m.err;
}

static void read_files(struct snapshot *s, struct json_fields *m)
{
	CLEANUP_JSON json_t *list = json_fields_array(m, "files",
			SNAPSHOT_FILES_MAX);
	if (list == NULL && m->err == 0)
		json_fields_refuse(m, "files", "missing");
	size_t count = json_array_size(list);
	for (uint32_t i = 0; i < count && m->err == 0; i++) {
		struct snapshot_file *f = snapshot_add_file(s);
		m->err = f == NULL ?
				fail_errno(-ENOMEM, "reading %s", m->object) :
				read_file(f, json_array_get(list, i),
						m->object, i);
	}
}

static int read_skipped_one(struct snapshot_skipped *k, json_t *json,
		const char *object, uint32_t number)
{
	struct json_fields m;
	json_fields_begin(&m, json, object, "skipped[%u].", number);
	k->target = json_fields_name(&m, "target", true);
	k->reason = json_fields_text(&m, "reason", true);
	return m.err;
}

static void read_skipped(struct snapshot *s, struct json_fields *m)
{
	CLEANUP_JSON json_t *list = json_fields_array(m, "skipped",
			SNAPSHOT_SKIPPED_MAX);
	size_t count = json_array_size(list);
	if (count == 0)
		return;
	s->skipped = calloc(count, sizeof(*s->skipped));
	if (s->skipped == NULL) {
		m->err = fail_errno(-ENOMEM, "reading %s", m->object);
		return;
	}
	s->skipped_count = (uint32_t)count;
	for (uint32_t i = 0; i < count && m->err == 0; i++)
		m->err = read_skipped_one(&s->skipped[i],
				json_array_get(list, i), m->object, i);
}

static void read_kind(struct snapshot *s, struct json_fields *m)
{
	CLEANUP_FREE char *kind = json_fields_text(m, "kind", true);
	if (kind == NULL)
		return;
	if (strcmp(kind, snapshot_kind_name(SNAPSHOT_DOMAIN)) == 0)
		s->kind = SNAPSHOT_DOMAIN;
	else if (strcmp(kind, snapshot_kind_name(SNAPSHOT_FILES)) == 0)
		s->kind = SNAPSHOT_FILES;
	else
		json_fields_refuse(m, "kind", "not known to this version");
}

/* Source and time, which must be those of the object's name: else a snapshot
 * could be shown as another one. */
static void read_place(struct snapshot *s, struct json_fields *m)
{
	char object[OBJECT_SIZE];
	s->source = json_fields_name(m, "source", true);
	CLEANUP_FREE char *time = json_fields_text(m, "time", true);
	if (m->err < 0)
		return;
	if (utc_parse(&s->time, time) < 0) {
		json_fields_refuse(m, "time", "not a time");
		return;
	}
	snapshot_object_name(object, sizeof(object), s->source, s->time);
	if (strcmp(object, m->object) != 0)
		json_fields_refuse(m, "source", "with time it does not give the "
				"object's name");
}

static void read_origin(struct snapshot *s, struct json_fields *m)
{
	CLEANUP_JSON json_t *json = json_fields_object(m, "origin");
	struct json_fields o;
	if (json == NULL)
		return;
	json_fields_begin(&o, json, m->object, "%sorigin.", m->path);
	json_fields_hex(&o, "repository", s->origin_repository, REPO_ID_SIZE);
	json_fields_hex(&o, "snapshot", s->origin_snapshot.b, ID_SIZE);
	static const uint8_t none[REPO_ID_SIZE];
	if (o.err == 0 && memcmp(s->origin_repository, none, REPO_ID_SIZE) == 0)
		json_fields_refuse(&o, "repository", "missing");
	if (o.err == 0 && id_is_zero(&s->origin_snapshot))
		json_fields_refuse(&o, "snapshot", "missing");
	m->err = o.err;
	s->has_origin = o.err == 0;
}

static void read_head(struct snapshot *s, struct json_fields *m)
{
	read_place(s, m);
	read_kind(s, m);
	s->started_ns = json_fields_number(m, "started_ns", INT64_MIN, INT64_MAX);
	s->finished_ns = json_fields_number(m, "finished_ns", INT64_MIN,
			INT64_MAX);
	s->sequence = (uint64_t)json_fields_number(m, "sequence", 1, INT64_MAX);
	json_fields_hex(m, "predecessor", s->predecessor.b, ID_SIZE);
	read_origin(s, m);
	s->host = json_fields_name(m, "host", true);
	s->uuid = json_fields_name(m, "uuid", false);
	s->consistency = json_fields_name(m, "consistency", false);
	s->read_bytes = (uint64_t)json_fields_number(m, "read_bytes", 0,
			INT64_MAX);
	s->new_bytes = (uint64_t)json_fields_number(m, "new_bytes", 0, INT64_MAX);
	s->stored_bytes = (uint64_t)json_fields_number(m, "stored_bytes", 0,
			INT64_MAX);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void check_unique(const struct snapshot *s, struct json_fields *m)
{
	if (m->err < 0 || s->file_count < 2)
		return;
	CLEANUP_FREE const char **names = calloc(s->file_count,
			sizeof(*names));
	if (names == NULL) {
		m->err = fail_errno(-ENOMEM, "reading %s", m->object);
		return;
	}
	for (uint32_t i = 0; i < s->file_count; i++)
		names[i] = s->files[i].name;
	qsort(names, s->file_count, sizeof(*names), compare_names);
	for (uint32_t i = 1; i < s->file_count && m->err == 0; i++)
		if (strcmp(names[i - 1], names[i]) == 0)
			json_fields_refuse(m, "files", "two are named \"%s\"",
					names[i]);
}

static int fill(struct snapshot *s, const char *object, json_t *json)
{
	struct json_fields m;
	json_fields_begin(&m, json, object, "%s", "");
	read_head(s, &m);
	read_skipped(s, &m);
	read_files(s, &m);
	check_unique(s, &m);
	s->extra = json_fields_rest(&m);
	if (m.err < 0)
		return m.err;
	s->object = strdup(object);
	if (s->object == NULL)
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
	struct snapshot *s = snapshot_new();
	if (s == NULL)
		return fail_errno(-ENOMEM, "reading %s", object);
	err = fill(s, object, json);
	if (err == 0)
		err = snapshot_json_derive_id(&s->id, seal, object, text, len);
	if (err < 0) {
		snapshot_free(s);
		return err;
	}
	*out = s;
	return 0;
}
