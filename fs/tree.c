/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Questions to the tree. Each takes the mutex for a moment and copies out what
 * was asked; reading a record happens outside of it, with the entry held.
 */
#include "tree_internal.h"

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/image/qcow2.h"

#include <string.h>
#include <time.h>

#define READ_BITS 0444u
#define NS_PER_SECOND INT64_C(1000000000)

int tree_new(struct tree **out, struct repository *r, const char *only)
{
	struct timespec now;
	struct tree *t = calloc(1, sizeof(*t));
	if (t == NULL || inodes_reserve(&t->inodes, 1) != 0) {
		free(t);
		return fail_errno(-ENOMEM, "making the tree of names");
	}
	clock_gettime(CLOCK_REALTIME, &now);
	t->repo = r;
	t->only = only;
	t->started_ns = now.tv_sec * NS_PER_SECOND;
	pthread_mutex_init(&t->mutex, NULL);
	pthread_mutex_init(&t->load_mutex, NULL);
	t->root.kind = TREE_ROOT;
	inodes_add_numbered(&t->inodes, &t->root.inode, INODE_ROOT);
	*out = t;
	return 0;
}

void tree_free(struct tree *t)
{
	if (t == NULL)
		return;
	tree_refresh_clear_listing(t, &t->names);
	inodes_clear(&t->inodes);
	pthread_mutex_destroy(&t->mutex);
	pthread_mutex_destroy(&t->load_mutex);
	free(t);
}

/* --- attributes; all with the mutex --- */

static int64_t entry_time_ns(const struct tree_entry *e)
{
	return e->time * NS_PER_SECOND;
}

/* That of the newest snapshot. A source whose last snapshot just went may
 * still be asked about: it has the root's first time then. */
static int64_t source_time_ns(const struct tree *t, const struct tree_source *s)
{
	size_t last = s->first + s->count;
	if (s->count == 0 || last > t->names.entry_count)
		return t->started_ns;
	return entry_time_ns(t->names.entries[last - 1]);
}

static int64_t root_time_ns(const struct tree *t)
{
	int64_t newest = t->names.source_count == 0 ? t->started_ns : 0;
	for (size_t i = 0; i < t->names.source_count; i++) {
		int64_t ns = source_time_ns(t, t->names.sources[i]);
		if (ns > newest)
			newest = ns;
	}
	return newest;
}

static void directory_attr(struct tree_attr *out, uint64_t directories, int64_t ns)
{
	out->mode = 0555;
	out->links = directories < UINT32_MAX - 2 ? (uint32_t)directories + 2 : 1;
	out->time_ns = ns;
}

static void file_attr(struct tree_attr *out, const struct snapshot_file *f)
{
	out->mode = f->mode & READ_BITS;
	out->time_ns = f->mtime_ns;
	if (out->kind == TREE_QCOW2) {
		qcow2_measure(f->size, &f->root, &out->size, &out->data_bytes);
		return;
	}
	out->size = f->size;
	out->data_bytes = f->root.data_bytes;
}

static void fill_attr(const struct tree *t, const struct tree_inode *ti,
		struct tree_attr *out)
{
	*out = (struct tree_attr){ .kind = ti->kind, .links = 1,
		.inode = ti->inode.number };
	switch (ti->kind) {
	case TREE_ROOT:
		directory_attr(out, t->names.source_count, root_time_ns(t));
		break;
	case TREE_SOURCE:
		directory_attr(out, ti->source->count,
				source_time_ns(t, ti->source));
		break;
	case TREE_LATEST:
		out->mode = 0777;
		out->size = UTC_TEXT_MAX - 1;
		out->time_ns = source_time_ns(t, ti->source);
		break;
	case TREE_SNAPSHOT:
		directory_attr(out, 0, entry_time_ns(ti->entry));
		break;
	case TREE_FILE:
	case TREE_QCOW2:
		file_attr(out, &ti->entry->record->files[ti->file]);
		break;
	case TREE_RECORD:
		out->mode = READ_BITS;
		out->size = out->data_bytes = ti->entry->record_size;
		out->time_ns = entry_time_ns(ti->entry);
		break;
	}
}

