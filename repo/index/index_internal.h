/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of the index share; nobody else includes this.
 *
 *	index.c		opening and look-ups
 *	index_merge.c	bringing packs in
 *	index_reconcile.c	what appeared and what went
 *	index_rebuild.c	all of it anew
 *	index_run.c	packs and their chunks in memory, sorted for a merge
 *	index_env.c	asking the process that reads LMDB's environment
 *	index_write.c	handing what is to be written to one that writes it
 *	index_child.c	starting these (amberfs-index), within limits
 *	index_layout.c	records, keys, and the check of a data file
 *	index_filter.c	the filter in front
 *	index_guard.c	surviving a fault in the filter's map
 *	index_place.c	which directory, its lock, whose machine
 *	index_trust.c	opening a directory that is ours alone
 *	index_temporary.c	a directory for one process
 *	index_former.c	what former versions left in the repository
 *
 * amberfs-index has index_layout.c, index_filter.c, and helper*.c;
 * index_wire.h is what is said between the two. lmdb.h is included by
 * helper_read.c and helper_write.c alone.
 */
#ifndef AMBERFS_INDEX_INDEX_INTERNAL_H
#define AMBERFS_INDEX_INDEX_INTERNAL_H

#include <pthread.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "index.h"
#include "repo/base/bytes.h"
#include "repo/base/thread_safety.h"

/* Limits; changed only by tests. */
struct index_tuning {
	unsigned lock_ms;	 /* how long to wait for the writers' lock */
	unsigned silence_ms;	 /* how long a silent child may live */
	unsigned cpu_seconds;	 /* processor time a child may always use */
	uint64_t map_size;	 /* of a new environment */
	uint32_t run_entries;	 /* most entries of one merge */
	uint32_t txn_entries;	 /* most entries of one transaction */
	uint32_t memory_entries; /* most entries kept when merging fails */
};
extern struct index_tuning index_tuning;

/* Milliseconds of a clock that never goes back. */
uint64_t index_child_clock_ms(void);

/* --- index_run.c: packs and their chunks, in memory --- */

struct run_pack {
	struct pack_id id;
	uint8_t kind;
	bool gone; /* deleted since: as if it were not here */
};

struct run_entry {
	uint64_t key;  /* index_key of the prefix */
	uint32_t pack; /* position in the run's packs */
};

struct index_run {
	struct index_run *next;
	struct run_pack *packs;
	uint32_t pack_count, pack_room;
	struct run_entry *entries; /* by key, then latest pack first */
	uint32_t entry_count, entry_room;
};

/* The prefix as a number that sorts as the id's bytes do. */
static inline uint64_t index_key(uint64_t prefix)
{
	return be64toh(prefix);
}

struct index_run *index_run_new(void);
void index_run_free(struct index_run *run); /* NULL allowed; this one only */
/* 0 or -ENOMEM, the run then as before. */
int index_run_add(struct index_run *run, const struct index_pack *pack);
/* To be called once all is added. */
void index_run_sort(struct index_run *run);
/* Appends packs that hold KEY to PACKS (COUNT there, room for MAX) unless they
 * are there. Returns the new count. */
int index_run_find(const struct index_run *run, uint64_t key,
		struct pack_id *packs, int count, int max);
/* Appends ID unless it is there or all MAX are taken; the new count. */
int index_run_join_packs(struct pack_id *packs, int count, int max,
		const struct pack_id *id);

/* --- index_layout.c: records --- */

#define INDEX_VERSION 1
#define INDEX_NONCE_SIZE 16
#define INDEX_MACHINE_SIZE 16
#define INDEX_RECORD_SIZE 68
#define INDEX_COPIES_MAX 16 /* pack numbers kept for one prefix */
#define INDEX_PACK_SIZE 20  /* value in "packs" */
#define INDEX_DATA_FILE "data.mdb"
#define INDEX_LOCK_FILE "lock.mdb"
#define INDEX_FILTER_FILE "filter"
#define INDEX_WRITERS_LOCK_FILE "lock"

