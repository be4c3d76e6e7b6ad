/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What became of the nodes of the image that is being copied: one that occurs
 * in it again is taken over instead of read. Of bounded size; what it forgets is
 * read again. Threading: calls may run at once, but for copy_memo_clear.
 */
#ifndef AMBERFS_COPY_COPY_MEMO_H
#define AMBERFS_COPY_COPY_MEMO_H

#include "repo/format/node.h"

struct copy_memo;

struct copy_memo *copy_memo_new(void);	     /* NULL without memory */
void copy_memo_free(struct copy_memo *memo); /* NULL allowed */
/* Of another image now. */
void copy_memo_clear(struct copy_memo *memo);

/* A whole node of LEVEL (0: a leaf): FROM is its entry in the tree that is
 * read, TO in the one that is written. */
void copy_memo_put(struct copy_memo *memo, uint8_t level,
		const struct node_child *from, const struct node_child *to);
/* True, and TO, if such an entry was put: the sums must be the same, too, as
 * nobody has compared them with the node. */
bool copy_memo_get(struct copy_memo *memo, uint8_t level,
		const struct node_child *from, struct node_child *to);

#endif
