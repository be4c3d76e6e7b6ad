/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A list of objects' names, as store_list gives them. One thread at a time. */
#ifndef AMBERFS_STORE_NAMES_H
#define AMBERFS_STORE_NAMES_H

#include "store.h"

struct names {	      /* begins zeroed */
	char **items; /* each from malloc */
	size_t count, room;
};

/* A store_list_fn: CTX is the struct names; appends a copy of NAME. 0 or
 * -ENOMEM with a text. */
int names_add(void *ctx, const char *name);
void names_sort(struct names *names);			      /* as strcmp */
bool names_have(const struct names *names, const char *name); /* sorted */
void names_clear(struct names *names);

#endif
