/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inode numbers and what they stand for: a hash table whose entries live in
 * the objects that have the numbers. Numbers are 63 bits of BLAKE2b over what
 * identifies the thing for good, so they are the same in every mount of the
 * repository and are not used again for another thing.
 * Threading: callers lock.
 */
#ifndef AMBERFS_FS_INODES_H
#define AMBERFS_FS_INODES_H

#include <stddef.h>
#include <stdint.h>

#define INODE_ROOT 1

struct inode {
	uint64_t number;
	struct inode *next; /* belongs to inodes.c */
};

struct inodes {
	struct inode **buckets;
	size_t bucket_count; /* a power of two, or 0 */
	size_t count;
};

void inodes_clear(struct inodes *inodes); /* the table, not what is in it */

/* Makes room for MORE entries, so that inodes_add can't fail. 0 or -ENOMEM. */
int inodes_reserve(struct inodes *inodes, size_t more);

/* Gives I the number derived from KEY, or, if that is taken, the next one
 * derived from KEY. */
void inodes_add(struct inodes *inodes, struct inode *inode, const void *key,
		size_t key_len);
/* The same with a given number. */
void inodes_add_numbered(struct inodes *inodes, struct inode *inode,
		uint64_t number);
void inodes_remove(struct inodes *inodes, struct inode *inode);

struct inode *inodes_find(const struct inodes *inodes, uint64_t number);

/* What inodes_add would try first. */
uint64_t inodes_number(const void *key, size_t key_len);

#endif
