/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The LMDB environment as a child process writes it. All but the last section
 * runs in the child: it opens an environment of its own, takes no locks of the
 * parent's, and speaks through its result alone. The caller holds the writers'
 * lock.
 *
 * A merge of many entries takes several transactions, in this order:
 *	1 numbers for the new packs are taken from the counter;
 *	2 entries that name those numbers, in the order of their keys;
 *	3 with the last of them the packs themselves, the packs that went, the
 *	  shards' states and the next generation.
 * After a crash in between, entries name numbers that nothing has: they are
 * passed over, and the merge is done again under new numbers.
 */
#include <errno.h>
#include <limits.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "repo/base/cleanup.h"
#include "index_internal.h"

#define READERS_MAX 1022
#define MAP_SIZE_LIMIT ((size_t)1 << 45)
/* Pages that a transaction may have in memory, about: 64 MiB. */
#define DIRTY_PAGES 16384u
#define ALIVE_EVERY 4096u
/* With less than this left, a disk is full. */
#define FULL_BYTES (1u << 20)
/* Entries that any machine merges, or scans, in a second of processor time. */
#define ENTRIES_PER_SECOND 20000u

struct writer {
	const struct child_channel *voice;
	const char *dir;
	const struct index_identity *identity;
	const uint8_t *nonce;	/* the index meant; NULL: make one */
	const struct index_merge *merge;

	MDB_env *env;
	MDB_dbi dbi[INDEX_DBS];
	MDB_txn *txn;
	MDB_cursor *chunks;
	uint64_t present;	/* chunk entries before */
	uint64_t leaves;	/* their leaf pages */
	uint64_t generation;
	struct index_filter *filter; /* NULL: goes without */
	uint32_t *numbers;	/* of the run's packs; 0: leave it out */
	bool has_last;
	uint64_t last_key;	/* the greatest in the tree */
	uint32_t quiet;		/* entries since the last sign of life */
};

/* Inside, results are LMDB's: 0, an MDB_ number, or a positive errno. Some of
 * them stand for themselves, all others say that the index is damaged. */
static int result(int rc)
{
	switch (rc) {
	case 0:
		return 0;
	case ENOMEM:
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
	case EIO:
	case EACCES:
	case EPERM:
	case EROFS:
	case EMFILE:
	case ENFILE:
	case ESTALE:
		return -rc;
	default:
		return -EBADMSG;
	}
}

/* LMDB turns a short write, which is what a full disk gives, into EIO. */
static bool disk_is_full(const char *dir)
{
	struct statvfs fs;
	return statvfs(dir, &fs) == 0 &&
			(uint64_t)fs.f_bavail * fs.f_frsize < FULL_BYTES;
}

static int final_result(const struct writer *w, int rc)
{
	return result(rc == EIO && disk_is_full(w->dir) ? ENOSPC : rc);
}

static void tick(struct writer *w)
{
	if (++w->quiet < ALIVE_EVERY)
		return;
	w->quiet = 0;
	index_child_alive(w->voice);
}

static MDB_val text_key(const char *text)
{
	return (MDB_val){ strlen(text), (char *)text };
}

/* --- opening --- */

static int put_record(struct writer *w)
{
	struct index_record record = { .identity = *w->identity };
	uint8_t bytes[INDEX_RECORD_SIZE], zero[8] = { 0 }, one[4];
	struct stat st;
	int fd;
	if (mdb_env_get_fd(w->env, &fd) != 0 || fstat(fd, &st) < 0)
		return EIO;
	record.device = st.st_dev;
	record.inode = st.st_ino;
	if (getrandom(record.nonce, sizeof(record.nonce), 0) !=
			sizeof(record.nonce))
		return EIO;
	index_layout_encode_record(bytes, &record);
	put_le32(one, 1);
	MDB_val key = text_key(INDEX_KEY_RECORD);
	MDB_val value = { sizeof(bytes), bytes };
	int err = mdb_put(w->txn, w->dbi[DB_META], &key, &value, 0);
	if (err != 0)
		return err;
	key = text_key(INDEX_KEY_NEXT);
	value = (MDB_val){ sizeof(one), one };
	err = mdb_put(w->txn, w->dbi[DB_META], &key, &value, 0);
	if (err != 0)
		return err;
	key = text_key(INDEX_KEY_GENERATION);
	value = (MDB_val){ sizeof(zero), zero };
	return mdb_put(w->txn, w->dbi[DB_META], &key, &value, 0);
}

