/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * amberfs-index as it reads the LMDB environment of the current directory and
 * answers questions, until its channel ends. Opened read-only; every value is
 * bounds-checked, and no transaction stays open between questions. A fault ends
 * this process, which tells the parent that the index is damaged.
 *
 * The read transaction is made once, at the opening, and then renewed: making
 * one takes a mutex in LMDB's shared lock file, which a stopped process could
 * hold. This file writes nothing but LMDB's reader table.
 */
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "repo/base/bytes.h"

/* Reader slots in the lock file, for all processes of this machine. */
#define READERS_MAX 1022
/* Processor time that any machine has an answer in. */
#define ANSWER_SECONDS 30

struct reader {
	MDB_env *env;
	MDB_dbi dbi[INDEX_DBS];
	MDB_txn *txn;
	struct index_identity identity;
	struct wire_greeting greeting;
};

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

static int check_identity(struct reader *reader)
{
	MDB_val key = { sizeof(INDEX_KEY_RECORD) - 1,
		(char *)INDEX_KEY_RECORD };
	MDB_val value;
	int err = mdb_get(reader->txn, reader->dbi[DB_META], &key, &value);
	if (err != 0)
		return -EBADMSG;
	return index_layout_check_record(value.mv_data, value.mv_size,
			&reader->identity, reader->greeting.device,
			reader->greeting.inode, reader->greeting.nonce);
}

static int open_databases(struct reader *reader)
{
	for (int i = 0; i < INDEX_DBS; i++) {
		unsigned flags;
		MDB_dbi *dbi = &reader->dbi[i];
		if (mdb_dbi_open(reader->txn, index_db_names[i], 0, dbi) != 0
				|| mdb_dbi_flags(reader->txn, *dbi, &flags) != 0
				|| flags != 0)
			return -EBADMSG;
	}
	return check_identity(reader);
}

static int begin(struct reader *reader)
{
	int dead;
	int err = mdb_txn_begin(reader->env, NULL, MDB_RDONLY, &reader->txn);
	if (err == MDB_READERS_FULL) {
		mdb_reader_check(reader->env, &dead);
		err = mdb_txn_begin(reader->env, NULL, MDB_RDONLY,
				&reader->txn);
	}
	if (err == MDB_MAP_RESIZED) {
		err = mdb_env_set_mapsize(reader->env, 0);
		if (err == 0)
			err = mdb_txn_begin(reader->env, NULL, MDB_RDONLY,
					&reader->txn);
	}
	return result(err);
}

static int open_env(struct reader *reader)
{
	struct wire_greeting *greeting = &reader->greeting;
	struct stat st;
	int fd;
	int err = index_layout_check(AT_FDCWD, &greeting->device,
			&greeting->inode);
	if (err < 0)
		return err;
	if (mdb_env_create(&reader->env) != 0)
		return -ENOMEM;
	mdb_env_set_maxdbs(reader->env, INDEX_DBS);
	mdb_env_set_maxreaders(reader->env, READERS_MAX);
	int rc = mdb_env_open(reader->env, ".",
			MDB_RDONLY | MDB_NOTLS | MDB_NORDAHEAD, 0600);
	if (rc != 0)
		return result(rc);
	/* The file that was checked, not one put there since. */
	if (mdb_env_get_fd(reader->env, &fd) != 0 || fstat(fd, &st) < 0
			|| st.st_dev != greeting->device
			|| st.st_ino != greeting->inode)
		return -EBADMSG;
	err = begin(reader);
	if (err < 0)
		return err;
	err = open_databases(reader);
	if (err < 0)
		return err;
	rc = mdb_txn_commit(reader->txn); /* keeps the handles */
	if (rc != 0)
		return result(rc);
	err = begin(reader);
	if (err == 0)
		mdb_txn_reset(reader->txn);
	return err;
}

/* --- reading --- */

/* The bytes that are sent: the head, and COUNT items. */
struct answer {
	struct wire_answer head;
	uint8_t *bytes;
	size_t size, room;
};