enum index_db { DB_CHUNKS, DB_PACKS, DB_NAMES, DB_SHARDS, DB_META, INDEX_DBS };
extern const char *const index_db_names[INDEX_DBS];

#define INDEX_KEY_RECORD "index" /* in "meta" */
#define INDEX_KEY_NEXT "next"
#define INDEX_KEY_GENERATION "generation"

/* Whom an index belongs to. */
struct index_identity {
	uint8_t repo[REPO_ID_SIZE];
	uint8_t machine[INDEX_MACHINE_SIZE];
};

struct index_record {
	struct index_identity identity;
	uint64_t device, inode;		 /* of the data file */
	uint8_t nonce[INDEX_NONCE_SIZE]; /* differs for each index ever made */
};

void index_layout_encode_record(uint8_t out[INDEX_RECORD_SIZE],
		const struct index_record *record);
/* 0; -EBADMSG: damaged, another version, another owner or file. */
int index_layout_check_record(const void *data, size_t len,
		const struct index_identity *identity, uint64_t device,
		uint64_t inode, uint8_t nonce[INDEX_NONCE_SIZE]);

/* A file that nobody else can have made or change: regular, under one name,
 * ours, not writable by others. */
bool index_layout_owns(const struct stat *st);
/* The data file of the directory DIR is there, and it and LMDB's lock file are
 * ours (index_layout_owns). 0; -ENOENT none there; -EBADMSG not fit; -errno. */
int index_layout_present(int dir);
/* The same, and checks, reading its two meta pages alone, that LMDB may map it:
 * of this machine's page size, not shorter than its last page. *DEVICE and
 * *INODE are the data file's. */
int index_layout_check(int dir, uint64_t *device, uint64_t *inode);

/* --- index_place.c --- */

/* The directory, and how to start what works in it. */
struct index_place {
	char *path;  /* absolute, without links; for messages */
	int dir;     /* its descriptor; replaced when the directory was */
	int above;   /* of a temporary one: the directory it is in; or -1 */
	int program; /* amberfs-index */
};

/* Finds and makes it: WANTED, or below $XDG_CACHE_HOME, or below ~/.cache (for
 * root /var/cache), or a temporary one, of which a warning tells once. 0 or
 * -errno with a text; index_place_close is due in either case. */
int index_place_open(struct index_place *place, const uint8_t *repo_id,
		const char *wanted);
/* Removes a temporary one. */
void index_place_close(struct index_place *place);
/* The name of a file of the index. */
bool index_place_is_file(const char *name);
/* The place in this user's cache, or, SECOND, the one where that is of no use (they
 * may be the same); to free. 0; -ENOENT: no home directory; -ENOMEM. */
int index_place_cache(char **path, const uint8_t *repo_id, bool second);
/* The network filesystem's name that DIR is on; NULL: a local one. */
const char *index_place_network(int dir);
/* Takes the writers' lock; close the descriptor to let go. A directory that
 * went is made again. -EAGAIN: not within MS milliseconds; -errno. */
int index_place_lock(int *fd, struct index_place *place, unsigned ms);
/* Removes the index of the directory DIR but not the writers' lock, which is
 * held. 0 or -errno. */
int index_place_remove(int dir);
void index_place_machine(uint8_t out[INDEX_MACHINE_SIZE]);

/* --- index_trust.c --- */

/* Opens the directory PATH for reading and writing and makes it if it is
 * missing, with MAKE_ABOVE also what is missing above it. *REAL: its name
 * without links, malloc'ed. 0 or -errno with a text that names the part of PATH
 * at fault: -EPERM if others could change it. */
int index_trust_open(int *dir, char **real, const char *path, bool make_above);

/* --- index_temporary.c --- */

/* 0 or -EACCES. No text. */
int index_temporary_make(struct index_place *place);
void index_temporary_remove(struct index_place *place);

/* --- index_former.c --- */

/* Removes an index in the repository itself, unless it is in USED. */
void index_former_remove(struct store *store, int used);

