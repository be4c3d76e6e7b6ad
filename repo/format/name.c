/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Escaped names: one function decides for each byte whether it may stay, and
 * both directions ask it, so that they can't disagree. */
#include "name.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/hex.h"
#include "repo/base/printable.h"
#include "repo/crypto/seal.h"

#define CUT 180
#define CUT_HASH_SIZE 16

static int stays(unsigned char c, size_t position)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
			|| (c >= '0' && c <= '9'))
		return 1;
	if (c == '.' || c == '-')
		return position > 0;
	return c != '\0' && strchr("_+=,@", c) != NULL;
}

char *name_escape(const char *name, size_t len)
{
	static const char digits[] = "0123456789ABCDEF";
	if (len > SIZE_MAX / 3 - 2) {
		errno = ENOMEM;
		return NULL;
	}
	char *text = malloc(3 * len + 2);
	if (text == NULL)
		return NULL;
	char *to = text;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)name[i];
		if (stays(c, i)) {
			*to++ = (char)c;
			continue;
		}
		*to++ = '%';
		*to++ = digits[c >> 4];
		*to++ = digits[c & 15];
	}
	if (len == 0)
		*to++ = '%';
	*to = '\0';
	return text;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that *TEXT stands for at POSITION, or -1 if name_escape doesn't
 * write it so. Moves *TEXT on. */
static int unescape_one(const char **text, size_t position)
{
	const char *p = *text;
	if (*p != '%') {
		*text = p + 1;
		return stays((unsigned char)*p, position) ? (unsigned char)*p
							  : -1;
	}
	int hi = hex_digit(p[1]);
	int lo = hi < 0 ? -1 : hex_digit(p[2]);
	if (lo < 0)
		return -1;
	unsigned char c = (unsigned char)(hi << 4 | lo);
	*text = p + 3;
	return c == '\0' || stays(c, position) ? -1 : c;
}

char *name_unescape(const char *text, size_t *len)
{
	char *name = malloc(strlen(text) + 1);
	size_t n = 0;
	int c = 0;
	if (name == NULL)
		return NULL;
	if (strcmp(text, "%") != 0) {
		c = *text == '\0' ? -1 : 0;
		while (c >= 0 && *text != '\0') {
			c = unescape_one(&text, n);
			name[n++] = (char)c;
		}
	}
	if (c < 0) {
		free(name);
		errno = EINVAL;
		return NULL;
	}
	name[n] = '\0';
	if (len != NULL)
		*len = n;
	return name;
}

void name_component(char out[NAME_COMPONENT_MAX + 1], const char *escaped)
{
	size_t len = strlen(escaped), cut = CUT;
	uint8_t hash[CUT_HASH_SIZE];
	if (len <= NAME_COMPONENT_MAX) {
		memcpy(out, escaped, len + 1);
		return;
	}
	if (escaped[CUT - 1] == '%')
		cut = CUT - 1;
	else if (escaped[CUT - 2] == '%')
		cut = CUT - 2;
	memcpy(out, escaped, cut);
	out[cut++] = '%';
	out[cut++] = '~';
	seal_hash(hash, sizeof(hash), escaped, len);
	hex_encode(out + cut, hash, sizeof(hash));
}

bool name_is_shortened(const char *text)
{
	char prefix[CUT + 1];
	uint8_t hash[CUT_HASH_SIZE];
	const char *mark = strstr(text, "%~");
	size_t len = mark != NULL ? (size_t)(mark - text) : 0;
	if (len < CUT - 2 || len > CUT || strlen(mark + 2) != 2 * CUT_HASH_SIZE
			|| hex_decode(hash, sizeof(hash), mark + 2) < 0)
		return false;
	memcpy(prefix, text, len);
	prefix[len] = '\0';
	char *raw = name_unescape(prefix, NULL);
	free(raw);
	return raw != NULL;
}

char *name_display(char *out, size_t size, const char *name)
{
	return printable(out, size, name);
}

char *name_display_escaped(char *out, size_t size, const char *escaped)
{
	char *raw = name_unescape(escaped, NULL);
	name_display(out, size, raw != NULL ? raw : escaped);
	free(raw);
	return out;
}

static bool can_be_typed(const char *raw, const char *displayed)
{
	return strcmp(raw, displayed) == 0 && raw[0] != '\0' && raw[0] != '.'
			&& raw[0] != '-' && strpbrk(raw, "/%") == NULL;
}

char *name_shown(char *out, size_t size, const char *escaped)
{
	char *raw = name_unescape(escaped, NULL);
	if (raw == NULL || !can_be_typed(raw, name_display(out, size, raw)))
		name_display(out, size, escaped);
	free(raw);
	return out;
}
