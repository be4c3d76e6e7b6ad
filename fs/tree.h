/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The names of a mount and what they stand for:
 *
 *	/			sources
 *	/SOURCE/		its snapshots, and "latest"
 *	/SOURCE/TIME/		the snapshot's files, and "snapshot.json"; beside
 *				a disk "vda.raw" the same as "vda.qcow2", unless
 *				a stored file has that name (enum tree_views)
 *
 * Making a tree and refreshing it cost one listing of the snapshots' names; a
 * snapshot's record is read when somebody first looks at it, and then kept.
 * Knows nothing of FUSE.
 *
 * Errors: -ENOENT no such name; -ESTALE no such inode (any more); -ENOTDIR;
 * -EBADMSG the snapshot's record is damaged (with a text); -ENOMEM; -EIO.
 * Threading: all calls may run at once, but tree_refresh only in one thread.
 */
#ifndef AMBERFS_FS_TREE_H
#define AMBERFS_FS_TREE_H

#include "inodes.h"
#include "repo/repository/repository.h"

struct tree;

enum tree_kind {
	TREE_ROOT,
	TREE_SOURCE,
	TREE_LATEST, /* the symbolic link */
	TREE_SNAPSHOT,
	TREE_FILE,
	TREE_QCOW2,  /* a file shown as qcow2 */
	TREE_RECORD, /* snapshot.json */
};

struct tree_attr {
	enum tree_kind kind;
	uint64_t inode;
	uint64_t size;	     /* bytes */
	uint64_t data_bytes; /* the size without holes */
	uint32_t mode;	     /* permission bits, none of them for writing */
	uint32_t links;
	int64_t time_ns;
};

/* As what a disk is shown. */
enum tree_views {
	TREE_VIEWS_BOTH,
	TREE_VIEWS_RAW,
	TREE_VIEWS_QCOW2, /* raw only where there can't be a qcow2 */
};

/* ONLY: the one snapshot, "source/time", that there is; NULL: all. Borrowed. */
int tree_new(struct tree **out, struct repository *repo, const char *only,
		enum tree_views views);
void tree_free(struct tree *tree); /* NULL allowed */

/* Finds out which snapshots exist now. Calls FN, with no lock held, for each
 * NAME that was added to or removed from the directory PARENT. */
typedef void tree_change_fn(void *ctx, uint64_t parent, const char *name);
int tree_refresh(struct tree *tree, tree_change_fn *fn, void *ctx);

int tree_attr(struct tree *tree, uint64_t inode, struct tree_attr *out);
/* "." and ".." are known too. */
int tree_lookup(struct tree *tree, uint64_t parent, const char *name,
		struct tree_attr *out);
int tree_read_link(struct tree *tree, uint64_t inode, char out[UTC_TEXT_MAX]);

/* A directory's names at one moment, without "." and "..". */
struct tree_name {
	char *name;
	enum tree_kind kind;
	uint64_t inode; /* 0: a snapshot not accessed yet */
};
struct tree_names {
	uint64_t directory, parent; /* inodes */
	size_t count;
	struct tree_name items[];
};
int tree_list(struct tree *tree, uint64_t inode, struct tree_names **out);
void tree_names_free(struct tree_names *names); /* NULL allowed */

/* Holds on to a snapshot, or a file of one: what the pointers lead to stays,
 * and the inode stays known, until tree_release, even when the snapshot is
 * forgotten. -EISDIR for what is above snapshots. */
struct tree_held {
	enum tree_kind kind; /* TREE_SNAPSHOT or one below */
	const struct snapshot *snapshot;
	const struct snapshot_file
			*file; /* of TREE_FILE, TREE_QCOW2, or NULL */
	const char *name;      /* of the same, in the snapshot's directory */
	struct tree_entry *entry;
};
int tree_hold(struct tree *tree, uint64_t inode, struct tree_held *out);
void tree_release(struct tree *tree, struct tree_held *held);

/* 0 if the repository still has this very snapshot; else -ESTALE. */
int tree_check(struct tree *tree, const struct tree_held *held);

/* The text of snapshot.json, to be freed, and its length. */
int tree_entry_record_text(struct tree *tree, const struct tree_held *held,
		char **text, size_t *len);

#endif
