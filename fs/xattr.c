/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A table of names and of how each value is found. */
#include "xattr.h"

#include <errno.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/hex.h"

#define PREFIX "user.amberfs."
#define ID_TEXT_SIZE (2 * ID_SIZE + 1)

/* Returns the text, which may be in BUF, or NULL if H has no such tag. */
typedef const char *tag_fn(const struct tree_held *h, char buf[ID_TEXT_SIZE]);

static const char *tag_snapshot(const struct tree_held *held,
		char buf[ID_TEXT_SIZE])
{
	hex_encode(buf, held->snapshot->id.b, ID_SIZE);
	return buf;
}

static const char *tag_source(const struct tree_held *held,
		char buf[ID_TEXT_SIZE] __attribute__((unused)))
{
	return held->snapshot->source;
}

static const char *tag_source_path(const struct tree_held *held,
		char buf[ID_TEXT_SIZE] __attribute__((unused)))
{
	return held->file == NULL ? NULL : held->file->source_path;
}

static const char *tag_format(const struct tree_held *held,
		char buf[ID_TEXT_SIZE] __attribute__((unused)))
{
	return held->file == NULL ? NULL : held->file->format;
}

static const char *tag_target(const struct tree_held *held,
		char buf[ID_TEXT_SIZE] __attribute__((unused)))
{
	return held->file == NULL ? NULL : held->file->target;
}

static const char *tag_complete(const struct tree_held *held,
		char buf[ID_TEXT_SIZE] __attribute__((unused)))
{
	return snapshot_is_complete(held->snapshot) ? "yes" : "no";
}

/* Who has the same content has the same root: not what is computed. */
static const char *tag_root(const struct tree_held *held,
		char buf[ID_TEXT_SIZE])
{
	if (held->kind != TREE_FILE)
		return NULL;
	hex_encode(buf, held->file->root.id.b, ID_SIZE);
	return buf;
}

static const struct {
	const char *name;
	tag_fn *fn;
} tags[] = {
	{ PREFIX "snapshot", tag_snapshot },
	{ PREFIX "complete", tag_complete },
	{ PREFIX "source", tag_source },
	{ PREFIX "source_path", tag_source_path },
	{ PREFIX "format", tag_format },
	{ PREFIX "target", tag_target },
	{ PREFIX "root", tag_root },
};
#define TAG_COUNT (ARRAY_SIZE(tags))

ssize_t xattr_get(const struct tree_held *held, const char *name,
		char out[XATTR_VALUE_MAX])
{
	char buf[ID_TEXT_SIZE];
	for (size_t i = 0; i < TAG_COUNT; i++) {
		if (strcmp(name, tags[i].name) != 0)
			continue;
		const char *text = tags[i].fn(held, buf);
		if (text == NULL)
			break;
		size_t len = strlen(text);
		if (len >= XATTR_VALUE_MAX)
			return -E2BIG;
		memcpy(out, text, len + 1);
		return (ssize_t)len;
	}
	return -ENODATA;
}

size_t xattr_list(const struct tree_held *held, char out[XATTR_NAMES_MAX])
{
	char buf[ID_TEXT_SIZE];
	size_t at = 0;
	for (size_t i = 0; i < TAG_COUNT; i++) {
		size_t size = strlen(tags[i].name) + 1;
		if (tags[i].fn(held, buf) == NULL
				|| at + size > XATTR_NAMES_MAX)
			continue;
		memcpy(out + at, tags[i].name, size);
		at += size;
	}
	return at;
}
