/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sources and snapshots of a tree: counted objects. An entry is referred to by
 * the listing while its name exists, and by whoever holds it; its inodes are
 * in the table for as long as it lives, so an open file outlives its name.
 */
#include "tree_internal.h"

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"

#include <stdio.h>
#include <string.h>

#define MARK_BEGINNING 48	/* covers the envelope's header and nonce */
#define LOAD_ATTEMPTS 3

/* --- sources --- */

static size_t source_key(char key[NAME_COMPONENT_MAX + 2], char what,
		const char *component)
{
	return (size_t)snprintf(key, NAME_COMPONENT_MAX + 2, "%c%s", what,
			component);
}

static struct tree_source *source_find(struct tree *t, const char *component)
{
	char key[NAME_COMPONENT_MAX + 2];
	size_t len = source_key(key, 'S', component);
	struct inode *i = inodes_find(&t->inodes, inodes_number(key, len));
	struct tree_inode *ti = (struct tree_inode *)i;
	if (ti == NULL || ti->kind != TREE_SOURCE ||
			strcmp(ti->source->component, component) != 0)
		return NULL;
	return ti->source;
}

static void source_add_inodes(struct tree *t, struct tree_source *s)
{
	char key[NAME_COMPONENT_MAX + 2];
	s->directory.kind = TREE_SOURCE;
	s->directory.source = s;
	inodes_add(&t->inodes, &s->directory.inode, key,
			source_key(key, 'S', s->component));
	s->latest.kind = TREE_LATEST;
	s->latest.source = s;
	inodes_add(&t->inodes, &s->latest.inode, key,
			source_key(key, 'L', s->component));
}

struct tree_source *tree_entry_get_source(struct tree *t, const char *component)
{
	struct tree_source *s = source_find(t, component);
	if (s != NULL) {
		s->refs++;
		return s;
	}
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	s->refs = 1;
	s->component = strdup(component);
	if (s->component == NULL || inodes_reserve(&t->inodes, 2) != 0) {
		free(s->component);
		free(s);
		return NULL;
	}
	source_add_inodes(t, s);
	return s;
}

void tree_entry_put_source(struct tree *t, struct tree_source *s)
{
	if (s == NULL || --s->refs > 0)
		return;
	inodes_remove(&t->inodes, &s->directory.inode);
	inodes_remove(&t->inodes, &s->latest.inode);
	free(s->component);
	free(s);
}

/* --- entries --- */

struct tree_entry *tree_entry_new(struct tree_source *s, const char *time_text,
		int64_t time)
{
	struct tree_entry *e = calloc(1, sizeof(*e));
	if (e == NULL)
		return NULL;
	e->refs = 1;
	e->source = s;
	s->refs++;
	e->time = time;
	snprintf(e->time_text, sizeof(e->time_text), "%s", time_text);
	snprintf(e->object, sizeof(e->object), "snapshots/%s/%s", s->component,
			time_text);
	return e;
}

static uint32_t inode_count(const struct tree_entry *e,
		const struct snapshot *record)
{
	return record->file_count + 2 + e->view_count;
}

void tree_entry_put(struct tree *t, struct tree_entry *e)
{
	if (e == NULL || --e->refs > 0)
		return;
	if (e->record != NULL) {
		for (uint32_t i = 0; i < inode_count(e, e->record); i++)
			inodes_remove(&t->inodes, &e->inodes[i].inode);
		snapshot_free(e->record);
		free(e->inodes);
		free(e->by_name);
		free(e->views);
	}
	tree_entry_put_source(t, e->source);
	free(e);
}

/* --- loading --- */

int tree_entry_read_mark(struct tree *t, const char *object, struct tree_mark *out)
{
	struct store *s = t->repo->store;
	size_t end = sizeof(out->bytes) - MARK_BEGINNING;
	memset(out, 0, sizeof(*out));
	store_forget(s, object);
	int err = store_size(s, object, &out->size);
	if (err != 0)
		return err;
	ssize_t n = store_get_range(s, object, out->bytes, MARK_BEGINNING, 0);
	if (n < 0)
		return (int)n;
	if (out->size < end)
		return 0;
	n = store_get_range(s, object, out->bytes + MARK_BEGINNING, end,
			out->size - end);
	return n < 0 ? (int)n : 0;
}

/* The record together with the mark of the object that it came from. */
static int load_marked(struct tree *t, const char *object,
		struct snapshot **record, struct tree_mark *mark)
{
	for (int i = 0; i < LOAD_ATTEMPTS; i++) {
		struct tree_mark after;
		int err = tree_entry_read_mark(t, object, mark);
		if (err == 0)
			err = snapshot_object_load(t->repo, object, record);
		if (err != 0)
			return err;
		err = tree_entry_read_mark(t, object, &after);
		if (err == 0 && memcmp(mark, &after, sizeof(after)) == 0)
			return 0;
		snapshot_free(take_ptr(*record));
		if (err != 0)
			return err;
	}
	fail(-EIO, "%s changes all the time; snapshots never should", object);
	return -EIO;
}

