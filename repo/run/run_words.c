/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists of words; see run.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/error.h"
#include "run_internal.h"

int run_words_add(struct run_words *words, const char *word)
{
	char *copy = strdup(word);
	char **grown = reallocarray(words->items, words->count + 2,
			sizeof(*grown));
	if (grown != NULL)
		words->items = grown;
	if (grown == NULL || copy == NULL) {
		free(copy);
		return fail_no_memory("planning a job");
	}
	grown[words->count++] = copy;
	grown[words->count] = NULL;
	return 0;
}

void run_words_clear(struct run_words *words)
{
	for (size_t i = 0; i < words->count; i++)
		free(words->items[i]);
	free(words->items);
	*words = (struct run_words){ 0 };
}
