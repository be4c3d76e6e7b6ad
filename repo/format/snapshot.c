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

#include "repo/base/cleanup.h"

struct snapshot *snapshot_new(void)
{
	return calloc(1, sizeof(struct snapshot));
}

void snapshot_clear_file(struct snapshot_file *f)
{
	free(f->name);
	free(f->source_path);
	free(f->format);
	free(f->target);
	free(f->identities);
	free(f->reading);
	free(f->checkpoint);
	json_decref(f->extra);
	memset(f, 0, sizeof(*f));
}

void snapshot_free(struct snapshot *s)
{
	if (s == NULL)
		return;
	for (uint32_t i = 0; i < s->file_count; i++)
		snapshot_clear_file(&s->files[i]);
	for (uint32_t i = 0; i < s->skipped_count; i++) {
		free(s->skipped[i].target);
		free(s->skipped[i].reason);
	}
	free(s->files);
	free(s->skipped);
	free(s->object);
	free(s->source);
	free(s->host);
	free(s->uuid);
	free(s->consistency);
	json_decref(s->extra);
	free(s);
}

/* --- files --- */

struct snapshot_file *snapshot_add_file(struct snapshot *s)
{
	uint32_t n = s->file_count;
	if (n >= SNAPSHOT_FILES_MAX)
		return NULL;
	/* The array's room is the next power of two. */
	if ((n & (n - 1)) == 0) {
		size_t room = n == 0 ? 1 : 2 * (size_t)n;
		struct snapshot_file *files = realloc(s->files,
				room * sizeof(*files));
		if (files == NULL)
			return NULL;
		s->files = files;
	}
	memset(&s->files[n], 0, sizeof(s->files[n]));
	s->file_count++;
	return &s->files[n];
}

struct snapshot_file *snapshot_find_file(const struct snapshot *s,
		const char *name)
{
	for (uint32_t i = 0; i < s->file_count; i++)
		if (s->files[i].name != NULL &&
				strcmp(s->files[i].name, name) == 0)
			return &s->files[i];
	return NULL;
}

/* True unless there is something to copy and no memory for it. */
static bool copy_text(char **to, const char *from)
{
	*to = from == NULL ? NULL : strdup(from);
	return from == NULL || *to != NULL;
}

static bool copy_identities(struct snapshot_file *to,
		const struct snapshot_file *from)
{
	size_t size = from->identity_count * sizeof(*to->identities);
	if (size == 0)
		return true;
	to->identities = malloc(size);
	if (to->identities == NULL)
		return false;
	memcpy(to->identities, from->identities, size);
	to->identity_count = from->identity_count;
	return true;
}

int snapshot_copy_file(struct snapshot_file *to,
		const struct snapshot_file *from)
{
	to->kind = from->kind;
	to->size = from->size;
	to->mode = from->mode;
	to->mtime_ns = from->mtime_ns;
	to->root = from->root;
	if (copy_text(&to->name, from->name) &&
			copy_text(&to->source_path, from->source_path) &&
			copy_text(&to->format, from->format) &&
			copy_text(&to->target, from->target) &&
			copy_text(&to->reading, from->reading) &&
			copy_text(&to->checkpoint, from->checkpoint) &&
			copy_identities(to, from)) {
		to->extra = json_deep_copy(from->extra);
		if (to->extra != NULL || from->extra == NULL)
			return 0;
	}
	snapshot_clear_file(to);
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
	if (asprintf(&text, "%.*s-%u%s", (int)(at - name), name, number,
			at) < 0)
		return NULL;
	return text;
}

bool snapshot_qcow2_name(char out[QCOW2_NAME_MAX + 1],
		const struct snapshot_file *f)
{
	size_t len = strlen(f->name);
	if (f->kind != FILE_DISK || len <= strlen(".raw") ||
			len > NAME_COMPONENT_MAX ||
			strcmp(f->name + len - strlen(".raw"), ".raw") != 0)
		return false;
	snprintf(out, QCOW2_NAME_MAX + 1, "%.*s.qcow2",
			(int)(len - strlen(".raw")), f->name);
	return true;
}

struct snapshot_file *snapshot_find_qcow2(const struct snapshot *s,
		const char *name)
{
	char shown[QCOW2_NAME_MAX + 1];
	if (snapshot_find_file(s, name) != NULL)
		return NULL;
	for (uint32_t i = 0; i < s->file_count; i++)
		if (snapshot_qcow2_name(shown, &s->files[i]) &&
				strcmp(shown, name) == 0)
			return &s->files[i];
	return NULL;
}

char *snapshot_unique_name(const struct snapshot *s, const char *wanted)
{
	char component[NAME_COMPONENT_MAX + 1];
	name_component(component, wanted);
	for (unsigned n = 2; snapshot_find_file(s, component) != NULL ||
			strcmp(component, SNAPSHOT_JSON_NAME) == 0;
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
	assert((size_t)k < sizeof(names) / sizeof(names[0]));
	return names[k];
}

const char *snapshot_kind_name(enum snapshot_kind k)
{
	return k == SNAPSHOT_DOMAIN ? "domain" : "files";
}