static char *record_text(const struct snapshot *record)
{
	json_t *json = snapshot_json_encode(record, true);
	if (json == NULL)
		return NULL;
	char *text = json_dumps(json, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	json_decref(json);
	size_t len = text == NULL ? 0 : strlen(text);
	/* A text ends with a newline, which takes the NUL's place. */
	char *longer = text == NULL ? NULL : realloc(text, len + 2);
	if (longer == NULL) {
		free(text);
		return NULL;
	}
	memcpy(longer + len, "\n", 2);
	return longer;
}

/* --- what is derived from the record; ENTRY is not seen by others yet --- */

static int compare_names(const void *a, const void *b)
{
	const struct tree_named *x = a, *y = b;
	return strcmp(x->name, y->name);
}

/* Among the first COUNT names: a place, or -1. */
static int64_t find_name(const struct tree_entry *e, uint32_t count,
		const char *name)
{
	uint32_t low = 0, high = count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int c = strcmp(name, e->by_name[middle].name);
		if (c == 0)
			return e->by_name[middle].place;
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return -1;
}

int64_t tree_entry_find_file(const struct tree_entry *e, const char *name)
{
	return find_name(e, e->record->file_count + e->view_count, name);
}

/* After the files were sorted: which of them are shown as qcow2 too. */
static void derive_views(struct tree_entry *e, const struct snapshot *record)
{
	for (uint32_t i = 0; i < record->file_count; i++) {
		struct tree_view *v = &e->views[e->view_count];
		if (!snapshot_qcow2_name(v->name, &record->files[i]) ||
				find_name(e, record->file_count, v->name) >= 0)
			continue;
		v->file = i;
		e->view_count++;
	}
}

static uint32_t disk_count(const struct snapshot *record)
{
	uint32_t disks = 0;
	for (uint32_t i = 0; i < record->file_count; i++)
		disks += record->files[i].kind == FILE_DISK;
	return disks;
}

static void derive_names(struct tree_entry *e, const struct snapshot *record)
{
	uint32_t count = record->file_count;
	for (uint32_t i = 0; i < count; i++)
		e->by_name[i] = (struct tree_named){ record->files[i].name, i };
	qsort(e->by_name, count, sizeof(*e->by_name), compare_names);
	derive_views(e, record);
	for (uint32_t i = 0; i < e->view_count; i++)
		e->by_name[count + i] = (struct tree_named){
			e->views[i].name, count + 2 + i };
	qsort(e->by_name, count + e->view_count, sizeof(*e->by_name),
			compare_names);
}

static int derive(struct tree_entry *e, const struct snapshot *record)
{
	uint32_t count = record->file_count, disks = disk_count(record);
	char *text = record_text(record);
	/* One more, because nothing is not asked for. */
	e->inodes = calloc((size_t)count + disks + 2, sizeof(*e->inodes));
	e->by_name = calloc((size_t)count + disks + 1, sizeof(*e->by_name));
	e->views = calloc((size_t)disks + 1, sizeof(*e->views));
	e->record_size = text == NULL ? 0 : strlen(text);
	free(text);
	/* A record is never empty. */
	if (e->record_size == 0 || e->inodes == NULL || e->by_name == NULL ||
			e->views == NULL)
		return fail_errno(-ENOMEM, "reading %s", e->object);
	derive_names(e, record);
	return 0;
}

static void forget_derived(struct tree_entry *e)
{
	free(take_ptr(e->inodes));
	free(take_ptr(e->by_name));
	free(take_ptr(e->views));
	e->view_count = 0;
}

/* What the inode at PLACE is of, and the letter of its key. */
static char set_inode(struct tree_inode *ti, const struct tree_entry *e,
		uint32_t count, uint32_t place)
{
	ti->kind = TREE_FILE;
	ti->file = place;
	if (place < count)
		return 'f';
	ti->file = 0;
	ti->kind = place == count ? TREE_SNAPSHOT : TREE_RECORD;
	if (place < count + 2)
		return place == count ? 'd' : 'r';
	ti->kind = TREE_QCOW2;
	ti->file = e->views[place - count - 2].file;
	return 'q';
}

static void add_inodes(struct tree *t, struct tree_entry *e,
		const struct snapshot *record)
{
	struct {
		uint8_t what, id[ID_SIZE], file[4];
	} key;
	memcpy(key.id, record->id.b, ID_SIZE);
	for (uint32_t i = 0; i < inode_count(e, record); i++) {
		struct tree_inode *ti = &e->inodes[i];
		ti->entry = e;
		key.what = (uint8_t)set_inode(ti, e, record->file_count, i);
		put_le32(key.file, ti->file);
		inodes_add(&t->inodes, &ti->inode, &key, sizeof(key));
	}
}

static bool is_loaded(struct tree *t, const struct tree_entry *e)
{
	LOCK_SCOPE(&t->mutex);
	return e->record != NULL;
}

static int publish(struct tree *t, struct tree_entry *e,
		struct snapshot *record)
{
	LOCK_SCOPE(&t->mutex);
	if (inodes_reserve(&t->inodes, inode_count(e, record)) != 0)
		return fail_errno(-ENOMEM, "reading %s", e->object);
	add_inodes(t, e, record);
	e->record = record;
	return 0;
}

int tree_entry_load(struct tree *t, struct tree_entry *e)
{
	struct snapshot *record = NULL;
	LOCK_SCOPE(&t->load_mutex);
	if (is_loaded(t, e))
		return 0;
	int err = load_marked(t, e->object, &record, &e->mark);
	if (err != 0)
		return err;
	err = derive(e, record);
	if (err == 0)
		err = publish(t, e, record);
	if (err != 0) {
		snapshot_free(record);
		forget_derived(e);
	}
	return err;
}

int tree_entry_record_text(struct tree *t, const struct tree_held *h, char **text,
		size_t *len)
{
	/* Making JSON counts references in the record's unknown members. */
	LOCK_SCOPE(&t->load_mutex);
	*text = record_text(h->snapshot);
	if (*text == NULL)
		return fail_errno(-ENOMEM, "making snapshot.json");
	*len = strlen(*text);
	return 0;
}
