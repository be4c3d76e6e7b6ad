/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The LMDB environment as this process sees it: through questions to
 * amberfs-index, which has it mapped. Whatever is in the files, it can only
 * make that process give wrong answers, crash or stay silent; each answer is
 * bounds-checked, and a pack that it names counts only when the pack's trailer
 * says so (pack_cache.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "index_internal.h"
#include "index_wire.h"
#include "repo/base/cleanup.h"

#define OPEN_TRIES 3

struct index_env {
	uint64_t device, inode;
	uint8_t nonce[INDEX_NONCE_SIZE];
	atomic_int broken; /* 0; -EBADMSG, -EAGAIN: nothing more is answered */
	pthread_mutex_t mutex;
	struct index_child child GUARDED_BY(mutex);
};

/* --- bytes --- */

static int send_all(int fd, const void *data, size_t len)
{
	const uint8_t *at = data;
	while (len > 0) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -EPIPE;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

static void limit_silence(int fd)
{
	struct timeval limit = { .tv_sec = index_tuning.silence_ms / 1000,
		.tv_usec = index_tuning.silence_ms % 1000 * 1000 };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

/* 0; -EPIPE: it died; -ETIMEDOUT: it is silent. */
static int receive_all(int fd, void *data, size_t len)
{
	uint8_t *at = data;
	while (len > 0) {
		ssize_t n = recv(fd, at, len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return -ETIMEDOUT;
		if (n <= 0)
			return -EPIPE;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

/* --- opening --- */

/* Ends the child. What it died of, where that was no kill of ours: else
 * WHY. */
static int end_child(struct index_child *child, int why)
{
	if (child->pid <= 0)
		return why;
	bool died = why == -EPIPE;
	int err = index_child_end(child, !died);
	child->pid = 0;
	if (!died)
		return why;
	return err != 0 ? err : -EBADMSG;
}

static int greet(struct index_env *env, const struct index_identity *identity)
{
	struct wire_greeting greeting = { .err = 0 };
	not_shared(&env->mutex);
	limit_silence(env->child.fd);
	int err = send_all(env->child.fd, identity, sizeof(*identity));
	if (err == 0)
		err = receive_all(env->child.fd, &greeting, sizeof(greeting));
	if (err == -ETIMEDOUT)
		err = -EAGAIN;
	if (err < 0)
		return end_child(&env->child, err);
	if (greeting.err != 0)
		return greeting.err < 0 ? greeting.err : -EBADMSG;
	env->device = greeting.device;
	env->inode = greeting.inode;
	memcpy(env->nonce, greeting.nonce, sizeof(env->nonce));
	return 0;
}

static int open_once(struct index_env **out, const struct index_place *place,
		const struct index_identity *identity)
{
	struct index_env *env = calloc(1, sizeof(*env));
	if (env == NULL)
		return -ENOMEM;
	pthread_mutex_init(&env->mutex, NULL);
	not_shared(&env->mutex);
	int err = index_child_start(&env->child, place, WIRE_READ, -1, -1);
	if (err == 0)
		err = greet(env, identity);
	if (err < 0) {
		index_env_close(env);
		return err;
	}
	*out = env;
	return 0;
}

int index_env_open(struct index_env **out, const struct index_place *place,
		const struct index_identity *identity)
{
	int err = index_layout_present(place->dir);
	if (err < 0)
		return err;
	/* Without the writers' lock a commit may be under way just now, which
	 * looks like damage for a moment. */
	for (int try = 0; try < OPEN_TRIES; try++) {
		err = open_once(out, place, identity);
		if (err != -EBADMSG && err != -EAGAIN)
			return err;
	}
	return err;
}

void index_env_close(struct index_env *env)
{
	if (env == NULL)
		return;
	not_shared(&env->mutex);
	if (env->child.pid > 0)
		index_child_end(&env->child, false);
	pthread_mutex_destroy(&env->mutex);
	free(env);
}

int index_env_broken(const struct index_env *env)
{
	return atomic_load(&env->broken);
}

bool index_env_current(const struct index_env *env,
		const struct index_place *place)
{
	struct stat st;
	return fstatat(place->dir, INDEX_DATA_FILE, &st, AT_SYMLINK_NOFOLLOW)
			== 0
			&& st.st_dev == env->device && st.st_ino == env->inode;
}

const uint8_t *index_env_nonce(const struct index_env *env)
{
	return env->nonce;
}

/* --- asking --- */

/* An answer with its items, which are SIZE bytes each and MAX at most: *ITEMS,
 * malloc'ed. Their number or -errno. */
static int exchange(struct index_env *env, const struct wire_question *question,
		void **items, size_t size, uint32_t max) REQUIRES(env->mutex)
{
	struct wire_answer answer = { .err = 0 };
	int fd = env->child.fd;
	int err = send_all(fd, question, sizeof(*question));
	if (err == 0)
		err = receive_all(fd, &answer, sizeof(answer));
	if (err < 0)
		return err;
	if (answer.err == -ENOMEM)
		return -ENOMEM;
	if (answer.err != 0 || answer.count > max)
		return -EBADMSG;
	/* Room for it also where there is none: NULL says no memory. */
	*items = calloc((size_t)answer.count + 1, size);
	if (*items == NULL)
		return -ENOMEM;
	err = receive_all(fd, *items, answer.count * size);
	return err < 0 ? err : (int)answer.count;
}

static int ask(struct index_env *env, const struct wire_question *question,
		void **items, size_t size, uint32_t max)
{
	LOCK_SCOPE(&env->mutex);
	same_lock(&env->mutex);
	*items = NULL;
	int broken = atomic_load(&env->broken);
	if (broken != 0)
		return -EBADMSG;
	int n = exchange(env, question, items, size, max);
	if (n >= 0)
		return n;
	free(take_ptr(*items));
	/* A part of the answer may be left on the way. */
	n = end_child(&env->child, n);
	atomic_store(&env->broken, n == -EBADMSG ? -EBADMSG : -EAGAIN);
	return n == -ENOMEM ? -ENOMEM : -EBADMSG;
}

int index_env_find(struct index_env *env, uint64_t key, struct pack_id *packs,
		int count, int max)
{
	if (count >= max)
		return count;
	struct wire_question question = { WIRE_FIND,
		max < INDEX_COPIES_MAX ? (uint32_t)max : INDEX_COPIES_MAX,
		key };
	void *items;
	int n = ask(env, &question, &items, sizeof(struct pack_id),
			question.number);
	const struct pack_id *found = items;
	for (int i = 0; i < n; i++)
		count = index_run_join_packs(packs, count, max, &found[i]);
	free(items);
	return n < 0 ? n : count;
}

/* A damaged tree may name any, and any number of times. */
static bool in_order(const struct pack_id *ids, int count, unsigned shard)
{
	for (int i = 0; i < count; i++)
		if (ids[i].b[0] != shard
				|| (i > 0
						&& memcmp(&ids[i - 1], &ids[i],
								   PACK_ID_SIZE)
								>= 0))
			return false;
	return true;
}

int index_env_packs(struct index_env *env, unsigned shard, struct pack_id **ids,
		size_t *count)
{
	struct wire_question question = { WIRE_PACKS, shard, 0 };
	void *items;
	int n = ask(env, &question, &items, sizeof(struct pack_id),
			WIRE_PACKS_MAX);
	if (n >= 0 && !in_order(items, n, shard)) {
		atomic_store(&env->broken, -EBADMSG);
		n = -EBADMSG;
	}
	if (n < 0) {
		free(items);
		return n;
	}
	*ids = items;
	*count = (size_t)n;
	return 0;
}

int index_env_shards(struct index_env *env, uint64_t states[256])
{
	struct wire_question question = { WIRE_SHARDS, 0, 0 };
	void *items;
	int n = ask(env, &question, &items, sizeof(*states), 256);
	if (n == 256)
		memcpy(states, items, 256 * sizeof(*states));
	free(items);
	return n < 0 ? n : n == 256 ? 0 : -EBADMSG;
}

int index_env_numbers(struct index_env *env, struct index_env_numbers *out)
{
	struct wire_question question = { WIRE_NUMBERS, 0, 0 };
	void *items;
	*out = (struct index_env_numbers){ 0 };
	int n = ask(env, &question, &items, sizeof(*out), 1);
	if (n == 1)
		memcpy(out, items, sizeof(*out));
	free(items);
	return n < 0 ? n : n == 1 ? 0 : -EBADMSG;
}
