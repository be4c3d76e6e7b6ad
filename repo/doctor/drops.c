/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "drops.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/cleanup.h"

/* The number of the word NAME in LINE, from 0; -1: it is not there. */
static int column_of(const char *line, const char *name)
{
	size_t len = strlen(name);
	for (int n = 0; *line != '\0'; n++) {
		size_t word = strcspn(line, " \n");
		if (word == len && strncmp(line, name, len) == 0)
			return n;
		line += word;
		line += strspn(line, " \n");
	}
	return -1;
}

static uint64_t word_at(const char *line, int column, int base)
{
	for (; column > 0; column--) {
		line += strcspn(line, " \n");
		line += strspn(line, " \n");
	}
	return strtoull(line, NULL, base);
}

/* The sum of the column NAME over the lines after the one that names it, or its
 * number in the first of them. */
static uint64_t sum(const char *path, const char *name, int base, bool all)
{
	CLEANUP_FREE char *line = NULL;
	size_t room = 0;
	uint64_t total = 0;
	int column = -1;
	FILE *f = fopen(path, "re");
	if (f == NULL)
		return 0;
	while (getline(&line, &room, f) > 0) {
		if (column < 0) {
			column = column_of(line, name);
			continue;
		}
		total += word_at(line, column, base);
		if (!all)
			break;
	}
	fclose(f);
	return total;
}

void drops_read(struct drops *out)
{
	/* A line for each processor, hexadecimal. */
	out->martian = sum("/proc/net/stat/rt_cache", "in_martian_src", 16,
			true);
	/* A line of names and a line of numbers for each protocol. */
	out->filter = sum("/proc/net/netstat", "IPReversePathFilter", 10,
			false);
}

uint64_t drops_between(const struct drops *before, const struct drops *after)
{
	uint64_t martian = after->martian - before->martian;
	uint64_t filter = after->filter - before->filter;
	/* What is counted by processor wraps at 32 bits. */
	martian &= UINT32_MAX;
	return martian > filter ? martian : filter;
}
