/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bytes.h"

bool bytes_are_zero(const void *p, size_t len)
{
	const unsigned char *b = p;
	/* The first bytes by hand; then the block against itself, shifted:
	 * memcmp is the fastest scan that the C library has. */
	size_t head = len < 16 ? len : 16;
	for (size_t i = 0; i < head; i++)
		if (b[i] != 0)
			return false;
	return len <= 16 || memcmp(b, b + 16, len - 16) == 0;
}