static int begin_answer(struct answer *answer)
{
	answer->head = (struct wire_answer){ .err = 0 };
	answer->size = sizeof(answer->head);
	if (answer->bytes != NULL)
		return 0;
	answer->room = 4096;
	answer->bytes = malloc(answer->room);
	return answer->bytes != NULL ? 0 : -ENOMEM;
}

static int add_item(struct answer *answer, const void *item, size_t len)
{
	if (answer->size + len > answer->room) {
		size_t room = answer->room * 2;
		void *p = realloc(answer->bytes, room);
		if (p == NULL)
			return -ENOMEM;
		answer->bytes = p;
		answer->room = room;
	}
	memcpy(answer->bytes + answer->size, item, len);
	answer->size += len;
	answer->head.count++;
	return 0;
}

/* The id of pack NUMBER: 1, 0 if it went, -EBADMSG. */
static int pack_of(struct reader *reader, uint32_t number, struct pack_id *id)
{
	uint8_t k[4];
	MDB_val key = { sizeof(k), k }, value;
	put_be32(k, number);
	int err = mdb_get(reader->txn, reader->dbi[DB_PACKS], &key, &value);
	if (err == MDB_NOTFOUND)
		return 0;
	if (err != 0 || value.mv_size != INDEX_PACK_SIZE)
		return -EBADMSG;
	memcpy(id->b, value.mv_data, PACK_ID_SIZE);
	return 1;
}

static int find(struct reader *reader, const struct wire_question *question,
		struct answer *answer)
{
	uint8_t k[8], numbers[4 * INDEX_COPIES_MAX];
	MDB_val key = { sizeof(k), k }, value;
	put_be64(k, question->key);
	int rc = mdb_get(reader->txn, reader->dbi[DB_CHUNKS], &key, &value);
	if (rc == MDB_NOTFOUND)
		return 0;
	if (rc != 0 || value.mv_size > sizeof(numbers)
			|| value.mv_size % 4 != 0)
		return -EBADMSG;
	size_t len = value.mv_size;
	memcpy(numbers, value.mv_data, len);
	for (size_t i = 0; i < len && answer->head.count < question->number;
			i += 4) {
		struct pack_id id;
		int err = pack_of(reader, get_le32(numbers + i), &id);
		if (err > 0)
			err = add_item(answer, &id, sizeof(id));
		if (err < 0)
			return err;
	}
	return 0;
}

