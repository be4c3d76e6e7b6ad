/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The members of stored JSON objects, read strictly. Each call takes one member
 * out of the object, so what is left at the end are the members that this
 * version doesn't know.
 *
 *	struct members m;
 *	members_begin(&m, json, "snapshots/vm/…", "files[%zu].", i);
 *	size = members_number(&m, "size", 0, IMAGE_SIZE_MAX);
 *	name = members_name(&m, "name", true);
 *	if (m.err < 0) …
 *
 * The first failure stays in m.err, with a text that names the object and the
 * member; later calls on the same M do nothing and return 0 or NULL.
 */
#ifndef AMBERFS_FORMAT_JSON_FIELDS_H
#define AMBERFS_FORMAT_JSON_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/base/cleanup.h"

/* How stored JSON is written: one form for equal content, and nothing in it
 * that a terminal could obey. */
#define MEMBERS_DUMP_FLAGS (JSON_COMPACT | JSON_SORT_KEYS | JSON_ENSURE_ASCII)

/* The most "[" and "{" and the most "," that JSON from outside may have: they
 * bound the memory that parsing takes, which the length alone does not. An
 * empty object takes some 240 bytes, a member of one 160. */
#define MEMBERS_CONTAINERS_MAX (64u << 10)
#define MEMBERS_COMMAS_MAX (192u << 10)

struct members {
	json_t *json;		/* borrowed */
	const char *object;	/* borrowed; the object's name, for texts */
	char path[64];		/* of the members here, for texts */
	int err;		/* 0, -EBADMSG, -ENOMEM */
};

static inline void cleanup_json(json_t **json)
{
	json_decref(*json);
}
#define CLEANUP_JSON CLEANUP(cleanup_json)

/* Parses LEN bytes that must be one JSON object without duplicate members.
 * 0 and a new reference, -EBADMSG, -ENOMEM. */
int members_load(json_t **out, const char *object, const char *text,
		size_t len);

/* PATH is printf's, e.g. "files[3].". JSON may be any value: what is not an
 * object fails. */
void members_begin(struct members *m, json_t *json, const char *object,
		const char *path, ...) __attribute__((format(printf, 4, 5)));

/* A whole number from MIN to MAX; must be there. */
int64_t members_number(struct members *m, const char *key, int64_t min,
		int64_t max);
/* A string, malloc'ed; NULL where it is absent and not REQUIRED. */
char *members_text(struct members *m, const char *key, bool required);
/* A string that name_escape writes. */
char *members_name(struct members *m, const char *key, bool required);
/* LEN bytes as lower-case hexadecimal. Zeros where absent. */
void members_hex(struct members *m, const char *key, void *out, size_t len);
/* An array of at most MAX values, a new reference; NULL where absent. */
json_t *members_array(struct members *m, const char *key, size_t max);

/* An object, a new reference; NULL where absent. */
json_t *members_object(struct members *m, const char *key);

/* What wasn't taken: a new reference, or NULL if that is nothing. */
json_t *members_rest(struct members *m);

/* Marks KEY as not valid; WHY is a short clause: "not below 9". */
void members_refuse(struct members *m, const char *key, const char *why, ...)
		__attribute__((format(printf, 3, 4), cold));

#endif
