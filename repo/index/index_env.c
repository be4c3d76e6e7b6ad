/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The LMDB environment as this process reads it. Opened read-only, so that no
 * damage can spread from here; every call into LMDB is guarded, every value is
 * bounds-checked and copied out, and no transaction stays open between calls.
 *
 * Read transactions are made once, at the opening, and then renewed: making
 * one takes a mutex in LMDB's shared lock file, which a stopped process could
 * hold. This file writes nothing but LMDB's reader table.
 */
#include <errno.h>
#include <limits.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "index_internal.h"
#include "repo/base/cleanup.h"

/* Look-ups that may be inside LMDB at once; more wait for microseconds. */
#define READERS 16
/* Reader slots in the lock file, for all processes of this machine. */
#define READERS_MAX 1022
#define OPEN_TRIES 3

struct index_env {
	MDB_env *env;
	MDB_dbi dbi[INDEX_DBS];
	char *path; /* of the data file */
	uint64_t device, inode;
	uint8_t nonce[INDEX_NONCE_SIZE];
	atomic_bool broken;
	pthread_mutex_t mutex;
	pthread_cond_t returned;
	MDB_txn *idle[READERS] GUARDED_BY(mutex);
	int idle_count GUARDED_BY(mutex);
};

static void on_assert(MDB_env *env, const char *text)
{
	(void)env;
	(void)text;
	index_guard_escape();
}

/* Translates LMDB's results: what is not a system error is damage. */
static int result(int rc)
{
	switch (rc) {
	case MDB_SUCCESS:
		return 0;
	case MDB_MAP_RESIZED:
		return -EAGAIN;
	case ENOMEM:
	case EACCES:
	case EIO:
	case EMFILE:
	case ENFILE:
	case ENOSPC:
		return -rc;
	default:
		return -EBADMSG;
	}
}

/* --- opening --- */

struct opening {
	struct index_env *e;
	const char *dir;
	const struct index_identity *identity;
};

static int check_identity(const struct opening *opening, MDB_txn *txn)
{
	struct index_env *env = opening->e;
	MDB_val key = { sizeof(INDEX_KEY_RECORD) - 1,
		(char *)INDEX_KEY_RECORD };
	MDB_val value;
	int err = mdb_get(txn, env->dbi[DB_META], &key, &value);
	if (err != 0)
		return -EBADMSG;
	return index_layout_check_record(value.mv_data, value.mv_size,
			opening->identity, env->device, env->inode, env->nonce);
}

static int open_databases(const struct opening *opening, MDB_txn *txn)
{
	for (int i = 0; i < INDEX_DBS; i++) {
		unsigned flags;
		MDB_dbi *dbi = &opening->e->dbi[i];
		if (mdb_dbi_open(txn, index_db_names[i], 0, dbi) != 0
				|| mdb_dbi_flags(txn, *dbi, &flags) != 0
				|| flags != 0)
			return -EBADMSG;
	}
	return check_identity(opening, txn);
}

static int make_readers(struct index_env *env)
{
	not_shared(&env->mutex);
	while (env->idle_count < READERS) {
		MDB_txn *txn;
		int err = mdb_txn_begin(env->env, NULL, MDB_RDONLY, &txn);
		if (err == MDB_READERS_FULL && env->idle_count > 0)
			return 0;
		if (err != 0)
			return result(err);
		mdb_txn_reset(txn);
		env->idle[env->idle_count++] = txn;
	}
	return 0;
}

static int begin_first(struct index_env *env, MDB_txn **txn)
{
	int dead;
	int err = mdb_txn_begin(env->env, NULL, MDB_RDONLY, txn);
	if (err == MDB_READERS_FULL) {
		mdb_reader_check(env->env, &dead);
		err = mdb_txn_begin(env->env, NULL, MDB_RDONLY, txn);
	}
	if (err == MDB_MAP_RESIZED) {
		err = mdb_env_set_mapsize(env->env, 0);
		if (err == 0)
			err = mdb_txn_begin(env->env, NULL, MDB_RDONLY, txn);
	}
	return result(err);
}

