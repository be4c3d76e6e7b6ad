/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the fuzz entries share; see fuzz.h. */
#include "fuzz.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"

const uint8_t fuzz_repo_id[REPO_ID_SIZE] = "a repository id";

void fuzz_broken(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
	abort();
}

bool fuzz_accepted(int err)
{
	must(err <= 0);
	must(err != -ENOMEM);
	return err == 0;
}

static void take(struct input *in, uint8_t *out, size_t len)
{
	size_t n = in->left < len ? in->left : len;
	memset(out, 0, len);
	if (n > 0)
		memcpy(out, in->at, n);
	in->at += n;
	in->left -= n;
}

uint8_t input_u8(struct input *in)
{
	uint8_t v;
	take(in, &v, 1);
	return v;
}

uint32_t input_u32(struct input *in)
{
	uint8_t bytes[4];
	take(in, bytes, sizeof(bytes));
	return get_le32(bytes);
}

uint64_t input_u64(struct input *in)
{
	uint8_t bytes[8];
	take(in, bytes, sizeof(bytes));
	return get_le64(bytes);
}

char *input_line(struct input *in)
{
	const uint8_t *end =
			in->left > 0 ? memchr(in->at, '\n', in->left) : NULL;
	size_t len = end != NULL ? (size_t)(end - in->at) : in->left;
	char *line = calloc(1, len + 1);
	must(line != NULL);
	take(in, (uint8_t *)line, len);
	if (end != NULL)
		input_u8(in);
	return line;
}

const struct seal *fuzz_seal(bool encrypted)
{
	static const uint8_t master[MASTER_KEY_SIZE] =
			"a key that is no secret";
	static struct seal *seals[2];
	if (seals[encrypted] == NULL) {
		must(seal_global_init() == 0);
		seals[encrypted] = seal_new(master, encrypted);
		must(seals[encrypted] != NULL);
	}
	return seals[encrypted];
}

static bool stays(char c, bool first)
{
	if (c == '.' || c == '-')
		return !first;
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')
			|| (c >= '0' && c <= '9')
			|| (c != '\0' && strchr("_+=,@", c) != NULL);
}

bool fuzz_is_escaped(const char *text)
{
	static const char digits[] = "0123456789ABCDEF";
	if (strcmp(text, "%") == 0)
		return true;
	for (const char *p = text; *p; p++) {
		const char *high, *low;
		if (*p != '%') {
			if (!stays(*p, p == text))
				return false;
			continue;
		}
		high = p[1] ? strchr(digits, p[1]) : NULL;
		low = high != NULL && p[2] ? strchr(digits, p[2]) : NULL;
		if (low == NULL)
			return false;
		int value = (int)(high - digits) * 16 + (int)(low - digits);
		if (value == 0 || stays((char)value, p == text))
			return false;
		p += 2;
	}
	return *text != '\0';
}