static int check_record(struct writer *w)
{
	uint8_t nonce[INDEX_NONCE_SIZE];
	struct stat st;
	int fd;
	MDB_stat chunks;
	MDB_val key = text_key(INDEX_KEY_RECORD), value;
	if (mdb_env_get_fd(w->env, &fd) != 0 || fstat(fd, &st) < 0)
		return EIO;
	int err = mdb_get(w->txn, w->dbi[DB_META], &key, &value);
	if (err != 0)
		return MDB_CORRUPTED;
	if (index_layout_check_record(value.mv_data, value.mv_size, w->identity,
			st.st_dev, st.st_ino, nonce) < 0)
		return MDB_CORRUPTED;
	if (memcmp(nonce, w->nonce, sizeof(nonce)) != 0)
		return ESTALE;
	key = text_key(INDEX_KEY_GENERATION);
	err = mdb_get(w->txn, w->dbi[DB_META], &key, &value);
	if (err != 0 || value.mv_size != 8)
		return MDB_CORRUPTED;
	w->generation = get_le64(value.mv_data);
	err = mdb_stat(w->txn, w->dbi[DB_CHUNKS], &chunks);
	w->present = chunks.ms_entries;
	w->leaves = chunks.ms_leaf_pages;
	return err;
}

static int open_databases(struct writer *w)
{
	for (int i = 0; i < INDEX_DBS; i++) {
		unsigned flags;
		int err = mdb_dbi_open(w->txn, index_db_names[i],
				w->nonce == NULL ? MDB_CREATE : 0, &w->dbi[i]);
		if (err != 0)
			return err;
		err = mdb_dbi_flags(w->txn, w->dbi[i], &flags);
		if (err != 0 || flags != 0)
			return MDB_CORRUPTED;
	}
	return w->nonce == NULL ? put_record(w) : check_record(w);
}

/* A file that ends before its last page (LMDB leaves pages unwritten that are
 * free) would look truncated. */
static int cover_last_page(struct writer *w)
{
	MDB_envinfo info;
	struct stat st;
	int fd;
	if (mdb_env_info(w->env, &info) != 0 ||
			mdb_env_get_fd(w->env, &fd) != 0 ||
			fstat(fd, &st) < 0)
		return EIO;
	off_t end = (off_t)(info.me_last_pgno + 1) * sysconf(_SC_PAGESIZE);
	if (st.st_size < end && ftruncate(fd, end) < 0)
		return errno;
	return 0;
}

static int open_env(struct writer *w)
{
	int err = mdb_env_create(&w->env);
	if (err != 0)
		return err;
	mdb_env_set_maxdbs(w->env, INDEX_DBS);
	mdb_env_set_maxreaders(w->env, READERS_MAX);
	if (w->nonce == NULL)
		mdb_env_set_mapsize(w->env, index_tuning.map_size);
	err = mdb_env_open(w->env, w->dir, MDB_NOTLS | MDB_NORDAHEAD, 0600);
	if (err != 0)
		return err;
	/* Slots of readers that died would keep pages from being used again. */
	int dead;
	mdb_reader_check(w->env, &dead);
	err = mdb_txn_begin(w->env, NULL, 0, &w->txn);
	if (err != 0)
		return err;
	err = open_databases(w);
	if (err != 0) {
		mdb_txn_abort(w->txn);
		return err;
	}
	return mdb_txn_commit(w->txn);
}

/* --- numbers and packs --- */

static int get_number(struct writer *w, const struct pack_id *id,
		uint32_t *number)
{
	MDB_val key = { sizeof(id->b), (uint8_t *)id->b }, value;
	int err = mdb_get(w->txn, w->dbi[DB_NAMES], &key, &value);
	if (err != 0)
		return err;
	if (value.mv_size != 4)
		return MDB_CORRUPTED;
	*number = get_le32(value.mv_data);
	return 0;
}