static struct tree_inode *find_inode(const struct tree *t, uint64_t inode)
{
	return (struct tree_inode *)inodes_find(&t->inodes, inode);
}

int tree_attr(struct tree *t, uint64_t inode, struct tree_attr *out)
{
	LOCK_SCOPE(&t->mutex);
	struct tree_inode *ti = find_inode(t, inode);
	if (ti == NULL)
		return -ESTALE;
	fill_attr(t, ti, out);
	return 0;
}

/* --- looking up --- */

static struct tree_source *root_find(const struct tree *t, const char *name)
{
	size_t low = 0, high = t->names.source_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct tree_source *s = t->names.sources[middle];
		int c = strcmp(name, s->component);
		if (c == 0)
			return s;
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* The place in the listing, or -1. */
static ssize_t source_find(const struct tree *t, const struct tree_source *s,
		const char *name)
{
	size_t low = s->first, high = s->first + s->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int c = strcmp(name, t->names.entries[middle]->time_text);
		if (c == 0)
			return (ssize_t)middle;
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return -1;
}

/* What NAME in the directory TI is, if that is known without reading a record:
 * 0 and *OUT; 1 and *OUT NULL: a snapshot (by its name). */
static int find_child(const struct tree *t, struct tree_inode *ti,
		const char *name, struct tree_inode **out)
{
	struct tree_source *s;
	int64_t file;
	*out = NULL;
	switch (ti->kind) {
	case TREE_ROOT:
		s = root_find(t, name);
		*out = s == NULL ? NULL : &s->directory;
		break;
	case TREE_SOURCE:
		if (strcmp(name, "latest") != 0)
			return 1;
		*out = ti->source->count == 0 ? NULL : &ti->source->latest;
		break;
	case TREE_SNAPSHOT:
		file = tree_entry_find_file(ti->entry, name);
		if (file >= 0)
			*out = &ti->entry->inodes[file];
		else if (strcmp(name, SNAPSHOT_JSON_NAME) == 0)
			*out = entry_record(ti->entry);
		break;
	default:
		return -ENOTDIR;
	}
	return *out == NULL ? -ENOENT : 0;
}

static struct tree_inode *parent_of(struct tree *t, struct tree_inode *ti)
{
	switch (ti->kind) {
	case TREE_ROOT:
	case TREE_SOURCE:
		return &t->root;
	case TREE_LATEST:
		return &ti->source->directory;
	case TREE_SNAPSHOT:
		return &ti->entry->source->directory;
	default:
		return entry_directory(ti->entry);
	}
}

/* Holds the snapshot NAME of the source with inode PARENT. */
static int hold_named(struct tree *t, uint64_t parent, const char *name,
		struct tree_entry **out)
{
	LOCK_SCOPE(&t->mutex);
	struct tree_inode *ti = find_inode(t, parent);
	if (ti == NULL || ti->kind != TREE_SOURCE)
		return -ESTALE;
	ssize_t place = source_find(t, ti->source, name);
	if (place < 0)
		return -ENOENT;
	*out = t->names.entries[place];
	(*out)->refs++;
	return 0;
}

static void release_entry(struct tree *t, struct tree_entry *e)
{
	LOCK_SCOPE(&t->mutex);
	tree_entry_put(t, e);
}

/* 0, or -ESTALE if the object has gone or is another one. */
static int check_mark(struct tree *t, const struct tree_entry *e)
{
	struct tree_mark now;
	int err = tree_entry_read_mark(t, e->object, &now);
	if (err == -ENOENT)
		return -ESTALE;
	if (err != 0)
		return err;
	return memcmp(&now, &e->mark, sizeof(now)) == 0 ? 0 : -ESTALE;
}

/* Puts a new entry in the place of OLD, whose object was replaced. */
static int replace(struct tree *t, struct tree_entry *old)
{
	LOCK_SCOPE(&t->mutex);
	ssize_t place = source_find(t, old->source, old->time_text);
	if (place < 0 || t->names.entries[place] != old)
		return 0;
	struct tree_entry *e = tree_entry_new(old->source, old->time_text,
			old->time);
	if (e == NULL)
		return fail_errno(-ENOMEM, "reading %s", old->object);
	t->names.entries[place] = e;
	tree_entry_put(t, old);
	return 0;
}

static bool known_before(struct tree *t, const struct tree_entry *e)
{
	LOCK_SCOPE(&t->mutex);
	return e->record != NULL;
}

/* Holds the snapshot as the repository has it now, with its record read. */
static int hold_current(struct tree *t, uint64_t parent, const char *name,
		struct tree_entry **out)
{
	struct tree_entry *e = NULL;
	int err = hold_named(t, parent, name, &e);
	if (err != 0)
		return err;
	if (known_before(t, e) && check_mark(t, e) == -ESTALE) {
		err = replace(t, e);
		release_entry(t, e);
		if (err == 0)
			err = hold_named(t, parent, name, &e);
		if (err != 0)
			return err;
	}
	err = tree_entry_load(t, e);
	if (err != 0) {
		release_entry(t, e);
		return err;
	}
	*out = e;
	return 0;
}

static int lookup_snapshot(struct tree *t, uint64_t parent, const char *name,
		struct tree_attr *out)
{
	struct tree_entry *e = NULL;
	int err = hold_current(t, parent, name, &e);
	if (err != 0)
		return err;
	LOCK_SCOPE(&t->mutex);
	fill_attr(t, entry_directory(e), out);
	tree_entry_put(t, e);
	return 0;
}

static int lookup_known(struct tree *t, uint64_t parent, const char *name,
		struct tree_attr *out)
{
	LOCK_SCOPE(&t->mutex);
	struct tree_inode *ti = find_inode(t, parent), *child = NULL;
	if (ti == NULL)
		return -ESTALE;
	int err = 0;
	if (strcmp(name, ".") == 0)
		child = ti;
	else if (strcmp(name, "..") == 0)
		child = parent_of(t, ti);
	else
		err = find_child(t, ti, name, &child);
	if (err == 0)
		fill_attr(t, child, out);
	return err;
}

int tree_lookup(struct tree *t, uint64_t parent, const char *name,
		struct tree_attr *out)
{
	int err = lookup_known(t, parent, name, out);
	return err == 1 ? lookup_snapshot(t, parent, name, out) : err;
}

int tree_read_link(struct tree *t, uint64_t inode, char out[UTC_TEXT_MAX])
{
	LOCK_SCOPE(&t->mutex);
	struct tree_inode *ti = find_inode(t, inode);
	if (ti == NULL)
		return -ESTALE;
	if (ti->kind != TREE_LATEST)
		return -EINVAL;
	const struct tree_source *s = ti->source;
	if (s->count == 0)
		return -ENOENT;
	memcpy(out, t->names.entries[s->first + s->count - 1]->time_text,
			UTC_TEXT_MAX);
	return 0;
}

/* --- listing a directory --- */

void tree_names_free(struct tree_names *n)
{
	if (n == NULL)
		return;
	for (size_t i = 0; i < n->count; i++)
		free(n->items[i].name);
	free(n);
}

static int names_add(struct tree_names *n, const char *name,
		enum tree_kind kind, uint64_t inode)
{
	char *copy = strdup(name);
	if (copy == NULL)
		return -ENOMEM;
	n->items[n->count++] = (struct tree_name){ copy, kind, inode };
	return 0;
}

static int list_root(const struct tree *t, struct tree_names *n)
{
	int err = 0;
	for (size_t i = 0; err == 0 && i < t->names.source_count; i++) {
		const struct tree_source *s = t->names.sources[i];
		err = names_add(n, s->component, TREE_SOURCE,
				s->directory.inode.number);
	}
	return err;
}

static int list_source(const struct tree *t, const struct tree_source *s,
		struct tree_names *n)
{
	int err = 0;
	for (size_t i = 0; err == 0 && i < s->count; i++) {
		const struct tree_entry *e = t->names.entries[s->first + i];
		uint64_t inode = 0;
		if (e->record != NULL)
			inode = entry_directory(e)->inode.number;
		err = names_add(n, e->time_text, TREE_SNAPSHOT, inode);
	}
	if (err == 0 && s->count > 0)
		err = names_add(n, "latest", TREE_LATEST, s->latest.inode.number);
	return err;
}

static int list_snapshot(const struct tree_entry *e, struct tree_names *n)
{
	int err = 0;
	for (uint32_t i = 0; err == 0 && i < e->record->file_count; i++)
		err = names_add(n, e->record->files[i].name, TREE_FILE,
				e->inodes[i].inode.number);
	for (uint32_t i = 0; err == 0 && i < e->view_count; i++)
		err = names_add(n, e->views[i].name, TREE_QCOW2,
				entry_view(e, i)->inode.number);
	if (err == 0)
		err = names_add(n, SNAPSHOT_JSON_NAME, TREE_RECORD,
				entry_record(e)->inode.number);
	return err;
}

static size_t names_most(const struct tree *t, const struct tree_inode *ti)
{
	switch (ti->kind) {
	case TREE_ROOT:
		return t->names.source_count;
	case TREE_SOURCE:
		return ti->source->count + 1;
	case TREE_SNAPSHOT:
		return (size_t)ti->entry->record->file_count +
				ti->entry->view_count + 1;
	default:
		return 0;
	}
}

int tree_list(struct tree *t, uint64_t inode, struct tree_names **out)
{
	LOCK_SCOPE(&t->mutex);
	struct tree_inode *ti = find_inode(t, inode);
	if (ti == NULL)
		return -ESTALE;
	struct tree_names *n = calloc(1, sizeof(*n) +
			names_most(t, ti) * sizeof(n->items[0]));
	if (n == NULL)
		return -ENOMEM;
	n->directory = inode;
	n->parent = parent_of(t, ti)->inode.number;
	int err = ti->kind == TREE_ROOT       ? list_root(t, n)
		: ti->kind == TREE_SOURCE   ? list_source(t, ti->source, n)
		: ti->kind == TREE_SNAPSHOT ? list_snapshot(ti->entry, n)
					    : -ENOTDIR;
	if (err != 0) {
		tree_names_free(n);
		return err;
	}
	*out = n;
	return 0;
}

/* --- holding on --- */

int tree_hold(struct tree *t, uint64_t inode, struct tree_held *out)
{
	LOCK_SCOPE(&t->mutex);
	struct tree_inode *ti = find_inode(t, inode);
	if (ti == NULL)
		return -ESTALE;
	if (ti->kind < TREE_SNAPSHOT)
		return -EISDIR;
	*out = (struct tree_held){ .kind = ti->kind, .entry = ti->entry,
		.snapshot = ti->entry->record };
	if (ti->kind == TREE_FILE || ti->kind == TREE_QCOW2) {
		out->file = &ti->entry->record->files[ti->file];
		out->name = out->file->name;
	}
	if (ti->kind == TREE_QCOW2)
		out->name = ti->entry->views[ti - entry_view(ti->entry, 0)]
					    .name;
	ti->entry->refs++;
	return 0;
}

void tree_release(struct tree *t, struct tree_held *h)
{
	release_entry(t, h->entry);
	h->entry = NULL;
}

int tree_check(struct tree *t, const struct tree_held *h)
{
	return check_mark(t, h->entry);
}