/* Guarded. */
static int open_guarded(void *arg)
{
	const struct opening *opening = arg;
	struct index_env *env = opening->e;
	struct stat st;
	MDB_txn *txn;
	int fd;
	int rc = mdb_env_open(env->env, opening->dir,
			MDB_RDONLY | MDB_NOTLS | MDB_NORDAHEAD, 0600);
	if (rc != 0)
		return result(rc);
	/* The file that was checked, not one put there since. */
	if (mdb_env_get_fd(env->env, &fd) != 0 || fstat(fd, &st) < 0
			|| st.st_dev != env->device || st.st_ino != env->inode)
		return -EBADMSG;
	int err = begin_first(env, &txn);
	if (err < 0)
		return err;
	err = open_databases(opening, txn);
	if (err < 0) {
		mdb_txn_abort(txn);
		return err;
	}
	rc = mdb_txn_commit(txn); /* keeps the handles */
	return rc != 0 ? result(rc) : make_readers(env);
}

static int open_once(struct opening *opening)
{
	struct index_env *env = opening->e;
	int err = index_layout_check(opening->dir, &env->device, &env->inode);
	if (err < 0)
		return err;
	if (mdb_env_create(&env->env) != 0)
		return -ENOMEM;
	mdb_env_set_assert(env->env, on_assert);
	mdb_env_set_maxdbs(env->env, INDEX_DBS);
	mdb_env_set_maxreaders(env->env, READERS_MAX);
	err = index_guard_run(open_guarded, opening);
	return err == -EFAULT ? -EBADMSG : err;
}

static struct index_env *env_new(const char *dir)
{
	struct index_env *env = calloc(1, sizeof(*env));
	if (env == NULL)
		return NULL;
	pthread_mutex_init(&env->mutex, NULL);
	pthread_cond_init(&env->returned, NULL);
	if (asprintf(&env->path, "%s/" INDEX_DATA_FILE, dir) < 0) {
		env->path = NULL;
		index_env_close(env);
		return NULL;
	}
	return env;
}

int index_env_open(struct index_env **out, const char *dir,
		const struct index_identity *identity)
{
	int err = 0;
	index_guard_arm();
	/* Without the writers' lock a commit may be under way just now, which
	 * looks like damage for a moment. */
	for (int try = 0; try < OPEN_TRIES; try++) {
		struct index_env *env = env_new(dir);
		if (env == NULL)
			return -ENOMEM;
		struct opening o = { env, dir, identity };
		err = open_once(&o);
		if (err == 0) {
			*out = env;
			return 0;
		}
		index_env_close(env);
		if (err != -EBADMSG && err != -EAGAIN)
			return err;
	}
	return -EBADMSG;
}

/* Guarded: the reader table is a mapped file too. */
static int close_guarded(void *arg)
{
	struct index_env *env = arg;
	not_shared(&env->mutex);
	while (env->idle_count > 0)
		mdb_txn_abort(env->idle[--env->idle_count]);
	mdb_env_close(env->env);
	return 0;
}

void index_env_close(struct index_env *env)
{
	if (env == NULL)
		return;
	if (env->env != NULL)
		index_guard_run(close_guarded, env);
	pthread_cond_destroy(&env->returned);
	pthread_mutex_destroy(&env->mutex);
	free(env->path);
	free(env);
}

bool index_env_broken(const struct index_env *env)
{
	return atomic_load(&env->broken);
}

bool index_env_current(const struct index_env *env)
{
	struct stat st;
	return stat(env->path, &st) == 0 && st.st_dev == env->device
			&& st.st_ino == env->inode;
}

const uint8_t *index_env_nonce(const struct index_env *env)
{
	return env->nonce;
}

/* --- reading --- */

typedef int env_reading(struct index_env *e, MDB_txn *txn, void *arg);

struct reading {
	struct index_env *e;
	MDB_txn *txn;
	env_reading *fn;
	void *arg;
};

