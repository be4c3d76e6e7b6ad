/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lower-case hexadecimal. */
#ifndef AMBERFS_BASE_HEX_H
#define AMBERFS_BASE_HEX_H

#include <stddef.h>

/* Writes 2*LEN digits and a NUL to OUT. */
void hex_encode(char *out, const void *bytes, size_t len);

/* Reads exactly 2*LEN lower-case digits; TEXT must end there.
 * Returns 0 or -EINVAL. */
int hex_decode(void *out, size_t len, const char *text);

#endif
