/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Snapshots in memory: making, copying, freeing, naming. Their stored form is
 * snapshot_json.c's.
 *
 * What this file does not do: it reads and writes no objects.
 */
#include "snapshot.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"

struct snapshot *snapshot_new(void)
{
	return calloc(1, sizeof(struct snapshot));
}

void snapshot_clear_file(struct snapshot_file *file)
{
	free(file->name);
	free(file->source_path);
	free(file->format);
	free(file->target);
	free(file->identities);
	free(file->reading);
	free(file->checkpoint);
	json_decref(file->extra);
	memset(file, 0, sizeof(*file));
}

void snapshot_free(struct snapshot *snap)
{
	if (snap == NULL)
		return;
	for (uint32_t i = 0; i < snap->file_count; i++)
		snapshot_clear_file(&snap->files[i]);
	for (uint32_t i = 0; i < snap->skipped_count; i++) {
		free(snap->skipped[i].target);
		free(snap->skipped[i].reason);
	}
	free(snap->files);
	free(snap->skipped);
	free(snap->object);
	free(snap->source);
	free(snap->host);
	free(snap->uuid);
	free(snap->consistency);
	json_decref(snap->extra);
	free(snap);
}

/* --- what is not in it --- */

static bool is_lacking(const struct snapshot_skipped *skipped)
{
	return skipped->kind == SKIPPED_MISSING
			|| skipped->kind == SKIPPED_DAMAGED;
}

bool snapshot_is_complete(const struct snapshot *snap)
{
	for (uint32_t i = 0; i < snap->skipped_count; i++)
		if (is_lacking(&snap->skipped[i]))
			return false;
	return true;
}

/* Appends those of KIND. */
static size_t append_lacking(char *buf, size_t size, size_t n,
		const struct snapshot *snap, enum skipped_kind kind)
{
	bool first = true;
	for (uint32_t i = 0; i < snap->skipped_count && n < size; i++) {
		const struct snapshot_skipped *skipped = &snap->skipped[i];
		char target[512], reason[1024];
		if (skipped->kind != kind)
			continue;
		if (first)
			n += (size_t)snprintf(buf + n, size - n,
					"%s%s: ", n == 0 ? "" : "; ",
					snapshot_skipped_kind_name(kind));
		else
			n += (size_t)snprintf(buf + n, size - n, ", ");
		first = false;
		if (n < size)
			n += (size_t)snprintf(buf + n, size - n, "%s (%s)",
					name_display_escaped(target,
							sizeof(target),
							skipped->target),
					name_display(reason, sizeof(reason),
							skipped->reason));
	}
	return n;
}

char *snapshot_missing(char *buf, size_t size, const struct snapshot *snap)
{
	buf[0] = '\0';
	size_t n = append_lacking(buf, size, 0, snap, SKIPPED_MISSING);
	if (n < size)
		append_lacking(buf, size, n, snap, SKIPPED_DAMAGED);
	return buf;
}

const struct snapshot_skipped *snapshot_find_skipped(
		const struct snapshot *snap, enum skipped_kind kind,
		const char *target)
{
	for (uint32_t i = 0; snap != NULL && i < snap->skipped_count; i++)
		if (snap->skipped[i].kind == kind
				&& strcmp(snap->skipped[i].target, target) == 0)
			return &snap->skipped[i];
	return NULL;
}

/* --- files --- */

struct snapshot_file *snapshot_add_file(struct snapshot *snap)
{
	uint32_t n = snap->file_count;
	if (n >= SNAPSHOT_FILES_MAX)
		return NULL;
	/* The array's room is the next power of two. */
	if ((n & (n - 1)) == 0) {
		size_t room = n == 0 ? 1 : 2 * (size_t)n;
		struct snapshot_file *files =
				realloc(snap->files, room * sizeof(*files));
		if (files == NULL)
			return NULL;
		snap->files = files;
	}
	memset(&snap->files[n], 0, sizeof(snap->files[n]));
	snap->file_count++;
	return &snap->files[n];
}

struct snapshot_file *snapshot_find_file(const struct snapshot *snap,
		const char *name)
{
	for (uint32_t i = 0; i < snap->file_count; i++)
		if (snap->files[i].name != NULL
				&& strcmp(snap->files[i].name, name) == 0)
			return &snap->files[i];
	return NULL;
}

/* True unless there is something to copy and no memory for it. */
static bool copy_text(char **to, const char *from)
{
	*to = from == NULL ? NULL : strdup(from);
	return from == NULL || *to != NULL;
}

static bool copy_identities(struct snapshot_file *file,
		const struct snapshot_file *from)
{
	size_t size = from->identity_count * sizeof(*file->identities);
	if (size == 0)
		return true;
	file->identities = malloc(size);
	if (file->identities == NULL)
		return false;
	memcpy(file->identities, from->identities, size);
	file->identity_count = from->identity_count;
	return true;
}

