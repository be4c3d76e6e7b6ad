/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Chained hash table; the numbers are hashes already. */
#include "inodes.h"

#include "repo/base/bytes.h"
#include "repo/crypto/seal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX 512

void inodes_clear(struct inodes *t)
{
	free(t->buckets);
	*t = (struct inodes){ 0 };
}

static struct inode **bucket(const struct inodes *t, uint64_t number)
{
	return &t->buckets[number & (t->bucket_count - 1)];
}

int inodes_reserve(struct inodes *t, size_t more)
{
	size_t want = t->bucket_count == 0 ? 64 : t->bucket_count;
	while (want < t->count + more)
		want *= 2;
	if (want == t->bucket_count)
		return 0;
	struct inodes bigger = { calloc(want, sizeof(struct inode *)), want,
		t->count };
	if (bigger.buckets == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < t->bucket_count; i++) {
		struct inode *next;
		for (struct inode *e = t->buckets[i]; e != NULL; e = next) {
			struct inode **to = bucket(&bigger, e->number);
			next = e->next;
			e->next = *to;
			*to = e;
		}
	}
	free(t->buckets);
	*t = bigger;
	return 0;
}

static uint64_t number_of(const void *key, size_t key_len, uint8_t attempt)
{
	uint8_t text[KEY_MAX + 1], hash[16];
	if (key_len > KEY_MAX)
		key_len = KEY_MAX;
	text[0] = attempt;
	memcpy(text + 1, key, key_len);
	seal_hash(hash, sizeof(hash), text, key_len + 1);
	/* Some programs take inode numbers for signed ones. */
	return get_le64(hash) & INT64_MAX;
}

uint64_t inodes_number(const void *key, size_t key_len)
{
	return number_of(key, key_len, 0);
}

void inodes_add(struct inodes *t, struct inode *i, const void *key,
		size_t key_len)
{
	uint64_t number = number_of(key, key_len, 0);
	for (uint8_t attempt = 1; attempt != 0; attempt++) {
		if (number > INODE_ROOT && inodes_find(t, number) == NULL)
			break;
		number = number_of(key, key_len, attempt);
	}
	inodes_add_numbered(t, i, number);
}

void inodes_add_numbered(struct inodes *t, struct inode *i, uint64_t number)
{
	struct inode **to = bucket(t, number);
	i->number = number;
	i->next = *to;
	*to = i;
	t->count++;
}

void inodes_remove(struct inodes *t, struct inode *i)
{
	struct inode **at = bucket(t, i->number);
	while (*at != i)
		at = &(*at)->next;
	*at = i->next;
	t->count--;
}

struct inode *inodes_find(const struct inodes *t, uint64_t number)
{
	struct inode *i = t->bucket_count == 0 ? NULL : *bucket(t, number);
	while (i != NULL && i->number != number)
		i = i->next;
	return i;
}
