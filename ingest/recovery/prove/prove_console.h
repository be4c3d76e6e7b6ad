/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a guest writes to its serial console, as it comes. The guest is not
 * trusted: what is kept is bounded, in memory and on disk.
 */
#ifndef AMBERFS_INGEST_RECOVERY_PROVE_PROVE_CONSOLE_H
#define AMBERFS_INGEST_RECOVERY_PROVE_PROVE_CONSOLE_H

#include <jansson.h>
#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CONSOLE_TEXT_MAX 65536

struct prove_console {
	int fd; /* of the file, which somebody else appends to */
	off_t at;
	size_t len;
	bool in_escape; /* the sequence goes on in what comes next */
	char text[CONSOLE_TEXT_MAX + 1]; /* the last of it, without escapes */
};

/* A pattern for prove_console_has: POSIX extended, ^ and $ at lines. 0 or
 * -EINVAL with a text. To be freed with regfree. */
int prove_console_pattern(regex_t *out, const char *pattern);

/* PATH exists. 0 or -errno. */
int prove_console_open(struct prove_console *console, const char *path);
void prove_console_close(struct prove_console *console);

/* Takes in what has come. 0 or -errno. */
int prove_console_read(struct prove_console *console);
bool prove_console_has(const struct prove_console *console,
		const regex_t *pattern);
/* The last lines that are not empty, printable, as an array of texts; a new
 * reference, NULL without memory. */
json_t *prove_console_tail(const struct prove_console *console, unsigned lines);

#endif