static int read_guarded(void *arg)
{
	struct reading *reading = arg;
	int rc = mdb_txn_renew(reading->txn);
	if (rc != 0)
		return result(rc);
	int err = reading->fn(reading->e, reading->txn, reading->arg);
	mdb_txn_reset(reading->txn);
	return err;
}

static MDB_txn *borrow(struct index_env *env)
{
	LOCK_SCOPE(&env->mutex);
	while (env->idle_count == 0 && !atomic_load(&env->broken))
		pthread_cond_wait(&env->returned, &env->mutex);
	return atomic_load(&env->broken) ? NULL : env->idle[--env->idle_count];
}

static void give_back(struct index_env *env, MDB_txn *txn)
{
	LOCK_SCOPE(&env->mutex);
	env->idle[env->idle_count++] = txn;
	pthread_cond_signal(&env->returned);
}

static void give_up(struct index_env *env)
{
	LOCK_SCOPE(&env->mutex);
	atomic_store(&env->broken, true);
	pthread_cond_broadcast(&env->returned);
}

/* Runs FN inside a read transaction. */
static int read_with(struct index_env *env, env_reading *fn, void *arg)
{
	MDB_txn *txn = borrow(env);
	if (txn == NULL)
		return -EBADMSG;
	struct reading g = { env, txn, fn, arg };
	int err = index_guard_run(read_guarded, &g);
	/* One that a fault interrupted goes back as well: from now on it is
	 * only good for being aborted. */
	give_back(env, txn);
	if (err < 0 && err != -EAGAIN && err != -ENOMEM) {
		give_up(env);
		return -EBADMSG;
	}
	return err;
}

struct find {
	uint64_t key;
	struct pack_id *packs;
	int count, max;
};

/* The id of pack NUMBER: 1, 0 if it went, -EBADMSG. */
static int pack_of(struct index_env *env, MDB_txn *txn, uint32_t number,
		struct pack_id *id)
{
	uint8_t k[4];
	MDB_val key = { sizeof(k), k }, value;
	put_be32(k, number);
	int err = mdb_get(txn, env->dbi[DB_PACKS], &key, &value);
	if (err == MDB_NOTFOUND)
		return 0;
	if (err != 0 || value.mv_size != INDEX_PACK_SIZE)
		return -EBADMSG;
	memcpy(id->b, value.mv_data, PACK_ID_SIZE);
	return 1;
}

static int find_in(struct index_env *env, MDB_txn *txn, void *arg)
{
	struct find *find = arg;
	uint8_t k[8], numbers[4 * INDEX_COPIES_MAX];
	MDB_val key = { sizeof(k), k }, value;
	put_be64(k, find->key);
	int rc = mdb_get(txn, env->dbi[DB_CHUNKS], &key, &value);
	if (rc == MDB_NOTFOUND)
		return find->count;
	if (rc != 0 || value.mv_size > sizeof(numbers)
			|| value.mv_size % 4 != 0)
		return -EBADMSG;
	size_t len = value.mv_size;
	memcpy(numbers, value.mv_data, len);
	for (size_t i = 0; i < len && find->count < find->max; i += 4) {
		struct pack_id id;
		int err = pack_of(env, txn, get_le32(numbers + i), &id);
		if (err < 0)
			return err;
		if (err > 0)
			find->count = index_run_join_packs(find->packs,
					find->count, find->max, &id);
	}
	return find->count;
}

int index_env_find(struct index_env *env, uint64_t key, struct pack_id *packs,
		int count, int max)
{
	struct find f = { key, packs, count, max };
	return read_with(env, find_in, &f);
}

struct listing {
	unsigned shard;
	struct pack_id *ids;
	size_t count, room;
};

