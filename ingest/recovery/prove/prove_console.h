/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The output of a guest's serial console. The guest is not trusted: what is
 * kept is bounded, in memory and on disk.
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
	int fd; /* of the file, to which qemu appends */
	off_t at;
	size_t len;
	bool in_escape; /* an escape sequence is not complete yet */
	char text[CONSOLE_TEXT_MAX + 1]; /* the last output, without escapes */
};

/* A pattern for prove_console_has: POSIX extended, ^ and $ match at lines. 0 or
 * -EINVAL with a text. To be freed with regfree. */
int prove_console_pattern(regex_t *out, const char *pattern);

/* PATH must exist. 0 or -errno. */
int prove_console_open(struct prove_console *console, const char *path);
void prove_console_close(struct prove_console *console);

/* Reads new output. 0 or -errno. */
int prove_console_read(struct prove_console *console);
bool prove_console_has(const struct prove_console *console,
		const regex_t *pattern);
/* The last non-empty lines, printable, as an array of texts; a new reference,
 * NULL without memory. */
json_t *prove_console_tail(const struct prove_console *console, unsigned lines);

#endif
