/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A hash of ids that outsiders can't predict; see id_hash.h. */
#include "id_hash.h"

#include <pthread.h>
#include <xxhash.h>

static uint64_t seed;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void draw(void)
{
	seal_random(&seed, sizeof(seed));
}

uint64_t id_hash(const struct id *id)
{
	pthread_once(&once, draw);
	return XXH3_64bits_withSeed(id->b, ID_SIZE, seed);
}