/* A number for each pack of the run that the index does not know yet. */
static int take_numbers(struct writer *w)
{
	const struct index_run *run = w->merge->run;
	MDB_val key = text_key(INDEX_KEY_NEXT), value;
	uint8_t bytes[4];
	int err = mdb_get(w->txn, w->dbi[DB_META], &key, &value);
	if (err != 0 || value.mv_size != 4)
		return MDB_CORRUPTED;
	uint32_t next = get_le32(value.mv_data), known;
	/* Used up, which also ends in an index made anew. */
	if (next == 0 || run->pack_count > UINT32_MAX - next)
		return MDB_CORRUPTED;
	for (uint32_t i = 0; i < run->pack_count; i++) {
		w->numbers[i] = 0;
		if (run->packs[i].gone)
			continue;
		err = get_number(w, &run->packs[i].id, &known);
		if (err == MDB_NOTFOUND)
			w->numbers[i] = next++;
		else if (err != 0)
			return err;
		tick(w);
	}
	put_le32(bytes, next);
	value = (MDB_val){ sizeof(bytes), bytes };
	return mdb_put(w->txn, w->dbi[DB_META], &key, &value, 0);
}

static int put_pack(struct writer *w, const struct run_pack *pack,
		uint32_t number)
{
	uint8_t value_bytes[INDEX_PACK_SIZE] = { 0 }, le[4], be[4];
	put_le32(le, number);
	MDB_val key = { sizeof(pack->id.b), (uint8_t *)pack->id.b };
	MDB_val value = { sizeof(le), le };
	int err = mdb_put(w->txn, w->dbi[DB_NAMES], &key, &value,
			MDB_NOOVERWRITE);
	if (err != 0) /* listed twice in one run: the first one stands */
		return err == MDB_KEYEXIST ? 0 : err;
	index_put_be32(be, number);
	memcpy(value_bytes, pack->id.b, PACK_ID_SIZE);
	value_bytes[PACK_ID_SIZE] = pack->kind;
	key = (MDB_val){ sizeof(be), be };
	value = (MDB_val){ sizeof(value_bytes), value_bytes };
	return mdb_put(w->txn, w->dbi[DB_PACKS], &key, &value, 0);
}

static int remove_pack(struct writer *w, const struct pack_id *id)
{
	uint32_t number;
	uint8_t be[4];
	int err = get_number(w, id, &number);
	if (err != 0)
		return err == MDB_NOTFOUND ? 0 : err;
	MDB_val key = { sizeof(id->b), (uint8_t *)id->b };
	err = mdb_del(w->txn, w->dbi[DB_NAMES], &key, NULL);
	if (err != 0)
		return err;
	index_put_be32(be, number);
	key = (MDB_val){ sizeof(be), be };
	err = mdb_del(w->txn, w->dbi[DB_PACKS], &key, NULL);
	return err == MDB_NOTFOUND ? 0 : err;
}

static int put_shards(struct writer *w)
{
	for (unsigned i = 0; i < 256; i++) {
		uint8_t k = (uint8_t)i, v[8];
		MDB_val key = { 1, &k }, value = { sizeof(v), v };
		put_le64(v, w->merge->shards[i]);
		int err = mdb_put(w->txn, w->dbi[DB_SHARDS], &key, &value, 0);
		if (err != 0)
			return err;
	}
	return 0;
}

static int put_generation(struct writer *w)
{
	uint8_t v[8];
	MDB_val key = text_key(INDEX_KEY_GENERATION), value = { sizeof(v), v };
	put_le64(v, w->generation + 1);
	return mdb_put(w->txn, w->dbi[DB_META], &key, &value, 0);
}

static int finish(struct writer *w)
{
	const struct index_merge *m = w->merge;
	int err = 0;
	for (uint32_t i = 0; m->run != NULL && i < m->run->pack_count; i++) {
		if (w->numbers[i] != 0)
			err = put_pack(w, &m->run->packs[i], w->numbers[i]);
		if (err != 0)
			return err;
		tick(w);
	}
	for (size_t i = 0; i < m->removed_count; i++) {
		err = remove_pack(w, &m->removed[i]);
		if (err != 0)
			return err;
		tick(w);
	}
	if (m->set_shards)
		err = put_shards(w);
	return err == 0 ? put_generation(w) : err;
}

/* --- chunk entries --- */

struct copies {
	uint8_t bytes[4 * INDEX_COPIES_MAX];
	uint32_t count;
};

static void add_copy(struct copies *c, uint32_t number)
{
	if (c->count == INDEX_COPIES_MAX)
		return;
	for (uint32_t i = 0; i < c->count; i++)
		if (get_le32(c->bytes + 4 * i) == number)
			return;
	put_le32(c->bytes + 4 * c->count++, number);
}

static bool number_lives(struct writer *w, uint32_t number)
{
	uint8_t be[4];
	MDB_val key = { sizeof(be), be }, value;
	index_put_be32(be, number);
	return mdb_get(w->txn, w->dbi[DB_PACKS], &key, &value) == 0;
}