static int list_packs(struct reader *reader,
		const struct wire_question *question, struct answer *answer)
{
	uint8_t first[PACK_ID_SIZE] = { (uint8_t)question->number };
	MDB_val key = { sizeof(first), first }, value;
	MDB_cursor *cursor;
	int err = 0;
	int rc = mdb_cursor_open(reader->txn, reader->dbi[DB_NAMES], &cursor);
	if (rc != 0)
		return result(rc);
	rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	while (rc == 0 && err == 0) {
		/* A damaged tree could loop forever. */
		if (key.mv_size != PACK_ID_SIZE
				|| answer->head.count == WIRE_PACKS_MAX)
			err = -EBADMSG;
		else if (*(const uint8_t *)key.mv_data != question->number)
			break;
		else
			err = add_item(answer, key.mv_data, PACK_ID_SIZE);
		rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	if (err == 0 && rc != 0 && rc != MDB_NOTFOUND)
		err = -EBADMSG;
	return err;
}

static int list_shards(struct reader *reader, struct answer *answer)
{
	int err = 0;
	for (unsigned i = 0; i < 256 && err == 0; i++) {
		uint8_t k = (uint8_t)i;
		uint64_t state = 0;
		MDB_val key = { 1, &k }, value;
		int rc = mdb_get(reader->txn, reader->dbi[DB_SHARDS], &key,
				&value);
		if (rc == 0 && value.mv_size == 8)
			state = get_le64(value.mv_data);
		else if (rc != MDB_NOTFOUND)
			return -EBADMSG;
		err = add_item(answer, &state, sizeof(state));
	}
	return err;
}

static int count(struct reader *reader, struct answer *answer)
{
	struct index_env_numbers numbers = { 0 };
	MDB_stat chunks, packs;
	MDB_val key = { sizeof(INDEX_KEY_GENERATION) - 1,
		(char *)INDEX_KEY_GENERATION };
	MDB_val value;
	struct stat st;
	int fd;
	if (mdb_stat(reader->txn, reader->dbi[DB_CHUNKS], &chunks) != 0
			|| mdb_stat(reader->txn, reader->dbi[DB_PACKS], &packs)
					!= 0)
		return -EBADMSG;
	int err = mdb_get(reader->txn, reader->dbi[DB_META], &key, &value);
	if (err != 0 || value.mv_size != 8)
		return -EBADMSG;
	numbers.chunks = chunks.ms_entries;
	numbers.packs = packs.ms_entries;
	numbers.generation = get_le64(value.mv_data);
	if (mdb_env_get_fd(reader->env, &fd) == 0 && fstat(fd, &st) == 0)
		numbers.file_bytes = (uint64_t)st.st_size;
	return add_item(answer, &numbers, sizeof(numbers));
}

static int look_up(struct reader *reader, const struct wire_question *question,
		struct answer *answer)
{
	switch (question->what) {
	case WIRE_FIND:
		return find(reader, question, answer);
	case WIRE_PACKS:
		return list_packs(reader, question, answer);
	case WIRE_SHARDS:
		return list_shards(reader, answer);
	case WIRE_NUMBERS:
		return count(reader, answer);
	default:
		return -EINVAL;
	}
}

/* --- answering --- */

static int renew(struct reader *reader)
{
	int rc = mdb_txn_renew(reader->txn);
	if (rc != MDB_MAP_RESIZED)
		return result(rc);
	/* Another process has let the file grow beyond the map. */
	rc = mdb_env_set_mapsize(reader->env, 0);
	return result(rc == 0 ? mdb_txn_renew(reader->txn) : rc);
}

static bool send_bytes(const struct helper *helper, const void *data,
		size_t len)
{
	const uint8_t *at = data;
	while (len > 0) {
		ssize_t n = write(helper->channel, at, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

static bool receive(const struct helper *helper, void *data, size_t len)
{
	uint8_t *at = data;
	while (len > 0) {
		ssize_t n = read(helper->channel, at, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

/* SIGPROF ends an endless loop. Set once a second, as this costs as much as
 * an answer. */
static void start_clock(void)
{
	static time_t set;
	struct timespec now;
	struct itimerval limit = { .it_value.tv_sec = ANSWER_SECONDS };
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (set == now.tv_sec)
		return;
	set = now.tv_sec;
	setitimer(ITIMER_PROF, &limit, NULL);
}

static bool answer_one(const struct helper *helper, struct reader *reader,
		struct answer *answer)
{
	struct wire_question question;
	if (!receive(helper, &question, sizeof(question)))
		return false;
	start_clock();
	int err = begin_answer(answer);
	if (err < 0)
		return false;
	err = renew(reader);
	if (err == 0)
		err = look_up(reader, &question, answer);
	mdb_txn_reset(reader->txn);
	if (err < 0) {
		answer->head = (struct wire_answer){ .err = err };
		answer->size = sizeof(answer->head);
	}
	memcpy(answer->bytes, &answer->head, sizeof(answer->head));
	return send_bytes(helper, answer->bytes, answer->size);
}

int helper_read_main(const struct helper *helper)
{
	struct reader reader = { .env = NULL };
	struct answer answer = { .bytes = NULL };
	start_clock();
	if (!receive(helper, &reader.identity, sizeof(reader.identity)))
		return 0;
	reader.greeting.err = open_env(&reader);
	bool said = send_bytes(helper, &reader.greeting,
			sizeof(reader.greeting));
	if (said && reader.greeting.err == 0)
		while (answer_one(helper, &reader, &answer))
			;
	/* Gives its slot in the reader table back. */
	if (reader.env != NULL && reader.greeting.err == 0) {
		mdb_txn_abort(reader.txn);
		mdb_env_close(reader.env);
	}
	_exit(0);
}
