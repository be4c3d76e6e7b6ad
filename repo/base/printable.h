/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Untrusted text for output: nothing in the result can make a terminal do more
 * than display it on one line. */
#ifndef AMBERFS_BASE_PRINTABLE_H
#define AMBERFS_BASE_PRINTABLE_H

#include <stddef.h>

/* Valid printable UTF-8 (no controls, no bidi overrides, nothing invisible)
 * stays, every other byte becomes \xNN, so at most four times as many. Returns
 * OUT, which holds at most SIZE bytes with the NUL; what doesn't fit ends in
 * "...". */
char *printable(char *out, size_t size, const char *text);

#endif
