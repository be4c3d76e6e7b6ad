/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The printable form of a recovery key: 20 random bytes as 8 groups of 5
 * characters,
 *
 *	7KQ2M-0V9TC-…
 *
 * in Crockford's alphabet (0-9 A-Z without I, L, O, U). The fifth character of
 * each group is a check over the other four and the group's position, so that a
 * typing error is located by group: every single wrong character, and two
 * neighbours exchanged.
 */
#ifndef AMBERFS_FORMAT_RECOVERY_H
#define AMBERFS_FORMAT_RECOVERY_H

#include <stddef.h>
#include <stdint.h>

#define RECOVERY_SIZE 20
#define RECOVERY_TEXT_SIZE 48 /* with the NUL */

void recovery_encode(char out[RECOVERY_TEXT_SIZE],
		const uint8_t key[RECOVERY_SIZE]);

/* Reads LEN bytes as typed by a user: either case, O for 0, I and L for 1,
 * spaces and dashes anywhere or nowhere. 0; -ENOENT: nothing like a recovery
 * key; -EINVAL: much like one but mistyped, with a text that says where. KEY is
 * wiped on an error. */
int recovery_decode(uint8_t key[RECOVERY_SIZE], const char *text, size_t len);

#endif
