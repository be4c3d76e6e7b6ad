/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where chunks may be: id prefix → packs, in LMDB. A derived cache and only a
 * hint: the caller must check every answer against the pack's trailer, and any
 * damage to it only costs time.
 *
 * - It is in a directory that nobody but its user can change: never in the
 *   repository. Copies of one repository share it, which costs time alone.
 * - LMDB, which a forged page can make write anywhere, runs in a process
 *   without keys (helper.h), with a time limit. If that dies of what it read,
 *   the index is removed and rebuilt.
 * - The environment records repository id, machine id, device and inode of its
 *   own data file; a mismatch (copied, restored, foreign) means a new one.
 * - Its size is checked against the last used page before anything is read.
 * - What writes does so under a lock of ours (flock, with a timeout), so that
 *   no stopped process stops a backup.
 *
 * Threading: index_candidates may run in many threads at once; the rest is
 * serialised inside. The loader must not call the index.
 */
#ifndef AMBERFS_INDEX_INDEX_H
#define AMBERFS_INDEX_INDEX_H

#include "repo/format/pack.h"
#include "repo/store/store.h"

struct index;

struct index_pack {
	struct pack_id pack;
	enum pack_kind kind;
	uint32_t count;
	uint64_t *prefixes; /* id_prefix of each chunk, any order */
};

/* Reads a pack's trailer for the index: fills OUT (prefixes malloc'ed, owned
 * by the index after). 0; -ENOENT: gone meanwhile; -EBADMSG, -EIO: unreadable,
 * leave it out; else the reconciliation fails with it. */
typedef int index_load_fn(void *ctx, const struct pack_id *pack,
		struct index_pack *out);

/*
 * Opens the index of the repository STORE. DIR: directory to use, made if it
 * alone is missing; or NULL for $XDG_CACHE_HOME/amberfs/<repo id>, else
 * ~/.cache/amberfs/<repo id> (for root /var/cache/amberfs/<repo id>), else a
 * temporary one, of which a warning tells. A DIR on a network filesystem
 * (-EOPNOTSUPP), or that another user could change (-EPERM), is refused. An
 * index in the repository itself, of former versions, is removed if possible.
 * Does not read the packs: see
 * index_reconcile. A lock held by others or a full disk is no error: look-ups
 * find nothing until there is an index.
 *
 * Must be called after the last fork of a daemon.
 */
int index_open(struct index **out, struct store *store, const uint8_t *repo_id,
		const char *dir, index_load_fn *load, void *load_ctx);
void index_close(struct index *index); /* NULL allowed */
const char *index_dir(const struct index *index);

/* Where index_open would have it (to free), of two choices the first; nothing is
 * made. *NETWORK: the name of the network filesystem that is on, or NULL. 0; -ENOENT:
 * there is no home directory; -ENOMEM. */
int index_look(char **path, const char **network, const uint8_t *repo_id,
		const char *dir);

/* Packs that may hold a chunk with this prefix, at most MAX, newest first.
 * Returns their number; 0 also when the index can't be read. With FOR_WRITER
 * the filter in front of the index is trusted when it says there is none (a
 * wrong answer costs a duplicate). */
int index_candidates(struct index *index, uint64_t prefix, bool for_writer,
		struct pack_id *packs, int max);

/* Adds packs (durable ones, each at most once) in a few large transactions.
 * Returns 0; -EAGAIN: another process holds the lock; or -errno (a full disk).
 * Nothing is lost then: a later reconcile finds them. */
int index_merge_packs(struct index *index, const struct index_pack *packs,
		size_t count);

/* Adds packs that appeared and drops those that are gone, for shards whose
 * state changed. What can't be merged now (locked, disk full) is kept in memory
 * and found there, up to a million chunks. 0; -errno of the store or loader;
 * -EAGAIN or -errno if it can't be merged and is too much for memory. */
int index_reconcile(struct index *index);

/* Forgets everything and reads every trailer. 0; -EAGAIN: another process
 * holds the lock, the index is as before; else as index_reconcile. */
int index_rebuild(struct index *index);

struct index_stats {
	uint64_t chunks, packs, file_bytes;
	uint64_t unreadable_packs; /* left out at the last reconcile */
};
int index_stats(struct index *index, struct index_stats *out);
/* Packs left out at the last reconcile. */
uint64_t index_unreadable(const struct index *index);

#endif