/* --- index_child.c --- */

struct index_child {
	pid_t pid; /* 0: none */
	int fd;	   /* of the channel */
};

#define INDEX_CHILD_FILES 4

/* Opens the program. 0 or -errno with a text. */
int index_child_find(struct index_place *place);
/* Starts it in MODE (index_wire.h) with the descriptors LOCK and REQUEST, or
 * -1, and nothing else of this process. 0 or -errno. */
int index_child_start(struct index_child *child,
		const struct index_place *place, const char *mode, int lock,
		int request);
/* Lets it end, or with KILL_IT makes it. 0: it ended in order; -EBADMSG: it
 * crashed or used too much processor time; -EAGAIN: somebody killed it;
 * -EPROTO: it is another version's. */
int index_child_end(struct index_child *child, bool kill_it);
/* Lets one write what REQUEST has. What it says came of it (0 or negative
 * errno), or as index_child_end; -EAGAIN also if it said nothing for too
 * long. */
int index_child_run(const struct index_place *place, int lock, int request);

/* --- index_env.c: reading --- */

struct index_env;

/* 0; -ENOENT: none there; -EBADMSG: damaged or not ours; -errno. No text. */
int index_env_open(struct index_env **out, const struct index_place *place,
		const struct index_identity *identity);
/* No call may be under way. NULL allowed. */
void index_env_close(struct index_env *env);
/* Not 0: nothing more is answered from here, because the index is damaged
 * (-EBADMSG) or the process that reads it was killed (-EAGAIN). */
int index_env_broken(const struct index_env *env);
/* The directory still has the file that this environment was opened on. */
bool index_env_current(const struct index_env *env,
		const struct index_place *place);
const uint8_t *index_env_nonce(const struct index_env *env);

/* The readers below: 0 or a count; -EBADMSG: broken; -ENOMEM. They may run at
 * once. */
int index_env_find(struct index_env *env, uint64_t key, struct pack_id *packs,
		int count, int max); /* like index_run_find */
/* Packs of a shard, ascending; *IDS malloc'ed. */
int index_env_packs(struct index_env *env, unsigned shard, struct pack_id **ids,
		size_t *count);
int index_env_shards(struct index_env *env, uint64_t states[256]);
struct index_env_numbers {
	uint64_t chunks, packs, generation, file_bytes;
};
int index_env_numbers(struct index_env *env, struct index_env_numbers *out);

/* --- index_write.c: writing, under the lock --- */

struct index_merge {
	const struct index_run *run; /* or NULL */
	const struct pack_id *removed;
	size_t removed_count;
	/* A shard's recorded state says that the index has what the shard had in
	 * that state. States come back, with a repository that is put back, so
	 * that a merge forgets those of the shards whose packs it adds or
	 * removes, but for those that were listed for it: NOW, unless it is
	 * BEFORE or somebody has recorded another one than BEFORE meanwhile. */
	bool set_shards;
	uint64_t before[256], now[256]; /* 0: unknown */
};

/* Makes a new, empty environment, where there is none. */
int index_write_create(const struct index_place *place, int lock,
		const struct index_identity *identity);
/* 0; -EBADMSG: the index is damaged; -ESTALE: it is not the one with NONCE;
 * -EAGAIN: the child got stuck or was killed; -errno (full disk …). No text. */
int index_write_merge(const struct index_place *place, int lock,
		const struct index_identity *identity,
		const uint8_t nonce[INDEX_NONCE_SIZE],
		const struct index_merge *merge);

/* --- index_filter.c: which chunks were never seen --- */

struct index_filter;

/* Maps the filter of the directory DIR if it belongs to NONCE and GENERATION. NULL: none that
 * fits. Additions of other processes are seen while the file stays. */
struct index_filter *index_filter_open(int dir,
		const uint8_t nonce[INDEX_NONCE_SIZE], uint64_t generation);
