/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Chained hash table; the numbers are hashes already. */
#include "inodes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/crypto/seal.h"

#define KEY_MAX 512

void inodes_clear(struct inodes *inodes)
{
	free(inodes->buckets);
	*inodes = (struct inodes){ 0 };
}

static struct inode **bucket(const struct inodes *inodes, uint64_t number)
{
	return &inodes->buckets[number & (inodes->bucket_count - 1)];
}

int inodes_reserve(struct inodes *inodes, size_t more)
{
	size_t want = inodes->bucket_count == 0 ? 64 : inodes->bucket_count;
	while (want < inodes->count + more)
		want *= 2;
	if (want == inodes->bucket_count)
		return 0;
	struct inodes bigger = { calloc(want, sizeof(struct inode *)), want,
		inodes->count };
	if (bigger.buckets == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < inodes->bucket_count; i++) {
		struct inode *next;
		for (struct inode *inode = inodes->buckets[i]; inode != NULL;
				inode = next) {
			struct inode **to = bucket(&bigger, inode->number);
			next = inode->next;
			inode->next = *to;
			*to = inode;
		}
	}
	free(inodes->buckets);
	*inodes = bigger;
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

void inodes_add(struct inodes *inodes, struct inode *inode, const void *key,
		size_t key_len)
{
	uint64_t number = number_of(key, key_len, 0);
	for (uint8_t attempt = 1; attempt != 0; attempt++) {
		if (number > INODE_ROOT && inodes_find(inodes, number) == NULL)
			break;
		number = number_of(key, key_len, attempt);
	}
	inodes_add_numbered(inodes, inode, number);
}

void inodes_add_numbered(struct inodes *inodes, struct inode *inode,
		uint64_t number)
{
	struct inode **to = bucket(inodes, number);
	inode->number = number;
	inode->next = *to;
	*to = inode;
	inodes->count++;
}

void inodes_remove(struct inodes *inodes, struct inode *inode)
{
	struct inode **at = bucket(inodes, inode->number);
	while (*at != inode)
		at = &(*at)->next;
	*at = inode->next;
	inodes->count--;
}

struct inode *inodes_find(const struct inodes *inodes, uint64_t number)
{
	struct inode *inode = inodes->bucket_count == 0
			? NULL
			: *bucket(inodes, number);
	while (inode != NULL && inode->number != number)
		inode = inode->next;
	return inode;
}
