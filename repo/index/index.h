/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where chunks may be: id prefix → packs, in LMDB. A derived cache and only a
 * hint: the caller must check every answer against the pack's trailer, and any
 * damage to it only costs time. lmdb.h is included by index_env.c and
 * index_write.c alone.
 *
 * - The environment records repository id, machine id, device and inode of its
 *   own data file; a mismatch (copied, restored, foreign) means a new one.
 * - Its size is checked against the last used page before anything is read.
 * - Everything that writes runs in a forked child process with a time limit
 *   and under a lock of ours (flock, with a timeout): neither a stopped
 *   process nor a damaged B-tree stops or kills a backup. If the child dies
 *   the index is removed and rebuilt.
 * - Readers hold no transaction between calls, grow their map when another
 *   process grew it, and survive a read beyond the file (SIGBUS/SIGSEGV
 *   within a look-up is caught: the index is given up until the next merge or
 *   reconciliation, which makes a new one).
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
 * Opens the index of the repository STORE. DIR: directory to use, or NULL for the
 * default: REPO/index if the repository is this user's own, writable and on a
 * local filesystem, else $XDG_CACHE_HOME/amberfs/<repo id> or
 * ~/.cache/amberfs/<repo id> (for root /var/cache/amberfs/<repo id>). It is
 * made if missing. A directory on a network filesystem (-EOPNOTSUPP) or of
 * another user (-EPERM) is refused. Does not read the packs: see
 * index_reconcile. A lock held by others or a full disk is no error: look-ups
 * find nothing until there is an index.
 *
 * Must be called after the last fork of a daemon. Never open one directory twice
 * in a process: closing either takes LMDB's locks from the other.
 */
int index_open(struct index **out, struct store *store, const uint8_t *repo_id,
		const char *dir, index_load_fn *load, void *load_ctx);
void index_close(struct index *index); /* NULL allowed */
const char *index_dir(const struct index *index);

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
