/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Recovery keys as text; see recovery.h. The check character is computed in
 * the field of 32 elements (x^5 + x^2 + 1) as
 *
 *	(g + 1) x^5 + a x^4 + b x^3 + c x^2 + d x
 *
 * from the group's number g and its values a, b, c, d. Each has another power
 * of x before it (the check itself x^0), so no single error and no exchange of
 * neighbours leaves the sum as it was.
 */
#include "recovery.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "repo/base/error.h"
#include "repo/crypto/seal.h"

#define GROUPS 8
#define VALUES 4 /* of a group, 5 bits each, before its check */
#define SYMBOLS (GROUPS * (VALUES + 1))
/* So many more or fewer characters still look like a recovery key. */
#define NEAR 5

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static_assert(sizeof(alphabet) == 33, "five bits a character");
static_assert(GROUPS * VALUES * 5 == RECOVERY_SIZE * 8, "bits");
static_assert(SYMBOLS + GROUPS == RECOVERY_TEXT_SIZE, "characters and dashes");

static unsigned times_x(unsigned v)
{
	v <<= 1;
	return v & 32 ? v ^ 37 : v;
}

static unsigned check_value(unsigned group, const uint8_t values[VALUES])
{
	unsigned sum = group + 1;
	for (int i = 0; i < VALUES; i++)
		sum = times_x(sum) ^ values[i];
	return times_x(sum);
}

void recovery_encode(char out[RECOVERY_TEXT_SIZE],
		const uint8_t key[RECOVERY_SIZE])
{
	uint8_t values[VALUES];
	unsigned bit = 0;
	for (unsigned g = 0; g < GROUPS; g++) {
		for (int i = 0; i < VALUES; i++, bit += 5) {
			unsigned at = bit / 8;
			unsigned two = (unsigned)key[at] << 8;
			if (at + 1 < RECOVERY_SIZE)
				two |= key[at + 1];
			values[i] = two >> (11 - bit % 8) & 31;
			*out++ = alphabet[values[i]];
		}
		*out++ = alphabet[check_value(g, values)];
		*out++ = g + 1 < GROUPS ? '-' : '\0';
	}
	seal_wipe(values, sizeof(values));
}

/* 0 … 31, or 255: of no recovery key. */
static uint8_t value_of(char c)
{
	int upper = toupper((unsigned char)c);
	if (upper == 'O')
		upper = '0';
	if (upper == 'I' || upper == 'L')
		upper = '1';
	const char *p = strchr(alphabet, upper);
	return p != NULL && *p ? (uint8_t)(p - alphabet) : 255;
}

/* The characters that count; -1: others than a recovery key's are there. */
static int read_values(uint8_t values[SYMBOLS], const char *text, size_t len)
{
	int count = 0;
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '-' || text[i] == ' ')
			continue;
		if (!isalnum((unsigned char)text[i]) || count > SYMBOLS + NEAR)
			return -1;
		if (count < SYMBOLS)
			values[count] = value_of(text[i]);
		count++;
	}
	return count;
}

static int join(uint8_t key[RECOVERY_SIZE], const uint8_t values[SYMBOLS])
{
	unsigned held = 0, bits = 0, at = 0;
	for (unsigned g = 0; g < GROUPS; g++) {
		const uint8_t *v = values + (size_t)g * (VALUES + 1);
		/* 255 is no check of anything, and spoils any sum. */
		if (check_value(g, v) != v[VALUES])
			return fail(-EINVAL,
					"group %u of the recovery key is "
					"mistyped",
					g + 1);
		for (int i = 0; i < VALUES; i++) {
			held = held << 5 | v[i];
			bits += 5;
			if (bits < 8)
				continue;
			bits -= 8;
			key[at++] = (uint8_t)(held >> bits);
		}
	}
	return 0;
}

int recovery_decode(uint8_t key[RECOVERY_SIZE], const char *text, size_t len)
{
	uint8_t values[SYMBOLS];
	int count = read_values(values, text, len);
	int err = -ENOENT;
	if (count == SYMBOLS)
		err = join(key, values);
	else if (count >= SYMBOLS - NEAR && count <= SYMBOLS + NEAR)
		err = fail(-EINVAL,
				"a recovery key has %d groups of %d "
				"characters, %d in all; this one has %d",
				GROUPS, VALUES + 1, SYMBOLS, count);
	seal_wipe(values, sizeof(values));
	if (err < 0)
		seal_wipe(key, RECOVERY_SIZE);
	return err;
}
