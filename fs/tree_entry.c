/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sources and snapshots of a tree: counted objects. An entry is referred to by
 * the listing while its name exists, and by whoever holds it; its inodes are
 * in the table for as long as it lives, so an open file outlives its name.
 */
#include "repo/snapshot/snapshot_object.h"
#include "tree_internal.h"

#include <stdio.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/report_json.h"
#include "repo/format/document.h"

#define MARK_BEGINNING 48 /* covers the envelope's header and nonce */
#define LOAD_ATTEMPTS 3

/* --- sources --- */

static bool is_tame(const char *name)
{
	size_t last = strlen(name) - 1;
	for (size_t i = 0; name[i] != '\0'; i++) {
		unsigned char c = (unsigned char)name[i];
		bool letter = c >= 0x80 || (c >= '0' && c <= '9')
				|| ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
		if (!letter && strchr("._+=,@-", c) == NULL
				&& (c != ' ' || i == 0 || i == last))
			return false;
	}
	return true;
}

char *tree_entry_source_shown(char out[SOURCE_SHOWN_MAX],
		const struct tree_source *source)
{
	name_shown(out, SOURCE_SHOWN_MAX, source->component);
	if (!is_tame(out))
		snprintf(out, SOURCE_SHOWN_MAX, "%s", source->component);
	return out;
}

static size_t source_key(char key[NAME_COMPONENT_MAX + 2], char what,
		const char *component)
{
	return (size_t)snprintf(key, NAME_COMPONENT_MAX + 2, "%c%s", what,
			component);
}

static struct tree_source *source_find(struct tree *tree, const char *component)
{
	char key[NAME_COMPONENT_MAX + 2];
	size_t len = source_key(key, 'S', component);
	struct inode *i = inodes_find(&tree->inodes, inodes_number(key, len));
	struct tree_inode *ti = (struct tree_inode *)i;
	if (ti == NULL || ti->kind != TREE_SOURCE
			|| strcmp(ti->source->component, component) != 0)
		return NULL;
	return ti->source;
}

static void source_add_inodes(struct tree *tree, struct tree_source *source)
{
	char key[NAME_COMPONENT_MAX + 2];
	source->directory.kind = TREE_SOURCE;
	source->directory.source = source;
	inodes_add(&tree->inodes, &source->directory.inode, key,
			source_key(key, 'S', source->component));
	source->latest.kind = TREE_LATEST;
	source->latest.source = source;
	inodes_add(&tree->inodes, &source->latest.inode, key,
			source_key(key, 'L', source->component));
}

struct tree_source *tree_entry_get_source(struct tree *tree,
		const char *component)
{
	struct tree_source *source = source_find(tree, component);
	if (source != NULL) {
		source->refs++;
		return source;
	}
	source = calloc(1, sizeof(*source));
	if (source == NULL)
		return NULL;
	source->refs = 1;
	source->component = strdup(component);
	if (source->component == NULL
			|| inodes_reserve(&tree->inodes, 2) != 0) {
		free(source->component);
		free(source);
		return NULL;
	}
	source_add_inodes(tree, source);
	return source;
}

void tree_entry_put_source(struct tree *tree, struct tree_source *source)
{
	if (source == NULL || --source->refs > 0)
		return;
	inodes_remove(&tree->inodes, &source->directory.inode);
	inodes_remove(&tree->inodes, &source->latest.inode);
	free(source->component);
	free(source);
}

/* --- entries --- */

struct tree_entry *tree_entry_new(struct tree_source *source,
		const char *time_text, int64_t time)
{
	struct tree_entry *entry = calloc(1, sizeof(*entry));
	if (entry == NULL)
		return NULL;
	entry->refs = 1;
	entry->source = source;
	source->refs++;
	entry->time = time;
	snprintf(entry->time_text, sizeof(entry->time_text), "%s", time_text);
	snprintf(entry->object, sizeof(entry->object), "snapshots/%s/%s",
			source->component, time_text);
	return entry;
}

static uint32_t inode_count(const struct tree_entry *entry,
		const struct snapshot *record)
{
	return record->file_count + 2 + entry->view_count;
}

