/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Formats of qemu's block layer: -blockdev, json: and dotted keys. */
#include "backing_name.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/cleanup.h"

#define DEPTH_MAX 8
#define KEY_MAX 256

char *backing_name_beside(const char *image, const char *name)
{
	const char *slash = strrchr(image, '/');
	char *path;
	if (name[0] == '/' || slash == NULL)
		return strdup(name);
	if (asprintf(&path, "%.*s/%s", (int)(slash - image), image, name) < 0)
		return NULL;
	return path;
}

/* --- json: --- */

/* A node of the tree: an object, or the keys of ROOT that begin with PREFIX. */
struct node {
	const json_t *object;
	char prefix[KEY_MAX]; /* "", "file.", "file.file." */
};

static json_t *member(const struct node *node, const char *name)
{
	char key[KEY_MAX + 16];
	snprintf(key, sizeof(key), "%s%s", node->prefix, name);
	return json_object_get(node->object, key);
}

static int go_down(struct node *node)
{
	const json_t *file = member(node, "file");
	size_t n = strlen(node->prefix);
	if (json_is_object(file)) {
		*node = (struct node){ .object = file };
		return 0;
	}
	if (file != NULL || n + sizeof("file.") > KEY_MAX)
		return -ENOTSUP;
	strcpy(node->prefix + n, "file.");
	return 0;
}

/* qemu takes numbers also as texts. */
static int read_number(const json_t *value, uint64_t *out)
{
	const char *text = json_string_value(value);
	char *end = NULL;
	if (json_is_integer(value) && json_integer_value(value) >= 0) {
		*out = (uint64_t)json_integer_value(value);
		return 0;
	}
	if (text == NULL || text[0] < '0' || text[0] > '9')
		return -ENOTSUP;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0' ? 0 : -ENOTSUP;
}

static int read_slice(const struct node *node, struct backing_name *out)
{
	const json_t *offset = member(node, "offset"),
		     *size = member(node, "size");
	if (offset == NULL && size == NULL)
		return 0;
	/* Without a size it would end with the file, whatever that is then. */
	if (size == NULL || out->sliced)
		return -ENOTSUP;
	out->sliced = true;
	if (offset != NULL && read_number(offset, &out->slice_offset) < 0)
		return -ENOTSUP;
	return read_number(size, &out->slice_size);
}

static int read_path(const struct node *node, const char *image,
		struct backing_name *out)
{
	const char *path = json_string_value(member(node, "filename"));
	if (path == NULL || path[0] == '\0' || out->path != NULL)
		return -ENOTSUP;
	out->path = backing_name_beside(image, path);
	return out->path != NULL ? 0 : -ENOMEM;
}

static int set_format(struct backing_name *out, const char *driver)
{
	if (out->format != NULL)
		return strcmp(driver, "raw") == 0 ? 0 : -ENOTSUP;
	out->format = strdup(driver);
	return out->format != NULL ? 0 : -ENOMEM;
}

/* From the format down to the file. */
static int walk(const json_t *root, const char *image, struct backing_name *out)
{
	struct node node = { .object = root };
	for (int depth = 0; depth < DEPTH_MAX; depth++) {
		const char *driver = json_string_value(member(&node, "driver"));
		int err = 0;
		if (driver == NULL && member(&node, "filename") != NULL)
			driver = "file";
		if (driver != NULL
				&& (strcmp(driver, "file") == 0
						|| strcmp(driver, "host_device")
								== 0))
			return read_path(&node, image, out);
		if (driver != NULL)
			err = set_format(out, driver);
		if (err == 0 && driver != NULL && strcmp(driver, "raw") == 0)
			err = read_slice(&node, out);
		if (err == 0)
			err = go_down(&node);
		if (err < 0)
			return err;
	}
	return -ENOTSUP;
}

static int parse_json(struct backing_name *out, const char *text,
		const char *image)
{
	json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	int err = json_is_object(root) ? walk(root, image, out) : -ENOTSUP;
	json_decref(root);
	return err;
}

/* --- all forms --- */

/* By qemu's rule: a colon before any slash ends a protocol's name. */
static bool has_protocol(const char *name)
{
	return name[strcspn(name, ":/")] == ':';
}

int backing_name_parse(struct backing_name *out, const char *name,
		const char *image)
{
	static const char json[] = "json:", file[] = "file:";
	*out = (struct backing_name){ .path = NULL };
	if (strncmp(name, json, strlen(json)) == 0)
		return parse_json(out, name + strlen(json), image);
	if (strncmp(name, file, strlen(file)) == 0)
		name += strlen(file);
	else if (has_protocol(name))
		return -ENOTSUP;
	out->path = backing_name_beside(image, name);
	return out->path != NULL ? 0 : -ENOMEM;
}

void backing_name_clear(struct backing_name *name)
{
	free(name->path);
	free(name->format);
	*name = (struct backing_name){ .path = NULL };
}
