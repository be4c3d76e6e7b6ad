/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names in an array that doubles. */
#include "names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/error.h"

static int no_memory(void)
{
	return fail_errno(-ENOMEM, "listing the repository");
}

int names_add(void *ctx, const char *name)
{
	struct names *n = ctx;
	if (n->count == n->room) {
		size_t room = n->room ? 2 * n->room : 64;
		char **more = realloc(n->items, room * sizeof(*more));
		if (more == NULL)
			return no_memory();
		n->items = more;
		n->room = room;
	}
	char *copy = strdup(name);
	if (copy == NULL)
		return no_memory();
	n->items[n->count++] = copy;
	return 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void names_sort(struct names *n)
{
	if (n->count > 1)
		qsort(n->items, n->count, sizeof(char *), compare);
}

bool names_have(const struct names *n, const char *name)
{
	return n->count > 0 && bsearch(&name, n->items, n->count,
					       sizeof(char *), compare) != NULL;
}

void names_clear(struct names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->items[i]);
	free(n->items);
	*n = (struct names){ .items = NULL };
}
