/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * amberfs-index as it writes the LMDB environment of the current directory, and
 * speaks through its result alone. Its parent holds the writers' lock, and it
 * a copy of it.
 *
 * A merge of many entries takes several transactions, in this order:
 *	1 numbers for the new packs are taken from the counter;
 *	2 entries that name those numbers, in the order of their keys;
 *	3 with the last of them the packs themselves, the packs that went, the
 *	  shards' states and the next generation.
 * After a crash in between, entries name numbers that nothing has: they are
 * passed over, and the merge is done again under new numbers.
 */
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "repo/base/bytes.h"

#define READERS_MAX 1022
#define MAP_SIZE_LIMIT ((size_t)1 << 45)
/* Pages that a transaction may have in memory, about: 64 MiB. */
#define DIRTY_PAGES 16384u
#define ALIVE_EVERY 4096u
/* With less than this left, a disk is full. */
#define FULL_BYTES (1u << 20)
struct writer {
	const struct helper *helper;
	const struct wire_request *request;
	const struct index_identity *identity;
	const uint8_t *nonce; /* the index meant; NULL: make one */
	const struct index_merge *merge;

	MDB_env *env;
	MDB_dbi dbi[INDEX_DBS];
	MDB_txn *txn;
	MDB_cursor *chunks;
	uint64_t present; /* chunk entries before */
	uint64_t leaves;  /* their leaf pages */
	uint64_t generation;
	struct index_filter *filter; /* NULL: goes without */
	uint32_t *numbers;	     /* of the run's packs; 0: leave it out */
	bool has_last;
	uint64_t last_key; /* the greatest in the tree */
	uint32_t quiet;	   /* entries since the last sign of life */
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

/* LMDB turns a short write, as on a full disk, into EIO. */
static bool disk_is_full(void)
{
	struct statvfs fs;
	return statvfs(".", &fs) == 0
			&& (uint64_t)fs.f_bavail * fs.f_frsize < FULL_BYTES;
}

static int final_result(int rc)
{
	return result(rc == EIO && disk_is_full() ? ENOSPC : rc);
}

static void tick(struct writer *writer)
{
	if (++writer->quiet < ALIVE_EVERY)
		return;
	writer->quiet = 0;
	helper_alive(writer->helper);
}

static MDB_val text_key(const char *text)
{
	return (MDB_val){ strlen(text), (char *)text };
}

/* --- opening --- */

static int put_record(struct writer *writer)
{
	struct index_record record = { .identity = *writer->identity };
	uint8_t bytes[INDEX_RECORD_SIZE], zero[8] = { 0 }, one[4];
	struct stat st;
	int fd;
	if (mdb_env_get_fd(writer->env, &fd) != 0 || fstat(fd, &st) < 0)
		return EIO;
	record.device = st.st_dev;
	record.inode = st.st_ino;
	if (getrandom(record.nonce, sizeof(record.nonce), 0)
			!= sizeof(record.nonce))
		return EIO;
	index_layout_encode_record(bytes, &record);
	put_le32(one, 1);
	MDB_val key = text_key(INDEX_KEY_RECORD);
	MDB_val value = { sizeof(bytes), bytes };
	int err = mdb_put(writer->txn, writer->dbi[DB_META], &key, &value, 0);
	if (err != 0)
		return err;
	key = text_key(INDEX_KEY_NEXT);
	value = (MDB_val){ sizeof(one), one };
	err = mdb_put(writer->txn, writer->dbi[DB_META], &key, &value, 0);
	if (err != 0)
		return err;
	key = text_key(INDEX_KEY_GENERATION);
	value = (MDB_val){ sizeof(zero), zero };
	return mdb_put(writer->txn, writer->dbi[DB_META], &key, &value, 0);
}

static int check_record(struct writer *writer)
{
	uint8_t nonce[INDEX_NONCE_SIZE];
	struct stat st;
	int fd;
	MDB_stat chunks;
	MDB_val key = text_key(INDEX_KEY_RECORD), value;
	if (mdb_env_get_fd(writer->env, &fd) != 0 || fstat(fd, &st) < 0)
		return EIO;
	int err = mdb_get(writer->txn, writer->dbi[DB_META], &key, &value);
	if (err != 0)
		return MDB_CORRUPTED;
	if (index_layout_check_record(value.mv_data, value.mv_size,
			    writer->identity, st.st_dev, st.st_ino, nonce)
			< 0)
		return MDB_CORRUPTED;
	if (memcmp(nonce, writer->nonce, sizeof(nonce)) != 0)
		return ESTALE;
	key = text_key(INDEX_KEY_GENERATION);
	err = mdb_get(writer->txn, writer->dbi[DB_META], &key, &value);
	if (err != 0 || value.mv_size != 8)
		return MDB_CORRUPTED;
	writer->generation = get_le64(value.mv_data);
	err = mdb_stat(writer->txn, writer->dbi[DB_CHUNKS], &chunks);
	writer->present = chunks.ms_entries;
	writer->leaves = chunks.ms_leaf_pages;
	return err;
}

static int open_databases(struct writer *writer)
{
	for (int i = 0; i < INDEX_DBS; i++) {
		unsigned flags;
		int err = mdb_dbi_open(writer->txn, index_db_names[i],
				writer->nonce == NULL ? MDB_CREATE : 0,
				&writer->dbi[i]);
		if (err != 0)
			return err;
		err = mdb_dbi_flags(writer->txn, writer->dbi[i], &flags);
		if (err != 0 || flags != 0)
			return MDB_CORRUPTED;
	}
	return writer->nonce == NULL ? put_record(writer)
				     : check_record(writer);
}

/* A file that ends before its last page (LMDB leaves pages unwritten that are
 * free) would look truncated. */
static int cover_last_page(struct writer *writer)
{
	MDB_envinfo info;
	struct stat st;
	int fd;
	if (mdb_env_info(writer->env, &info) != 0
			|| mdb_env_get_fd(writer->env, &fd) != 0
			|| fstat(fd, &st) < 0)
		return EIO;
	off_t end = (off_t)(info.me_last_pgno + 1) * sysconf(_SC_PAGESIZE);
	if (st.st_size < end && ftruncate(fd, end) < 0)
		return errno;
	return 0;
}

static int open_env(struct writer *writer)
{
	int err = mdb_env_create(&writer->env);
	if (err != 0)
		return err;
	mdb_env_set_maxdbs(writer->env, INDEX_DBS);
	mdb_env_set_maxreaders(writer->env, READERS_MAX);
	if (writer->nonce == NULL)
		mdb_env_set_mapsize(writer->env, writer->request->map_size);
	err = mdb_env_open(writer->env, ".", MDB_NOTLS | MDB_NORDAHEAD, 0600);
	if (err != 0)
		return err;
	/* Slots of readers that died would keep pages from being used again. */
	int dead;
	mdb_reader_check(writer->env, &dead);
	err = mdb_txn_begin(writer->env, NULL, 0, &writer->txn);
	if (err != 0)
		return err;
	err = open_databases(writer);
	if (err != 0) {
		mdb_txn_abort(writer->txn);
		return err;
	}
	return mdb_txn_commit(writer->txn);
}

/* --- numbers and packs --- */

static int get_number(struct writer *writer, const struct pack_id *id,
		uint32_t *number)
{
	MDB_val key = { sizeof(id->b), (uint8_t *)id->b }, value;
	int err = mdb_get(writer->txn, writer->dbi[DB_NAMES], &key, &value);
	if (err != 0)
		return err;
	if (value.mv_size != 4)
		return MDB_CORRUPTED;
	*number = get_le32(value.mv_data);
	return 0;
}

/* A number for each pack of the run that the index does not know yet. */
static int take_numbers(struct writer *writer)
{
	const struct index_run *run = writer->merge->run;
	MDB_val key = text_key(INDEX_KEY_NEXT), value;
	uint8_t bytes[4];
	int err = mdb_get(writer->txn, writer->dbi[DB_META], &key, &value);
	if (err != 0 || value.mv_size != 4)
		return MDB_CORRUPTED;
	uint32_t next = get_le32(value.mv_data), known;
	/* Exhausted, which also ends in a new index. */
	if (next == 0 || run->pack_count > UINT32_MAX - next)
		return MDB_CORRUPTED;
	for (uint32_t i = 0; i < run->pack_count; i++) {
		writer->numbers[i] = 0;
		if (run->packs[i].gone)
			continue;
		err = get_number(writer, &run->packs[i].id, &known);
		if (err == MDB_NOTFOUND)
			writer->numbers[i] = next++;
		else if (err != 0)
			return err;
		tick(writer);
	}
	put_le32(bytes, next);
	value = (MDB_val){ sizeof(bytes), bytes };
	return mdb_put(writer->txn, writer->dbi[DB_META], &key, &value, 0);
}

static int put_pack(struct writer *writer, const struct run_pack *pack,
		uint32_t number)
{
	uint8_t value_bytes[INDEX_PACK_SIZE] = { 0 }, le[4], be[4];
	put_le32(le, number);
	MDB_val key = { sizeof(pack->id.b), (uint8_t *)pack->id.b };
	MDB_val value = { sizeof(le), le };
	int err = mdb_put(writer->txn, writer->dbi[DB_NAMES], &key, &value,
			MDB_NOOVERWRITE);
	if (err != 0) /* listed twice in one run: the first one stands */
		return err == MDB_KEYEXIST ? 0 : err;
	put_be32(be, number);
	memcpy(value_bytes, pack->id.b, PACK_ID_SIZE);
	value_bytes[PACK_ID_SIZE] = pack->kind;
	key = (MDB_val){ sizeof(be), be };
	value = (MDB_val){ sizeof(value_bytes), value_bytes };
	return mdb_put(writer->txn, writer->dbi[DB_PACKS], &key, &value, 0);
}

static int remove_pack(struct writer *writer, const struct pack_id *id)
{
	uint32_t number;
	uint8_t be[4];
	int err = get_number(writer, id, &number);
	if (err != 0)
		return err == MDB_NOTFOUND ? 0 : err;
	MDB_val key = { sizeof(id->b), (uint8_t *)id->b };
	err = mdb_del(writer->txn, writer->dbi[DB_NAMES], &key, NULL);
	if (err != 0)
		return err;
	put_be32(be, number);
	key = (MDB_val){ sizeof(be), be };
	err = mdb_del(writer->txn, writer->dbi[DB_PACKS], &key, NULL);
	return err == MDB_NOTFOUND ? 0 : err;
}

/* The shards whose packs the merge adds or removes. */
static void find_touched(struct writer *writer, bool touched[256])
{
	const struct index_merge *merge = writer->merge;
	const struct index_run *run = merge->run;
	for (uint32_t i = 0; run != NULL && i < run->pack_count; i++)
		touched[run->packs[i].id.b[0]] = true;
	for (size_t i = 0; i < merge->removed_count; i++)
		touched[merge->removed[i].b[0]] = true;
}

static int update_shard(struct writer *writer, unsigned shard, bool touched)
{
	const struct index_merge *merge = writer->merge;
	uint8_t k = (uint8_t)shard, v[8];
	MDB_val key = { 1, &k }, value = { sizeof(v), v }, old;
	int err = mdb_get(writer->txn, writer->dbi[DB_SHARDS], &key, &old);
	if (err != 0 && err != MDB_NOTFOUND)
		return err;
	if (err == 0 && old.mv_size != sizeof(v))
		return MDB_CORRUPTED;
	uint64_t recorded = err == 0 ? get_le64(old.mv_data) : 0;
	uint64_t state = touched ? 0 : recorded;
	if (merge->set_shards && recorded == merge->before[shard]
			&& merge->now[shard] != merge->before[shard])
		state = merge->now[shard];
	if (state == recorded)
		return 0;
	put_le64(v, state);
	return mdb_put(writer->txn, writer->dbi[DB_SHARDS], &key, &value, 0);
}

static int update_shards(struct writer *writer)
{
	bool touched[256] = { false };
	int err = 0;
	find_touched(writer, touched);
	for (unsigned i = 0; i < 256 && err == 0; i++)
		err = update_shard(writer, i, touched[i]);
	return err;
}

static int put_generation(struct writer *writer)
{
	uint8_t v[8];
	MDB_val key = text_key(INDEX_KEY_GENERATION), value = { sizeof(v), v };
	put_le64(v, writer->generation + 1);
	return mdb_put(writer->txn, writer->dbi[DB_META], &key, &value, 0);
}

static int finish(struct writer *writer)
{
	const struct index_merge *merge = writer->merge;
	int err = 0;
	for (uint32_t i = 0; merge->run != NULL && i < merge->run->pack_count;
			i++) {
		if (writer->numbers[i] != 0)
			err = put_pack(writer, &merge->run->packs[i],
					writer->numbers[i]);
		if (err != 0)
			return err;
		tick(writer);
	}
	for (size_t i = 0; i < merge->removed_count; i++) {
		err = remove_pack(writer, &merge->removed[i]);
		if (err != 0)
			return err;
		tick(writer);
	}
	err = update_shards(writer);
	return err == 0 ? put_generation(writer) : err;
}

/* --- chunk entries --- */

struct copies {
	uint8_t bytes[4 * INDEX_COPIES_MAX];
	uint32_t count;
};

static void add_copy(struct copies *copies, uint32_t number)
{
	if (copies->count == INDEX_COPIES_MAX)
		return;
	for (uint32_t i = 0; i < copies->count; i++)
		if (get_le32(copies->bytes + 4 * i) == number)
			return;
	put_le32(copies->bytes + 4 * copies->count++, number);
}

static bool number_lives(struct writer *writer, uint32_t number)
{
	uint8_t be[4];
	MDB_val key = { sizeof(be), be }, value;
	put_be32(be, number);
	return mdb_get(writer->txn, writer->dbi[DB_PACKS], &key, &value) == 0;
}

/* Adds the copies that the tree has under KEY already. */
static int add_older(struct writer *writer, const MDB_val *key,
		struct copies *copies)
{
	uint8_t old[4 * INDEX_COPIES_MAX];
	MDB_val k = *key, value;
	int err = mdb_cursor_get(writer->chunks, &k, &value, MDB_SET);
	if (err != 0)
		return err == MDB_NOTFOUND ? 0 : err;
	if (value.mv_size > sizeof(old) || value.mv_size % 4 != 0)
		return MDB_CORRUPTED;
	size_t len = value.mv_size;
	memcpy(old, value.mv_data, len);
	for (size_t i = 0; i < len; i += 4)
		if (number_lives(writer, get_le32(old + i)))
			add_copy(copies, get_le32(old + i));
	return 0;
}

static int put_chunk(struct writer *writer, uint64_t key, struct copies *copies)
{
	uint8_t k[8];
	MDB_val mkey = { sizeof(k), k };
	bool append = !writer->has_last || key > writer->last_key;
	put_be64(k, key);
	if (writer->filter != NULL)
		index_filter_add(writer->filter, key);
	if (!append) {
		int err = add_older(writer, &mkey, copies);
		if (err != 0)
			return err;
	}
	MDB_val value = { 4 * copies->count, copies->bytes };
	int err = mdb_cursor_put(writer->chunks, &mkey, &value,
			append ? MDB_APPEND : 0);
	if (err != 0)
		return err;
	if (append) {
		writer->has_last = true;
		writer->last_key = key;
	}
	return 0;
}

static int find_last_key(struct writer *writer)
{
	MDB_val key, value;
	int err = mdb_cursor_get(writer->chunks, &key, &value, MDB_LAST);
	writer->has_last = err == 0;
	if (err == MDB_NOTFOUND)
		return 0;
	if (err == 0 && key.mv_size != 8)
		return MDB_CORRUPTED;
	if (err == 0)
		writer->last_key = get_be64(key.mv_data);
	return err;
}

/* Entries FROM to TO of the run; equal keys are never parted. */
static int put_entries(struct writer *writer, uint32_t from, uint32_t to)
{
	const struct index_run *run = writer->merge->run;
	const struct run_entry *entry = run->entries;
	int err = mdb_cursor_open(writer->txn, writer->dbi[DB_CHUNKS],
			&writer->chunks);
	if (err == 0)
		err = find_last_key(writer);
	while (err == 0 && from < to) {
		struct copies c = { .count = 0 };
		uint64_t key = entry[from].key;
		for (; from < to && entry[from].key == key; from++) {
			if (writer->numbers[entry[from].pack] != 0)
				add_copy(&c, writer->numbers[entry[from].pack]);
			tick(writer);
		}
		if (c.count > 0)
			err = put_chunk(writer, key, &c);
	}
	return err;
}

/* --- transactions --- */

struct part {
	uint32_t from, to; /* entries */
	bool first, last;
};

static int try_part(struct writer *writer, const struct part *part)
{
	helper_alive(writer->helper);
	int err = mdb_txn_begin(writer->env, NULL, 0, &writer->txn);
	if (err != 0)
		return err;
	if (part->first && writer->merge->run != NULL)
		err = take_numbers(writer);
	if (err == 0 && writer->merge->run != NULL && part->to > part->from)
		err = put_entries(writer, part->from, part->to);
	if (err == 0 && part->last)
		err = finish(writer);
	if (err != 0) {
		mdb_txn_abort(writer->txn);
		return err;
	}
	helper_alive(writer->helper);
	return mdb_txn_commit(writer->txn);
}

static int enlarge_map(struct writer *writer)
{
	MDB_envinfo info;
	int err = mdb_env_info(writer->env, &info);
	if (err != 0 || info.me_mapsize > MAP_SIZE_LIMIT / 2)
		return ENOSPC;
	return mdb_env_set_mapsize(writer->env, info.me_mapsize * 2);
}

static int write_part(struct writer *writer, const struct part *part)
{
	for (;;) {
		int err = try_part(writer, part);
		if (err == 0)
			return cover_last_page(writer);
		if (err != MDB_MAP_FULL)
			return err;
		err = enlarge_map(writer);
		if (err != 0)
			return err;
	}
}

/* How many entries make a transaction: consecutive ones share leaves if there
 * are more entries than leaves. */
static uint32_t part_size(const struct writer *writer, uint32_t entries)
{
	uint64_t per_leaf =
			writer->leaves > 0 ? entries / writer->leaves : entries;
	uint64_t n = DIRTY_PAGES * max_u64(per_leaf, 1);
	n = max_u64(min_u64(n, writer->request->txn_entries), 1);
	return (uint32_t)n;
}

static int write_parts(struct writer *writer)
{
	const struct index_run *run = writer->merge->run;
	uint32_t count = run != NULL ? run->entry_count : 0;
	uint32_t size = part_size(writer, count);
	struct part p = { .first = true };
	do {
		p.to = count - p.from > size ? p.from + size : count;
		while (p.to < count
				&& run->entries[p.to].key
						== run->entries[p.to - 1].key)
			p.to++;
		p.last = p.to == count;
		int err = write_part(writer, &p);
		if (err != 0)
			return err;
		p.from = p.to;
		p.first = false;
	} while (!p.last);
	return 0;
}

/* --- the filter --- */

static int fill_filter(struct writer *writer)
{
	MDB_cursor *cursor;
	MDB_val key, value;
	uint64_t seen = 0;
	int err = mdb_txn_begin(writer->env, NULL, MDB_RDONLY, &writer->txn);
	if (err != 0)
		return err;
	err = mdb_cursor_open(writer->txn, writer->dbi[DB_CHUNKS], &cursor);
	if (err == 0)
		err = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
	while (err == 0) {
		if (key.mv_size != 8 || ++seen > writer->present)
			return MDB_CORRUPTED;
		index_filter_add(writer->filter, get_be64(key.mv_data));
		tick(writer);
		err = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	mdb_txn_abort(writer->txn);
	return err == MDB_NOTFOUND ? 0 : err;
}

/* Without room for a filter the index does without one. */
static int begin_filter(struct writer *writer)
{
	const struct index_run *run = writer->merge->run;
	uint64_t all = writer->present;
	if (run != NULL)
		all += run->entry_count;
	if (index_filter_resume(&writer->filter, AT_FDCWD, writer->nonce,
			    writer->generation, all)
			== 0)
		return 0;
	if (index_filter_begin(&writer->filter, AT_FDCWD, writer->nonce, all)
			== 0)
		return fill_filter(writer);
	writer->filter = NULL;
	return 0;
}

/* --- the request --- */

static int create(struct writer *writer)
{
	int err = open_env(writer);
	if (err == 0)
		err = cover_last_page(writer);
	if (err == 0)
		mdb_env_close(writer->env);
	return final_result(err);
}

static int merge_all(struct writer *writer)
{
	const struct index_run *run = writer->merge->run;
	uint64_t device, inode;
	int err = index_layout_check(AT_FDCWD, &device, &inode);
	if (err < 0)
		return err == -ENOENT ? -ESTALE : err;
	if (run != NULL) {
		writer->numbers = calloc(run->pack_count + 1,
				sizeof(*writer->numbers));
		if (writer->numbers == NULL)
			return -ENOMEM;
	}
	int rc = open_env(writer);
	if (rc == 0)
		rc = begin_filter(writer);
	if (rc == 0)
		rc = write_parts(writer);
	if (rc == 0 && writer->filter != NULL)
		index_filter_finish(writer->filter, AT_FDCWD,
				writer->generation + 1);
	if (rc == 0)
		mdb_env_close(writer->env);
	return final_result(rc);
}

/* The parent's arrays as they lie behind the request. */
struct arrays {
	struct index_run run;
	struct index_merge merge;
};

static void find_arrays(struct arrays *arrays,
		const struct wire_request *request)
{
	uint8_t *at = (uint8_t *)request + sizeof(*request);
	arrays->run = (struct index_run){ .entries = (struct run_entry *)at,
		.entry_count = request->entry_count,
		.pack_count = request->pack_count };
	at += request->entry_count * sizeof(struct run_entry);
	arrays->run.packs = (struct run_pack *)at;
	at += request->pack_count * sizeof(struct run_pack);
	arrays->merge = (struct index_merge){
		.run = request->has_run ? &arrays->run : NULL,
		.removed = (const struct pack_id *)at,
		.removed_count = request->removed_count,
		.set_shards = request->set_shards,
	};
	memcpy(arrays->merge.before, request->before, sizeof(request->before));
	memcpy(arrays->merge.now, request->now, sizeof(request->now));
}
_Static_assert(sizeof(struct wire_request) % _Alignof(struct run_entry) == 0,
		"entries lie where they may");

static const struct wire_request *map_request(const struct helper *helper)
{
	struct stat st;
	if (fstat(helper->request, &st) < 0
			|| (size_t)st.st_size < sizeof(struct wire_request))
		return NULL;
	void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE,
			helper->request, 0);
	return map != MAP_FAILED ? map : NULL;
}

int helper_write_main(const struct helper *helper)
{
	struct arrays arrays;
	const struct wire_request *request = map_request(helper);
	if (request == NULL)
		helper_end(helper, -EIO);
	find_arrays(&arrays, request);
	helper_limit(request->cpu_seconds);
	struct writer writer = { .helper = helper,
		.request = request,
		.identity = &request->identity,
		.nonce = request->create ? NULL : request->nonce,
		.merge = &arrays.merge };
	helper_end(helper,
			request->create ? create(&writer) : merge_all(&writer));
}