void tree_entry_put(struct tree *tree, struct tree_entry *entry)
{
	if (entry == NULL || --entry->refs > 0)
		return;
	if (entry->record != NULL) {
		for (uint32_t i = 0; i < inode_count(entry, entry->record); i++)
			inodes_remove(&tree->inodes, &entry->inodes[i].inode);
		snapshot_free(entry->record);
		free(entry->inodes);
		free(entry->by_name);
		free(entry->views);
	}
	tree_entry_put_source(tree, entry->source);
	free(entry);
}

/* --- loading --- */

int tree_entry_read_mark(struct tree *tree, const char *object,
		struct tree_mark *out)
{
	struct store *store = tree->repo->store;
	size_t end = sizeof(out->bytes) - MARK_BEGINNING;
	memset(out, 0, sizeof(*out));
	store_forget(store, object);
	int err = store_size(store, object, &out->size);
	if (err != 0)
		return err;
	ssize_t n = store_get_range(store, object, out->bytes, MARK_BEGINNING,
			0);
	if (n < 0)
		return (int)n;
	if (out->size < end)
		return 0;
	n = store_get_range(store, object, out->bytes + MARK_BEGINNING, end,
			out->size - end);
	return n < 0 ? (int)n : 0;
}

/* The record together with the mark of the object that it came from. */
static int load_marked(struct tree *tree, const char *object,
		struct snapshot **record, struct tree_mark *mark)
{
	for (int i = 0; i < LOAD_ATTEMPTS; i++) {
		struct tree_mark after;
		int err = tree_entry_read_mark(tree, object, mark);
		if (err != 0)
			return err;
		err = snapshot_object_load(tree->repo, object, record);
		if (err != 0)
			return err;
		err = tree_entry_read_mark(tree, object, &after);
		if (err == 0 && memcmp(mark, &after, sizeof(after)) == 0)
			return 0;
		snapshot_free(take_ptr(*record));
		if (err != 0)
			return err;
	}
	fail(-EIO, "%s keeps changing; snapshots should never change", object);
	return -EIO;
}

static char *record_text(const struct snapshot *record)
{
	json_t *json = report_json_document(document_of_snapshot(record));
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
static int64_t find_name(const struct tree_entry *entry, uint32_t count,
		const char *name)
{
	uint32_t low = 0, high = count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int c = strcmp(name, entry->by_name[middle].name);
		if (c == 0)
			return entry->by_name[middle].place;
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return -1;
}

int64_t tree_entry_find_file(const struct tree_entry *entry, const char *name)
{
	return find_name(entry, entry->name_count, name);
}

/* After the files were sorted: which of them are shown as qcow2 too. */
static void derive_views(struct tree_entry *entry,
		const struct snapshot *record)
{
	for (uint32_t i = 0; i < record->file_count; i++) {
		struct tree_view *view = &entry->views[entry->view_count];
		if (!snapshot_qcow2_name(view->name, &record->files[i])
				|| find_name(entry, record->file_count,
						   view->name)
						>= 0)
			continue;
		view->file = i;
		entry->view_count++;
	}
}

static uint32_t disk_count(const struct snapshot *record)
{
	uint32_t disks = 0;
	for (uint32_t i = 0; i < record->file_count; i++)
		disks += record->files[i].kind == FILE_DISK;
	return disks;
}

/* Those that are shown as qcow2 are not shown as they are. */
static uint32_t drop_viewed(struct tree_entry *entry, uint32_t count)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < count; i++) {
		bool viewed = false;
		for (uint32_t k = 0; k < entry->view_count; k++)
			viewed |= entry->views[k].file
					== entry->by_name[i].place;
		if (!viewed)
			entry->by_name[kept++] = entry->by_name[i];
	}
	return kept;
}

static void derive_names(struct tree_entry *entry,
		const struct snapshot *record, enum tree_views views)
{
	uint32_t count = record->file_count;
	for (uint32_t i = 0; i < count; i++)
		entry->by_name[i] =
				(struct tree_named){ record->files[i].name, i };
	qsort(entry->by_name, count, sizeof(*entry->by_name), compare_names);
	if (views != TREE_VIEWS_RAW)
		derive_views(entry, record);
	uint32_t names = views == TREE_VIEWS_QCOW2 ? drop_viewed(entry, count)
						   : count;
	for (uint32_t i = 0; i < entry->view_count; i++)
		entry->by_name[names + i] =
				(struct tree_named){ entry->views[i].name,
					count + 2 + i };
	entry->name_count = names + entry->view_count;
	qsort(entry->by_name, entry->name_count, sizeof(*entry->by_name),
			compare_names);
}

