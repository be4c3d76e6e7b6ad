/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The one rule of the format for names that come from outside (sources, files,
 * domains) wherever they meet a filesystem, a terminal, JSON or a shell:
 * the bytes A-Z a-z 0-9 . _ + = , @ - stay, but a "." or "-" at the start
 * does not; every other byte becomes %XX (upper-case digits). The empty name
 * becomes "%". So the result is never empty, ".", "..", hidden, an option,
 * longer in one place than another, or unprintable.
 */
#ifndef AMBERFS_FORMAT_NAME_H
#define AMBERFS_FORMAT_NAME_H

#include <stdbool.h>
#include <stddef.h>

/* The maximum length of a raw name; longer ones are refused on input. */
#define NAME_MAX_BYTES 4096
#define NAME_COMPONENT_MAX 214

/* Reversible, up to three times as long. NAME holds LEN bytes, none of them
 * NUL. Returns a string to free, or NULL (no memory). */
char *name_escape(const char *name, size_t len);

/* Undoes name_escape. Returns a NUL-terminated string to free and its length
 * (LEN may be NULL); NULL with errno EINVAL for what name_escape never writes
 * (so every name has one escaped form), or ENOMEM. */
char *name_unescape(const char *text, size_t *len);

/* One path component for an escaped name: itself if it has at most
 * NAME_COMPONENT_MAX bytes; else its first 180 bytes or up to two fewer (never
 * cut within an escape), "%~", and 32 digits of the BLAKE2b-128 of the whole
 * escaped name. */
void name_component(char out[NAME_COMPONENT_MAX + 1], const char *escaped);

/* Whether TEXT is one that name_component shortened. */
bool name_is_shortened(const char *text);

/* For messages: valid printable UTF-8 (no controls, no bidi overrides) stays,
 * every other byte becomes \xNN. Returns OUT, which holds at most SIZE bytes
 * with the NUL; what doesn't fit ends in "...". */
char *name_display(char *out, size_t size, const char *name);
/* A source's name for people: the raw one where it is printable, can be typed as
 * it is (no '/' or '%', no '.' or '-' at the start) and so means the same in every
 * command; else the escaped one. Returns OUT. */
char *name_shown(char *out, size_t size, const char *escaped);
/* The same for an argument of a message; it lasts as long as the block. */
#define NAME_SHOWN(escaped) name_shown((char[1024]){ "" }, 1024, (escaped))

/* The same of an escaped name: of what it stands for. */
char *name_display_escaped(char *out, size_t size, const char *escaped);

#endif
