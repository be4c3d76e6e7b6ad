/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Queries of the tree. Each takes the mutex briefly and copies the answer out;
 * reading a record happens outside of it, with the entry held.
 */
#include "tree_internal.h"

#include <string.h>
#include <time.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/image/qcow2.h"
#include "repo/snapshot/high_water.h"
#include "repo/snapshot/snapshot_list.h"

#define READ_BITS 0444u
#define RECORD_BITS 0400u /* it tells paths and names of the host */
#define NS_PER_SECOND INT64_C(1000000000)

int tree_new(struct tree **out, struct repository *repo, const char *only,
		enum tree_views views)
{
	struct timespec now;
	struct tree *tree = calloc(1, sizeof(*tree));
	if (tree == NULL || inodes_reserve(&tree->inodes, 1) != 0) {
		free(tree);
		return fail_no_memory("making the tree of names");
	}
	clock_gettime(CLOCK_REALTIME, &now);
	tree->repo = repo;
	tree->only = only;
	tree->views = views;
	pthread_mutex_init(&tree->mutex, NULL);
	pthread_mutex_init(&tree->load_mutex, NULL);
	tree->started_ns = now.tv_sec * NS_PER_SECOND;
	tree->root.kind = TREE_ROOT;
	inodes_add_numbered(&tree->inodes, &tree->root.inode, INODE_ROOT);
	*out = tree;
	return 0;
}

void tree_free(struct tree *tree)
{
	if (tree == NULL)
		return;
	not_shared(&tree->mutex);
	tree_refresh_clear_listing(tree, &tree->names);
	inodes_clear(&tree->inodes);
	pthread_mutex_destroy(&tree->mutex);
	pthread_mutex_destroy(&tree->load_mutex);
	free(tree);
}

/* --- attributes --- */

static int64_t entry_time_ns(const struct tree_entry *entry)
{
	return entry->time * NS_PER_SECOND;
}

/* That of the newest snapshot. A source whose last snapshot just went may
 * still be asked about: it has the root's first time then. */
static int64_t source_time_ns(const struct tree *tree,
		const struct tree_source *source) REQUIRES(tree->mutex)
{
	size_t last = source->first + source->count;
	if (source->count == 0)
		return tree->started_ns;
	return entry_time_ns(tree->names.entries[last - 1]);
}

static int64_t root_time_ns(const struct tree *tree) REQUIRES(tree->mutex)
{
	int64_t newest = tree->names.source_count == 0 ? tree->started_ns : 0;
	for (size_t i = 0; i < tree->names.source_count; i++) {
		int64_t ns = source_time_ns(tree, tree->names.sources[i]);
		if (ns > newest)
			newest = ns;
	}
	return newest;
}

static void directory_attr(struct tree_attr *out, uint64_t directories,
		int64_t ns)
{
	out->mode = 0555;
	out->links = directories < UINT32_MAX - 2 ? (uint32_t)directories + 2
						  : 1;
	out->time_ns = ns;
}

static const struct snapshot_file *file_of(const struct tree_inode *inode)
{
	const struct snapshot *record = inode->entry->record;
	return &record->files[inode->file];
}

static void file_attr(struct tree_attr *out, const struct snapshot_file *file)
{
	out->mode = file->mode & READ_BITS;
	out->time_ns = file->mtime_ns;
	if (out->kind == TREE_QCOW2) {
		qcow2_measure(file->size, &file->root, &out->size,
				&out->data_bytes);
		return;
	}
	out->size = file->size;
	out->data_bytes = file->root.data_bytes;
}

static void fill_attr(const struct tree *tree, const struct tree_inode *inode,
		struct tree_attr *out) REQUIRES(tree->mutex)
{
	*out = (struct tree_attr){ .kind = inode->kind,
		.links = 1,
		.inode = inode->inode.number };
	switch (inode->kind) {
	case TREE_ROOT:
		directory_attr(out, tree->names.source_count,
				root_time_ns(tree));
		break;
	case TREE_SOURCE:
		directory_attr(out, inode->source->count,
				source_time_ns(tree, inode->source));
		break;
	case TREE_LATEST:
		out->mode = 0777;
		out->size = UTC_TEXT_MAX - 1;
		out->time_ns = source_time_ns(tree, inode->source);
		break;
	case TREE_SNAPSHOT:
		directory_attr(out, 0, entry_time_ns(inode->entry));
		break;
	case TREE_FILE:
	case TREE_QCOW2:
		file_attr(out, file_of(inode));
		break;
	case TREE_RECORD:
		out->mode = RECORD_BITS;
		out->size = out->data_bytes = inode->entry->record_size;
		out->time_ns = entry_time_ns(inode->entry);
		break;
	}
}

static struct tree_inode *find_inode(const struct tree *tree, uint64_t inode)
{
	return (struct tree_inode *)inodes_find(&tree->inodes, inode);
}