static int derive(struct tree_entry *entry, const struct snapshot *record,
		enum tree_views views)
{
	uint32_t count = record->file_count, disks = disk_count(record);
	char *text = record_text(record);
	/* One more, to avoid an allocation of size 0. */
	entry->inodes = calloc((size_t)count + disks + 2,
			sizeof(*entry->inodes));
	entry->by_name = calloc((size_t)count + disks + 1,
			sizeof(*entry->by_name));
	entry->views = calloc((size_t)disks + 1, sizeof(*entry->views));
	entry->record_size = text == NULL ? 0 : strlen(text);
	free(text);
	/* A record is never empty. */
	if (entry->record_size == 0 || entry->inodes == NULL
			|| entry->by_name == NULL || entry->views == NULL)
		return fail_errno(-ENOMEM, "reading %s", entry->object);
	derive_names(entry, record, views);
	return 0;
}

static void forget_derived(struct tree_entry *entry)
{
	free(take_ptr(entry->inodes));
	free(take_ptr(entry->by_name));
	free(take_ptr(entry->views));
	entry->view_count = entry->name_count = 0;
}

/* What the inode at PLACE is of, and the letter of its key. */
static char set_inode(struct tree_inode *inode, const struct tree_entry *entry,
		uint32_t count, uint32_t place)
{
	inode->kind = TREE_FILE;
	inode->file = place;
	if (place < count)
		return 'f';
	inode->file = 0;
	inode->kind = place == count ? TREE_SNAPSHOT : TREE_RECORD;
	if (place < count + 2)
		return place == count ? 'd' : 'r';
	inode->kind = TREE_QCOW2;
	inode->file = entry->views[place - count - 2].file;
	return 'q';
}

static void add_inodes(struct tree *tree, struct tree_entry *entry,
		const struct snapshot *record)
{
	struct {
		uint8_t what, id[ID_SIZE], file[4];
	} key;
	memcpy(key.id, record->id.b, ID_SIZE);
	for (uint32_t i = 0; i < inode_count(entry, record); i++) {
		struct tree_inode *inode = &entry->inodes[i];
		inode->entry = entry;
		key.what = (uint8_t)set_inode(inode, entry, record->file_count,
				i);
		put_le32(key.file, inode->file);
		inodes_add(&tree->inodes, &inode->inode, &key, sizeof(key));
	}
}

static bool is_loaded(struct tree *tree, const struct tree_entry *entry)
{
	LOCK_SCOPE(&tree->mutex);
	return entry->record != NULL;
}

static int publish(struct tree *tree, struct tree_entry *entry,
		struct snapshot *record)
{
	LOCK_SCOPE(&tree->mutex);
	if (inodes_reserve(&tree->inodes, inode_count(entry, record)) != 0)
		return fail_errno(-ENOMEM, "reading %s", entry->object);
	add_inodes(tree, entry, record);
	entry->record = record;
	return 0;
}

int tree_entry_load(struct tree *tree, struct tree_entry *entry)
{
	struct snapshot *record = NULL;
	LOCK_SCOPE(&tree->load_mutex);
	if (is_loaded(tree, entry))
		return 0;
	int err = load_marked(tree, entry->object, &record, &entry->mark);
	if (err != 0)
		return err;
	err = derive(entry, record, tree->views);
	if (err == 0)
		err = publish(tree, entry, record);
	if (err != 0) {
		snapshot_free(record);
		forget_derived(entry);
	}
	return err;
}

int tree_entry_record_text(struct tree *tree, const struct tree_held *held,
		char **text, size_t *len)
{
	/* Making JSON counts references in the record's unknown members. */
	LOCK_SCOPE(&tree->load_mutex);
	*text = record_text(held->snapshot);
	if (*text == NULL)
		return fail_no_memory("making snapshot.json");
	*len = strlen(*text);
	return 0;
}
