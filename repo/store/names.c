/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names in an array that doubles. */
#include "names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/error.h"

int names_add(void *ctx, const char *name)
{
	struct names *names = ctx;
	if (names->count == names->room) {
		size_t room = names->room ? 2 * names->room : 64;
		char **more = realloc(names->items, room * sizeof(*more));
		if (more == NULL)
			return fail_no_memory("listing the repository");
		names->items = more;
		names->room = room;
	}
	char *copy = strdup(name);
	if (copy == NULL)
		return fail_no_memory("listing the repository");
	names->items[names->count++] = copy;
	return 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void names_sort(struct names *names)
{
	if (names->count > 1)
		qsort(names->items, names->count, sizeof(char *), compare);
}

bool names_have(const struct names *names, const char *name)
{
	return names->count > 0
			&& bsearch(&name, names->items, names->count,
					   sizeof(char *), compare)
			!= NULL;
}

void names_clear(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->items[i]);
	free(names->items);
	*names = (struct names){ .items = NULL };
}