static int list_one(struct listing *listing, const MDB_val *key)
{
	/* Must ascend, or a damaged tree could loop forever. */
	if (key->mv_size != PACK_ID_SIZE
			|| (listing->count > 0
					&& memcmp(key->mv_data,
							   listing->ids[listing->count
										  - 1]
									   .b,
							   PACK_ID_SIZE)
							<= 0))
		return -EBADMSG;
	if (listing->count == listing->room) {
		size_t room = listing->room * 2 + 64;
		void *p = realloc(listing->ids, room * sizeof(*listing->ids));
		if (p == NULL)
			return -ENOMEM;
		listing->ids = p;
		listing->room = room;
	}
	memcpy(listing->ids[listing->count++].b, key->mv_data, PACK_ID_SIZE);
	return 0;
}

static int list_shard(struct index_env *env, MDB_txn *txn, void *arg)
{
	struct listing *listing = arg;
	uint8_t first[PACK_ID_SIZE] = { (uint8_t)listing->shard };
	MDB_val key = { sizeof(first), first }, value;
	MDB_cursor *cursor;
	int err = 0;
	int rc = mdb_cursor_open(txn, env->dbi[DB_NAMES], &cursor);
	if (rc != 0)
		return result(rc);
	rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	while (rc == 0 && err == 0) {
		if (key.mv_size > 0
				&& *(const uint8_t *)key.mv_data
						!= listing->shard)
			break;
		err = list_one(listing, &key);
		rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	if (err == 0 && rc != 0 && rc != MDB_NOTFOUND)
		err = -EBADMSG;
	return err;
}

int index_env_packs(struct index_env *env, unsigned shard, struct pack_id **ids,
		size_t *count)
{
	struct listing l = { .shard = shard };
	int err = read_with(env, list_shard, &l);
	if (err < 0) {
		free(l.ids);
		return err;
	}
	*ids = l.ids;
	*count = l.count;
	return 0;
}

static int read_shards(struct index_env *env, MDB_txn *txn, void *arg)
{
	uint64_t *states = arg;
	for (unsigned i = 0; i < 256; i++) {
		uint8_t k = (uint8_t)i;
		MDB_val key = { 1, &k }, value;
		int err = mdb_get(txn, env->dbi[DB_SHARDS], &key, &value);
		states[i] = 0;
		if (err == MDB_NOTFOUND)
			continue;
		if (err != 0 || value.mv_size != 8)
			return -EBADMSG;
		states[i] = get_le64(value.mv_data);
	}
	return 0;
}

int index_env_shards(struct index_env *env, uint64_t states[256])
{
	return read_with(env, read_shards, states);
}

static int read_numbers(struct index_env *env, MDB_txn *txn, void *arg)
{
	struct index_env_numbers *numbers = arg;
	MDB_stat chunks, packs;
	MDB_val key = { sizeof(INDEX_KEY_GENERATION) - 1,
		(char *)INDEX_KEY_GENERATION };
	MDB_val value;
	if (mdb_stat(txn, env->dbi[DB_CHUNKS], &chunks) != 0
			|| mdb_stat(txn, env->dbi[DB_PACKS], &packs) != 0)
		return -EBADMSG;
	int err = mdb_get(txn, env->dbi[DB_META], &key, &value);
	if (err != 0 || value.mv_size != 8)
		return -EBADMSG;
	numbers->chunks = chunks.ms_entries;
	numbers->packs = packs.ms_entries;
	numbers->generation = get_le64(value.mv_data);
	return 0;
}

int index_env_numbers(struct index_env *env, struct index_env_numbers *out)
{
	struct stat st;
	*out = (struct index_env_numbers){ 0 };
	if (stat(env->path, &st) == 0)
		out->file_bytes = (uint64_t)st.st_size;
	return read_with(env, read_numbers, out);
}

/* Guarded. */
static int grow_guarded(void *arg)
{
	struct index_env *env = arg;
	return result(mdb_env_set_mapsize(env->env, 0));
}

int index_env_grow(struct index_env *env)
{
	int err = index_guard_run(grow_guarded, env);
	if (err < 0)
		give_up(env);
	return err < 0 ? -EBADMSG : 0;
}