void index_filter_close(struct index_filter *filter); /* NULL allowed */
/* False: certainly not among what was added. */
bool index_filter_maybe(struct index_filter *filter, uint64_t key);

/* For the process that writes. A filter for ENTRIES keys is begun under a
 * temporary name, or DIR's own is opened if it fits NONCE and GENERATION and
 * has room for ENTRIES in all (else -ENOENT). Adding never takes away, so a
 * filter that was added to stays true of what it was before. */
int index_filter_begin(struct index_filter **out, int dir,
		const uint8_t nonce[INDEX_NONCE_SIZE], uint64_t entries);
int index_filter_resume(struct index_filter **out, int dir,
		const uint8_t nonce[INDEX_NONCE_SIZE], uint64_t generation,
		uint64_t entries);
void index_filter_add(struct index_filter *filter, uint64_t key);
/* Makes it valid for GENERATION, under its name. Frees FILTER. */
int index_filter_finish(struct index_filter *filter, int dir,
		uint64_t generation);

/* --- index.c --- */

#define INDEX_RESTARTS_MAX 3

/* Order of the locks: work, then lock. */
struct index {
	struct store *store;
	struct index_identity identity;
	uint64_t copy;		  /* which copy of the repository */
	struct index_place place; /* its descriptor changes under work */
	index_load_fn *load;
	void *load_ctx;
	_Atomic uint64_t unreadable;

	pthread_mutex_t work; /* one adds or reconciles at a time */
	/* Remove the files before opening them. */
	bool damaged GUARDED_BY(work);
	uint64_t waiting_entries GUARDED_BY(work);

	/* Held for reading by every look-up. What it guards changes only under
	 * `work` as well. */
	pthread_rwlock_t lock;
	struct index_env *env GUARDED_BY(lock);
	struct index_filter *filter GUARDED_BY(lock);
	struct index_run *waiting GUARDED_BY(lock); /* not merged yet */
};

/* For the holder of `work`: nobody else changes these meanwhile. */
static inline struct index_env *index_current_env(const struct index *index)
		REQUIRES(index->work) NO_THREAD_SAFETY_ANALYSIS
{
	return index->env;
}

static inline struct index_run *index_first_waiting(const struct index *index)
		REQUIRES(index->work) NO_THREAD_SAFETY_ANALYSIS
{
	return index->waiting;
}

/* Runs FN on the environment. -EBADMSG also when there is none. */
typedef int index_env_call(struct index_env *e, void *arg);
int index_with_env(struct index *index, index_env_call *fn, void *arg);
/* An environment that can be used, if there can be one. 0, -EAGAIN, -errno. */
int index_make_ready(struct index *index) REQUIRES(index->work);
/* Closes the environment and its filter: look-ups find nothing in them. */
void index_drop_env(struct index *index);
/* Opens the filter that belongs to the environment's present generation. */
void index_load_filter(struct index *index) REQUIRES(index->work);
/* Forgets all entries and makes an empty environment; the writers' lock is
 * held. 0 or -errno: there is none then. */
int index_empty(struct index *index, int lock_fd) REQUIRES(index->work);

/* --- index_merge.c --- */

/* 0; -ERESTART: that index is gone, index_make_ready makes a new one; -EAGAIN,
 * -errno: not now. No text. */
int index_merge_now(struct index *index, const struct index_merge *merge)
		REQUIRES(index->work);
/* Merges what an earlier reconciliation could not. */
int index_merge_waiting(struct index *index) REQUIRES(index->work);
/* Sets the text for what a merge returned. */
int index_merge_explain(struct index *index, int err);

/* --- index_reconcile.c --- */

int index_reconcile_held(struct index *index) REQUIRES(index->work);

/* --- index_guard.c --- */

/* Takes the signals, unless they are ours already; before what is guarded. */
void index_guard_arm(void);
/* Runs FN; -EFAULT if it met SIGSEGV or SIGBUS or called the escape. What FN
 * had allocated is then lost. FN must hold no lock. */
int index_guard_run(int (*fn)(void *arg), void *arg);

#endif