int tree_attr(struct tree *tree, uint64_t inode, struct tree_attr *out)
{
	LOCK_SCOPE(&tree->mutex);
	struct tree_inode *ti = find_inode(tree, inode);
	if (ti == NULL)
		return -ESTALE;
	fill_attr(tree, ti, out);
	return 0;
}

/* --- looking up --- */

static struct tree_source *find_component(const struct tree *tree,
		const char *name) REQUIRES(tree->mutex)
{
	size_t low = 0, high = tree->names.source_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct tree_source *source = tree->names.sources[middle];
		int c = strcmp(name, source->component);
		if (c == 0)
			return source;
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* By its escaped name, or by the one that is shown. */
static struct tree_source *root_find(const struct tree *tree, const char *name)
		REQUIRES(tree->mutex)
{
	struct tree_source *source = find_component(tree, name);
	if (source != NULL)
		return source;
	CLEANUP_FREE char *escaped = name_escape(name, strlen(name));
	char shown[SOURCE_SHOWN_MAX];
	source = escaped != NULL ? find_component(tree, escaped) : NULL;
	return source != NULL
					&& strcmp(tree_entry_source_shown(shown,
								  source),
							   name)
							== 0
			? source
			: NULL;
}

/* The place in the listing, or -1. */
static ssize_t source_find(const struct tree *tree,
		const struct tree_source *source, const char *name)
		REQUIRES(tree->mutex)
{
	size_t low = source->first, high = source->first + source->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int c = strcmp(name, tree->names.entries[middle]->time_text);
		if (c == 0)
			return (ssize_t)middle;
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return -1;
}

/* What NAME in the directory INODE is, if that is known without reading a record:
 * 0 and *OUT; 1 and *OUT NULL: a snapshot (by its name). */
static int find_child(const struct tree *tree, struct tree_inode *inode,
		const char *name, struct tree_inode **out) REQUIRES(tree->mutex)
{
	struct tree_source *source;
	int64_t file;
	*out = NULL;
	switch (inode->kind) {
	case TREE_ROOT:
		source = root_find(tree, name);
		*out = source == NULL ? NULL : &source->directory;
		break;
	case TREE_SOURCE:
		if (strcmp(name, "latest") != 0)
			return 1;
		*out = inode->source->count == 0 ? NULL
						 : &inode->source->latest;
		break;
	case TREE_SNAPSHOT:
		file = tree_entry_find_file(inode->entry, name);
		if (file >= 0)
			*out = &inode->entry->inodes[file];
		else if (strcmp(name, SNAPSHOT_JSON_NAME) == 0)
			*out = entry_record(inode->entry);
		break;
	default:
		return -ENOTDIR;
	}
	return *out == NULL ? -ENOENT : 0;
}

static struct tree_inode *parent_of(struct tree *tree, struct tree_inode *inode)
{
	struct tree_source *source;
	switch (inode->kind) {
	case TREE_ROOT:
	case TREE_SOURCE:
		return &tree->root;
	case TREE_LATEST:
		return &inode->source->directory;
	case TREE_SNAPSHOT:
		source = inode->entry->source;
		return &source->directory;
	default:
		return entry_directory(inode->entry);
	}
}

/* Holds the snapshot NAME of the source with inode PARENT. */
static int hold_named(struct tree *tree, uint64_t parent, const char *name,
		struct tree_entry **out)
{
	LOCK_SCOPE(&tree->mutex);
	struct tree_inode *inode = find_inode(tree, parent);
	if (inode == NULL || inode->kind != TREE_SOURCE)
		return -ESTALE;
	ssize_t place = source_find(tree, inode->source, name);
	if (place < 0)
		return -ENOENT;
	*out = tree->names.entries[place];
	(*out)->refs++;
	return 0;
}

static void release_entry(struct tree *tree, struct tree_entry *entry)
{
	LOCK_SCOPE(&tree->mutex);
	tree_entry_put(tree, entry);
}

/* 0, or -ESTALE if the object has gone or is another one. */
static int check_mark(struct tree *tree, const struct tree_entry *entry)
{
	struct tree_mark now;
	int err = tree_entry_read_mark(tree, entry->object, &now);
	if (err == -ENOENT)
		return -ESTALE;
	if (err != 0)
		return err;
	return memcmp(&now, &entry->mark, sizeof(now)) == 0 ? 0 : -ESTALE;
}

/* Puts a new entry in the place of OLD, whose object was replaced. */
static int replace(struct tree *tree, struct tree_entry *old)
{
	LOCK_SCOPE(&tree->mutex);
	ssize_t place = source_find(tree, old->source, old->time_text);
	if (place < 0 || tree->names.entries[place] != old)
		return 0;
	struct tree_entry *entry =
			tree_entry_new(old->source, old->time_text, old->time);
	if (entry == NULL)
		return fail_errno(-ENOMEM, "reading %s", old->object);
	tree->names.entries[place] = entry;
	tree_entry_put(tree, old);
	return 0;
}

static bool known_before(struct tree *tree, const struct tree_entry *entry)
{
	LOCK_SCOPE(&tree->mutex);
	return entry->record != NULL;
}

/* Holds the snapshot as the repository has it now, with its record read. */
static int hold_current(struct tree *tree, uint64_t parent, const char *name,
		struct tree_entry **out)
{
	struct tree_entry *entry = NULL;
	int err = hold_named(tree, parent, name, &entry);
	if (err != 0)
		return err;
	if (known_before(tree, entry) && check_mark(tree, entry) == -ESTALE) {
		err = replace(tree, entry);
		release_entry(tree, entry);
		if (err == 0)
			err = hold_named(tree, parent, name, &entry);
		if (err != 0)
			return err;
	}
	err = tree_entry_load(tree, entry);
	if (err != 0) {
		release_entry(tree, entry);
		return err;
	}
	*out = entry;
	return 0;
}

static int lookup_snapshot(struct tree *tree, uint64_t parent, const char *name,
		struct tree_attr *out)
{
	struct tree_entry *entry = NULL;
	int err = hold_current(tree, parent, name, &entry);
	if (err != 0)
		return err;
	LOCK_SCOPE(&tree->mutex);
	fill_attr(tree, entry_directory(entry), out);
	tree_entry_put(tree, entry);
	return 0;
}

static int lookup_known(struct tree *tree, uint64_t parent, const char *name,
		struct tree_attr *out)
{
	LOCK_SCOPE(&tree->mutex);
	struct tree_inode *inode = find_inode(tree, parent), *child = NULL;
	if (inode == NULL)
		return -ESTALE;
	int err = 0;
	if (strcmp(name, ".") == 0)
		child = inode;
	else if (strcmp(name, "..") == 0)
		child = parent_of(tree, inode);
	else
		err = find_child(tree, inode, name, &child);
	if (err != 0)
		return err;
	fill_attr(tree, child, out);
	return 0;
}

int tree_lookup(struct tree *tree, uint64_t parent, const char *name,
		struct tree_attr *out)
{
	int err = lookup_known(tree, parent, name, out);
	return err == 1 ? lookup_snapshot(tree, parent, name, out) : err;
}

/* --- latest --- */

/* Holds the snapshot that BACK others follow in the source whose "latest" has
 * INODE. -ENOENT: so many are not there. */
static int hold_from_end(struct tree *tree, uint64_t inode, size_t back,
		struct tree_entry **out)
{
	LOCK_SCOPE(&tree->mutex);
	struct tree_inode *ti = find_inode(tree, inode);
	if (ti == NULL)
		return -ESTALE;
	if (ti->kind != TREE_LATEST)
		return -EINVAL;
	const struct tree_source *source = ti->source;
	if (back >= source->count)
		return -ENOENT;
	*out = tree->names.entries[source->first + source->count - 1 - back];
	(*out)->refs++;
	return 0;
}

struct latest {
	struct tree_entry *best; /* held; NULL: none was read */
	uint64_t seen, highest;	 /* as snapshot_list_is_latest */
};

/* Takes over ENTRY, whose record is read. */
static void consider(struct tree *tree, struct latest *latest,
		struct tree_entry *entry)
{
	const struct snapshot *snap = entry->record;
	struct tree_entry *worse = entry;
	latest->highest = max_u64(latest->highest, snap->sequence);
	if (latest->best == NULL) {
		latest->seen = high_water_get(tree->repo, snap->source);
		latest->best = entry;
		return;
	}
	if (snapshot_list_is_later(snap, latest->best->record)) {
		worse = latest->best;
		latest->best = entry;
	}
	release_entry(tree, worse);
}

/* As snapshot_list_newest_complete; what can't be read does not count, unless
 * there is nothing else. */
int tree_read_link(struct tree *tree, uint64_t inode, char out[UTC_TEXT_MAX])
{
	struct latest latest = { .best = NULL };
	int err = 0;
	out[0] = '\0';
	for (size_t back = 0; err == 0; back++) {
		struct tree_entry *entry = NULL;
		err = hold_from_end(tree, inode, back, &entry);
		if (err != 0)
			break;
		if (out[0] == '\0')
			memcpy(out, entry->time_text, UTC_TEXT_MAX);
		if (tree_entry_load(tree, entry) == 0)
			consider(tree, &latest, entry);
		else
			release_entry(tree, entry);
		if (latest.best != NULL
				&& snapshot_list_is_latest(latest.best->record,
						latest.highest, latest.seen))
			break;
	}
	if (latest.best != NULL) {
		memcpy(out, latest.best->time_text, UTC_TEXT_MAX);
		release_entry(tree, latest.best);
	}
	return err == -ENOENT && out[0] != '\0' ? 0 : err;
}

/* --- listing a directory --- */

void tree_names_free(struct tree_names *names)
{
	if (names == NULL)
		return;
	for (size_t i = 0; i < names->count; i++)
		free(names->items[i].name);
	free(names);
}

static int names_add(struct tree_names *names, const char *name,
		enum tree_kind kind, uint64_t inode)
{
	char *copy = strdup(name);
	if (copy == NULL)
		return -ENOMEM;
	names->items[names->count++] = (struct tree_name){ copy, kind, inode };
	return 0;
}

static int list_root(const struct tree *tree, struct tree_names *names)
		REQUIRES(tree->mutex)
{
	char shown[SOURCE_SHOWN_MAX];
	int err = 0;
	for (size_t i = 0; err == 0 && i < tree->names.source_count; i++) {
		const struct tree_source *source = tree->names.sources[i];
		err = names_add(names, tree_entry_source_shown(shown, source),
				TREE_SOURCE, source->directory.inode.number);
	}
	return err;
}

static int list_source(const struct tree *tree,
		const struct tree_source *source, struct tree_names *names)
		REQUIRES(tree->mutex)
{
	int err = 0;
	for (size_t i = 0; err == 0 && i < source->count; i++) {
		const struct tree_entry *entry =
				tree->names.entries[source->first + i];
		uint64_t inode = 0;
		if (entry->record != NULL)
			inode = entry_directory(entry)->inode.number;
		err = names_add(names, entry->time_text, TREE_SNAPSHOT, inode);
	}
	if (err != 0)
		return err;
	if (source->count > 0)
		err = names_add(names, "latest", TREE_LATEST,
				source->latest.inode.number);
	return err;
}

static int list_snapshot(const struct tree_entry *entry,
		struct tree_names *names)
{
	int err = 0;
	for (uint32_t i = 0; err == 0 && i < entry->name_count; i++) {
		const struct tree_named *named = &entry->by_name[i];
		const struct tree_inode *inode = &entry->inodes[named->place];
		err = names_add(names, named->name, inode->kind,
				inode->inode.number);
	}
	if (err != 0)
		return err;
	return names_add(names, SNAPSHOT_JSON_NAME, TREE_RECORD,
			entry_record(entry)->inode.number);
}

static size_t names_most(const struct tree *tree,
		const struct tree_inode *inode) REQUIRES(tree->mutex)
{
	switch (inode->kind) {
	case TREE_ROOT:
		return tree->names.source_count;
	case TREE_SOURCE:
		return inode->source->count + 1;
	case TREE_SNAPSHOT:
		return (size_t)inode->entry->name_count + 1;
	default:
		return 0;
	}
}

int tree_list(struct tree *tree, uint64_t inode, struct tree_names **out)
{
	LOCK_SCOPE(&tree->mutex);
	struct tree_inode *ti = find_inode(tree, inode);
	if (ti == NULL)
		return -ESTALE;
	struct tree_names *names = calloc(1,
			sizeof(*names)
					+ names_most(tree, ti)
							* sizeof(names->items[0]));
	if (names == NULL)
		return -ENOMEM;
	names->directory = inode;
	names->parent = parent_of(tree, ti)->inode.number;
	int err = ti->kind == TREE_ROOT ? list_root(tree, names)
			: ti->kind == TREE_SOURCE
			? list_source(tree, ti->source, names)
			: ti->kind == TREE_SNAPSHOT
			? list_snapshot(ti->entry, names)
			: -ENOTDIR;
	if (err != 0) {
		tree_names_free(names);
		return err;
	}
	*out = names;
	return 0;
}

/* --- holding on --- */

int tree_hold(struct tree *tree, uint64_t inode, struct tree_held *out)
{
	LOCK_SCOPE(&tree->mutex);
	struct tree_inode *ti = find_inode(tree, inode);
	if (ti == NULL)
		return -ESTALE;
	if (ti->kind < TREE_SNAPSHOT)
		return -EISDIR;
	*out = (struct tree_held){ .kind = ti->kind,
		.entry = ti->entry,
		.snapshot = ti->entry->record };
	if (ti->kind == TREE_FILE || ti->kind == TREE_QCOW2) {
		out->file = file_of(ti);
		out->name = out->file->name;
	}
	if (ti->kind == TREE_QCOW2)
		out->name = ti->entry->views[ti - entry_view(ti->entry, 0)]
					    .name;
	ti->entry->refs++;
	return 0;
}

void tree_release(struct tree *tree, struct tree_held *held)
{
	release_entry(tree, held->entry);
	held->entry = NULL;
}

int tree_check(struct tree *tree, const struct tree_held *held)
{
	return check_mark(tree, held->entry);
}
