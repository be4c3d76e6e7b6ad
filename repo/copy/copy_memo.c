/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A table with one place for each remainder of an id, which the last comer has. */
#include "copy_memo.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/thread_safety.h"

#define PLACES 65536u /* of about 100 bytes */

struct place {
	struct node_child from, to;
	uint8_t level;
	bool used;
};

struct copy_memo {
	pthread_mutex_t mutex;
	struct place places[PLACES] GUARDED_BY(mutex);
};

struct copy_memo *copy_memo_new(void)
{
	struct copy_memo *memo = calloc(1, sizeof(*memo));
	if (memo != NULL)
		pthread_mutex_init(&memo->mutex, NULL);
	return memo;
}

void copy_memo_free(struct copy_memo *memo)
{
	if (memo == NULL)
		return;
	pthread_mutex_destroy(&memo->mutex);
	free(memo);
}

void copy_memo_clear(struct copy_memo *memo)
{
	LOCK_SCOPE(&memo->mutex);
	for (unsigned i = 0; i < PLACES; i++)
		memo->places[i].used = false;
}

static struct place *place_of(struct copy_memo *memo, const struct id *id)
		REQUIRES(memo->mutex)
{
	return &memo->places[get_le32(id->b) % PLACES];
}

static bool same_child(const struct node_child *a, const struct node_child *b)
{
	return id_equal(&a->id, &b->id) && a->data_bytes == b->data_bytes
			&& a->clusters == b->clusters;
}

void copy_memo_put(struct copy_memo *memo, uint8_t level,
		const struct node_child *from, const struct node_child *to)
{
	LOCK_SCOPE(&memo->mutex);
	*place_of(memo, &from->id) = (struct place){ .from = *from,
		.to = *to,
		.level = level,
		.used = true };
}

bool copy_memo_get(struct copy_memo *memo, uint8_t level,
		const struct node_child *from, struct node_child *to)
{
	LOCK_SCOPE(&memo->mutex);
	const struct place *place = place_of(memo, &from->id);
	if (!place->used || place->level != level
			|| !same_child(&place->from, from))
		return false;
	*to = place->to;
	return true;
}