/* Adds the copies that the tree has under KEY already. */
static int add_older(struct writer *w, const MDB_val *key, struct copies *c)
{
	uint8_t old[4 * INDEX_COPIES_MAX];
	MDB_val k = *key, value;
	int err = mdb_cursor_get(w->chunks, &k, &value, MDB_SET);
	if (err != 0)
		return err == MDB_NOTFOUND ? 0 : err;
	if (value.mv_size > sizeof(old) || value.mv_size % 4 != 0)
		return MDB_CORRUPTED;
	size_t len = value.mv_size;
	memcpy(old, value.mv_data, len);
	for (size_t i = 0; i < len; i += 4)
		if (number_lives(w, get_le32(old + i)))
			add_copy(c, get_le32(old + i));
	return 0;
}

static int put_chunk(struct writer *w, uint64_t key, struct copies *c)
{
	uint8_t k[8];
	MDB_val mkey = { sizeof(k), k };
	bool append = !w->has_last || key > w->last_key;
	index_put_be64(k, key);
	if (w->filter != NULL)
		index_filter_add(w->filter, key);
	if (!append) {
		int err = add_older(w, &mkey, c);
		if (err != 0)
			return err;
	}
	MDB_val value = { 4 * c->count, c->bytes };
	int err = mdb_cursor_put(w->chunks, &mkey, &value,
			append ? MDB_APPEND : 0);
	if (err == 0 && append) {
		w->has_last = true;
		w->last_key = key;
	}
	return err;
}

static int find_last_key(struct writer *w)
{
	MDB_val key, value;
	int err = mdb_cursor_get(w->chunks, &key, &value, MDB_LAST);
	w->has_last = err == 0;
	if (err == MDB_NOTFOUND)
		return 0;
	if (err == 0 && key.mv_size != 8)
		return MDB_CORRUPTED;
	if (err == 0)
		w->last_key = index_get_be64(key.mv_data);
	return err;
}

/* Entries FROM to TO of the run; equal keys are never parted. */
static int put_entries(struct writer *w, uint32_t from, uint32_t to)
{
	const struct run_entry *e = w->merge->run->entries;
	int err = mdb_cursor_open(w->txn, w->dbi[DB_CHUNKS], &w->chunks);
	if (err == 0)
		err = find_last_key(w);
	while (err == 0 && from < to) {
		struct copies c = { .count = 0 };
		uint64_t key = e[from].key;
		for (; from < to && e[from].key == key; from++) {
			if (w->numbers[e[from].pack] != 0)
				add_copy(&c, w->numbers[e[from].pack]);
			tick(w);
		}
		if (c.count > 0)
			err = put_chunk(w, key, &c);
	}
	return err;
}

/* --- transactions --- */

struct part {
	uint32_t from, to;	/* entries */
	bool first, last;
};

static int try_part(struct writer *w, const struct part *p)
{
	index_child_alive(w->voice);
	int err = mdb_txn_begin(w->env, NULL, 0, &w->txn);
	if (err != 0)
		return err;
	if (p->first && w->merge->run != NULL)
		err = take_numbers(w);
	if (err == 0 && w->merge->run != NULL && p->to > p->from)
		err = put_entries(w, p->from, p->to);
	if (err == 0 && p->last)
		err = finish(w);
	if (err != 0) {
		mdb_txn_abort(w->txn);
		return err;
	}
	index_child_alive(w->voice);
	return mdb_txn_commit(w->txn);
}

static int enlarge_map(struct writer *w)
{
	MDB_envinfo info;
	int err = mdb_env_info(w->env, &info);
	if (err != 0 || info.me_mapsize > MAP_SIZE_LIMIT / 2)
		return ENOSPC;
	return mdb_env_set_mapsize(w->env, info.me_mapsize * 2);
}

static int write_part(struct writer *w, const struct part *p)
{
	for (;;) {
		int err = try_part(w, p);
		if (err == 0)
			return cover_last_page(w);
		if (err != MDB_MAP_FULL)
			return err;
		err = enlarge_map(w);
		if (err != 0)
			return err;
	}
}

/* How many entries make a transaction: consecutive ones share leaves if there
 * are more entries than leaves. */
static uint32_t part_size(const struct writer *w, uint32_t entries)
{
	uint64_t per_leaf = w->leaves > 0 ? entries / w->leaves : entries;
	uint64_t n = DIRTY_PAGES * max_u64(per_leaf, 1);
	n = max_u64(min_u64(n, index_tuning.txn_entries), 1);
	return (uint32_t)n;
}

