/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text that is safe for terminals; see printable.h. */
#include "printable.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Decodes one character of LEFT bytes. Returns its length, or 0 if they don't
 * start with valid UTF-8 in its shortest form. */
static size_t utf8_decode(const unsigned char *s, size_t left, uint32_t *out)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = s[0] < 0x80	  ? 1
			: s[0] >> 5 == 6  ? 2
			: s[0] >> 4 == 14 ? 3
			: s[0] >> 3 == 30 ? 4
					  : 0;
	if (len == 0 || len > left)
		return 0;
	uint32_t c = len == 1 ? s[0] : s[0] & (0xffu >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*out = c;
	return len;
}

/* Controls, and what changes how its neighbours are shown or is invisible. */
static int is_printable(uint32_t c)
{
	static const struct {
		uint32_t first, last;
	} not [] = {
		{ 0x0000, 0x001f },
		{ 0x007f, 0x009f },
		{ 0x00ad, 0x00ad },
		{ 0x061c, 0x061c },
		{ 0x180e, 0x180e },
		{ 0x200b, 0x200f },
		{ 0x2028, 0x202e },
		{ 0x2060, 0x206f },
		{ 0xfdd0, 0xfdef },
		{ 0xfeff, 0xfeff },
		{ 0xfff0, 0xfffb },
		{ 0xe0000, 0xe0fff },
	};
	if ((c & 0xfffe) == 0xfffe)
		return 0;
	for (size_t i = 0; i < sizeof(not ) / sizeof(*not ); i++)
		if (c >= not [i].first && c <= not [i].last)
			return 0;
	return 1;
}

char *printable(char *out, size_t size, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t left = strlen(text), n = 0, mark = 0;
	if (size == 0)
		return out;
	while (left > 0) {
		char hex[5];
		uint32_t c = 0;
		size_t len = utf8_decode(s, left, &c), shown = len;
		const char *piece = (const char *)s;
		if (len == 0 || !is_printable(c)) {
			snprintf(hex, sizeof(hex), "\\x%02X", s[0]);
			piece = hex;
			shown = 4;
			len = 1;
		}
		if (n + shown >= size)
			break;
		memcpy(out + n, piece, shown);
		n += shown;
		if (n + 3 < size)
			mark = n;
		s += len;
		left -= len;
	}
	if (left > 0 && size > 3) {
		memcpy(out + mark, "...", 3);
		n = mark + 3;
	}
	out[n] = '\0';
	return out;
}