int snapshot_copy_file(struct snapshot_file *file,
		const struct snapshot_file *from)
{
	file->kind = from->kind;
	file->size = from->size;
	file->mode = from->mode;
	file->mtime_ns = from->mtime_ns;
	file->root = from->root;
	if (copy_text(&file->name, from->name)
			&& copy_text(&file->source_path, from->source_path)
			&& copy_text(&file->format, from->format)
			&& copy_text(&file->target, from->target)
			&& copy_text(&file->reading, from->reading)
			&& copy_text(&file->checkpoint, from->checkpoint)
			&& copy_identities(file, from)) {
		file->extra = json_deep_copy(from->extra);
		if (file->extra != NULL || from->extra == NULL)
			return 0;
	}
	snapshot_clear_file(file);
	return -ENOMEM;
}

/* --- names --- */

/* "disk.img" → "disk-2.img". In a name that was shortened already the number
 * goes before the mark, where it belongs to what is left of the name. */
static char *numbered_name(const char *name, unsigned number)
{
	const char *at = strstr(name, "%~");
	char *text;
	if (at == NULL)
		at = strrchr(name, '.');
	if (at == NULL || at == name)
		at = name + strlen(name);
	if (asprintf(&text, "%.*s-%u%s", (int)(at - name), name, number, at)
			< 0)
		return NULL;
	return text;
}

bool snapshot_qcow2_name(char out[QCOW2_NAME_MAX + 1],
		const struct snapshot_file *file)
{
	size_t len = strlen(file->name);
	if (file->kind != FILE_DISK || len <= strlen(".raw")
			|| len > NAME_COMPONENT_MAX
			|| strcmp(file->name + len - strlen(".raw"), ".raw")
					!= 0)
		return false;
	snprintf(out, QCOW2_NAME_MAX + 1, "%.*s.qcow2",
			(int)(len - strlen(".raw")), file->name);
	return true;
}

struct snapshot_file *snapshot_find_qcow2(const struct snapshot *snap,
		const char *name)
{
	char shown[QCOW2_NAME_MAX + 1];
	if (snapshot_find_file(snap, name) != NULL)
		return NULL;
	for (uint32_t i = 0; i < snap->file_count; i++)
		if (snapshot_qcow2_name(shown, &snap->files[i])
				&& strcmp(shown, name) == 0)
			return &snap->files[i];
	return NULL;
}

char *snapshot_unique_name(const struct snapshot *snap, const char *wanted)
{
	char component[NAME_COMPONENT_MAX + 1];
	name_component(component, wanted);
	for (unsigned n = 2; snapshot_find_file(snap, component) != NULL
			|| strcmp(component, SNAPSHOT_JSON_NAME) == 0;
			n++) {
		CLEANUP_FREE char *name = numbered_name(wanted, n);
		if (name == NULL)
			return NULL;
		name_component(component, name);
	}
	return strdup(component);
}

void snapshot_object_name(char *out, size_t size, const char *source,
		int64_t time)
{
	char component[NAME_COMPONENT_MAX + 1];
	char utc[UTC_TEXT_MAX];
	name_component(component, source);
	snprintf(out, size, "snapshots/%s/%s", component,
			utc_format(utc, time));
}

char *snapshot_shown(char out[SNAPSHOT_SHOWN_MAX], const char *object)
{
	char source[2 * NAME_COMPONENT_MAX], component[NAME_COMPONENT_MAX + 1];
	const char *slash = strrchr(object, '/'), *name = slash;
	if (slash == NULL)
		return name_shown(out, SNAPSHOT_SHOWN_MAX, object);
	while (name > object && name[-1] != '/')
		name--;
	snprintf(component, sizeof(component), "%.*s", (int)(slash - name),
			name);
	snprintf(out, SNAPSHOT_SHOWN_MAX, "%s%.*s",
			name_shown(source, sizeof(source), component),
			UTC_TEXT_MAX, slash);
	return out;
}

const char *snapshot_file_kind_name(enum file_kind k)
{
	static const char *const names[] = {
		[FILE_DISK] = "disk",
		[FILE_IMAGE] = "image",
		[FILE_XML] = "xml",
		[FILE_NVRAM] = "nvram",
		[FILE_INFO] = "info",
		[FILE_TPM] = "tpm",
		[FILE_BOOT] = "boot",
	};
	assert((size_t)k < ARRAY_SIZE(names));
	return names[k];
}

const char *snapshot_kind_name(enum snapshot_kind k)
{
	return k == SNAPSHOT_DOMAIN ? "domain" : "files";
}

const char *snapshot_skipped_kind_name(enum skipped_kind kind)
{
	switch (kind) {
	case SKIPPED_EXCLUDED:
		return "excluded";
	case SKIPPED_MISSING:
		return "missing";
	case SKIPPED_DAMAGED:
		return "damaged";
	default:
		return "unsupported";
	}
}