static int write_parts(struct writer *w)
{
	const struct index_run *run = w->merge->run;
	uint32_t count = run != NULL ? run->entry_count : 0;
	uint32_t size = part_size(w, count);
	struct part p = { .first = true };
	do {
		p.to = count - p.from > size ? p.from + size : count;
		while (p.to < count && run->entries[p.to].key ==
				run->entries[p.to - 1].key)
			p.to++;
		p.last = p.to == count;
		int err = write_part(w, &p);
		if (err != 0)
			return err;
		p.from = p.to;
		p.first = false;
	} while (!p.last);
	return 0;
}

/* --- the filter --- */

static int fill_filter(struct writer *w)
{
	MDB_cursor *cursor;
	MDB_val key, value;
	uint64_t seen = 0;
	int err = mdb_txn_begin(w->env, NULL, MDB_RDONLY, &w->txn);
	if (err != 0)
		return err;
	err = mdb_cursor_open(w->txn, w->dbi[DB_CHUNKS], &cursor);
	if (err == 0)
		err = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
	while (err == 0) {
		if (key.mv_size != 8 || ++seen > w->present)
			return MDB_CORRUPTED;
		index_filter_add(w->filter, index_get_be64(key.mv_data));
		tick(w);
		err = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	mdb_txn_abort(w->txn);
	return err == MDB_NOTFOUND ? 0 : err;
}

/* Without room for a filter the index does without one. */
static int begin_filter(struct writer *w)
{
	uint64_t all = w->present;
	if (w->merge->run != NULL)
		all += w->merge->run->entry_count;
	if (index_filter_resume(&w->filter, w->dir, w->nonce, w->generation,
			all) == 0)
		return 0;
	if (index_filter_begin(&w->filter, w->dir, w->nonce, all) == 0)
		return fill_filter(w);
	w->filter = NULL;
	return 0;
}

/* --- the child's main functions --- */

static int create_main(void *ctx, const struct child_channel *voice)
{
	struct writer *w = ctx;
	w->voice = voice;
	int err = open_env(w);
	if (err == 0)
		err = cover_last_page(w);
	if (err == 0)
		mdb_env_close(w->env);
	return final_result(w, err);
}

static int merge_main(void *ctx, const struct child_channel *voice)
{
	struct writer *w = ctx;
	const struct index_run *run = w->merge->run;
	uint64_t device, inode;
	w->voice = voice;
	int err = index_layout_check(w->dir, &device, &inode);
	if (err < 0)
		return err == -ENOENT ? -ESTALE : err;
	if (run != NULL) {
		w->numbers = calloc(run->pack_count + 1, sizeof(*w->numbers));
		if (w->numbers == NULL)
			return -ENOMEM;
	}
	int rc = open_env(w);
	if (rc == 0)
		rc = begin_filter(w);
	if (rc == 0)
		rc = write_parts(w);
	if (rc == 0 && w->filter != NULL)
		index_filter_finish(w->filter, w->dir, w->generation + 1);
	if (rc == 0)
		mdb_env_close(w->env);
	return final_result(w, rc);
}

/* --- the parent's side --- */

int index_write_create(const char *dir, int lock_fd,
		const struct index_identity *identity)
{
	struct writer w = { .dir = dir, .identity = identity };
	return index_child_run(lock_fd, create_main, &w,
			index_tuning.cpu_seconds);
}

/* Entries in the index now, from which a filter may have to be made. */
static uint64_t guess_present(const char *dir)
{
	struct stat st;
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/" INDEX_DATA_FILE, dir);
	/* An entry takes 20 bytes at least. */
	return stat(path, &st) == 0 ? (uint64_t)st.st_size / 20 : 0;
}

int index_write_merge(const char *dir, int lock_fd,
		const struct index_identity *identity,
		const uint8_t nonce[INDEX_NONCE_SIZE],
		const struct index_merge *merge)
{
	struct writer w = { .dir = dir, .identity = identity, .nonce = nonce,
		.merge = merge };
	uint64_t work = guess_present(dir) / 10 + merge->removed_count;
	if (merge->run != NULL)
		work += merge->run->entry_count + merge->run->pack_count;
	return index_child_run(lock_fd, merge_main, &w,
			index_tuning.cpu_seconds + work / ENTRIES_PER_SECOND);
}
