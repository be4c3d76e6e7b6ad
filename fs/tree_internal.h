/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What tree.c, tree_refresh.c and tree_entry.c share. */
#ifndef AMBERFS_FS_TREE_INTERNAL_H
#define AMBERFS_FS_TREE_INTERNAL_H

#include <pthread.h>

#include "repo/base/thread_safety.h"
#include "repo/format/name.h"
#include "tree.h"

/* An inode of the tree; the first member makes the two pointers one. */
struct tree_inode {
	struct inode inode;
	enum tree_kind kind;
	uint32_t file; /* TREE_FILE, TREE_QCOW2: place in the record */
	union {
		struct tree_source *source; /* TREE_SOURCE, TREE_LATEST */
		struct tree_entry *entry;   /* the rest */
	};
};

struct tree_source {
	unsigned refs; /* protected by tree->mutex */
	char *component;
	struct tree_inode directory, latest;
	/* Its snapshots in tree->names.entries; protected by tree->mutex. */
	size_t first, count;
};

/* Distinguishes an object from another one that replaced it under the same
 * name: its size, its beginning (with the nonce) and its end (with the tag). */
struct tree_mark {
	uint64_t size;
	uint8_t bytes[64];
};

/* A file's name, or a view's, which is its own. */
struct tree_named {
	const char *name;
	uint32_t place; /* in the entry's inodes */
};
struct tree_view {
	char name[QCOW2_NAME_MAX + 1];
	uint32_t file;
};

/* A snapshot. */
struct tree_entry {
	unsigned refs; /* protected by tree->mutex */
	struct tree_source *source;
	int64_t time;
	char time_text[UTC_TEXT_MAX];
	char object[OBJECT_NAME_MAX];
	/* Set once, under load_mutex and mutex; NULL until looked at. */
	struct snapshot *record;
	/* The rest is valid and constant once record is set. */
	struct tree_mark mark;
	size_t record_size;
	/* Files, then directory, then record, then views. */
	struct tree_inode *inodes;
	struct tree_view *views;
	uint32_t view_count;
	struct tree_named *by_name; /* files and views that are shown, sorted */
	uint32_t name_count;
};

struct tree_listing {
	struct tree_entry **entries; /* by source, then time */
	size_t entry_count;
	struct tree_source **sources; /* by component */
	size_t source_count;
};

/* Locks are taken in this order. */
struct tree {
	struct repository *repo;
	const char *only; /* shown, "source/time"; NULL: all */
	enum tree_views views;
	pthread_mutex_t load_mutex; /* one record is read at a time */
	pthread_mutex_t mutex;
	struct inodes inodes GUARDED_BY(mutex);
	struct tree_listing names GUARDED_BY(mutex);
	struct tree_inode root GUARDED_BY(mutex);
	/* The root's time while it is empty */
	int64_t started_ns GUARDED_BY(mutex);
};

static inline struct tree_inode *entry_directory(const struct tree_entry *entry)
{
	return &entry->inodes[entry->record->file_count];
}

static inline struct tree_inode *entry_record(const struct tree_entry *entry)
{
	return &entry->inodes[entry->record->file_count + 1];
}

static inline struct tree_inode *entry_view(const struct tree_entry *entry,
		uint32_t view)
{
	return &entry->inodes[entry->record->file_count + 2 + view];
}

/* --- tree_entry.c --- */

/* The name of SOURCE's directory: as commands show it, in UTF-8, if of ASCII it has
 * only what an escaped name has, and spaces inside, so that no shell minds it. No two
 * sources have the same, as what could be another's escaped name, with a '%', stays
 * escaped. Returns OUT. */
#define SOURCE_SHOWN_MAX (NAME_COMPONENT_MAX + 1)
char *tree_entry_source_shown(char out[SOURCE_SHOWN_MAX],
		const struct tree_source *source);

/* The source of that name, or a new one; counted. NULL without memory. Both
 * are called with mutex; NULL allowed to put. */
struct tree_source *tree_entry_get_source(struct tree *tree,
		const char *component) REQUIRES(tree->mutex);
void tree_entry_put_source(struct tree *tree, struct tree_source *source)
		REQUIRES(tree->mutex);

/* A new one with one reference; NULL without memory. Called with the
 * tree's mutex. */
struct tree_entry *tree_entry_new(struct tree_source *source,
		const char *time_text, int64_t time);
/* NULL allowed. */
void tree_entry_put(struct tree *tree, struct tree_entry *entry)
		REQUIRES(tree->mutex);

/* Reads the record if that was not done yet. The caller has a reference and
 * no lock. 0, -ENOENT, -EBADMSG, … */
int tree_entry_load(struct tree *tree, struct tree_entry *entry);

/* The object as it is now. 0, -ENOENT, -EIO … */
int tree_entry_read_mark(struct tree *tree, const char *object,
		struct tree_mark *out);

/* Place of the file or view in the inodes, or -1. */
int64_t tree_entry_find_file(const struct tree_entry *entry, const char *name);

/* --- tree_refresh.c --- */

/* Drops all names. */
void tree_refresh_clear_listing(struct tree *tree, struct tree_listing *listing)
		REQUIRES(tree->mutex);

#endif
