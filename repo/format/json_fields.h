/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The members of stored JSON objects, read strictly. Each call takes one member
 * out of the object, so what is left at the end are the members that this
 * version doesn't know.
 *
 *	struct json_fields m;
 *	json_fields_begin(&m, json, "snapshots/vm/…", "files[%zu].", i);
 *	size = json_fields_number(&m, "size", 0, IMAGE_SIZE_MAX);
 *	name = json_fields_name(&m, "name", true);
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

/* How stored JSON is written: one form for equal content, without terminal
 * control sequences. */
#define JSON_FIELDS_DUMP_FLAGS                                                 \
	(JSON_COMPACT | JSON_SORT_KEYS | JSON_ENSURE_ASCII)

/* The most "[" and "{" and the most "," that JSON from outside may have: they
 * bound the memory that parsing takes, which the length alone does not. An
 * empty object takes some 240 bytes, a member of one 160. */
#define JSON_FIELDS_CONTAINERS_MAX (64u << 10)
#define JSON_FIELDS_COMMAS_MAX (192u << 10)

struct json_fields {
	json_t *json;	    /* borrowed */
	const char *object; /* borrowed; the object's name, for texts */
	char path[64];	    /* of the members here, for texts */
	int err;	    /* 0, -EBADMSG, -ENOMEM */
};

static inline void cleanup_json(json_t **json)
{
	json_decref(*json);
}
#define CLEANUP_JSON CLEANUP(cleanup_json)

/* Parses LEN bytes that must be one JSON object without duplicate members.
 * 0 and a new reference, -EBADMSG, -ENOMEM. */
int json_fields_load(json_t **out, const char *object, const char *text,
		size_t len);

/* PATH is printf's, e.g. "files[3].". JSON may be any value: what is not an
 * object fails. */
void json_fields_begin(struct json_fields *fields, json_t *json,
		const char *object, const char *path, ...)
		__attribute__((format(printf, 4, 5)));

/* A whole number from MIN to MAX; must be there. */
int64_t json_fields_number(struct json_fields *fields, const char *key,
		int64_t min, int64_t max);
/* A string, malloc'ed; NULL where it is absent and not REQUIRED. */
char *json_fields_text(struct json_fields *fields, const char *key,
		bool required);
/* A string that name_escape writes. */
char *json_fields_name(struct json_fields *fields, const char *key,
		bool required);
/* LEN bytes as lower-case hexadecimal. Zeros where absent. */
void json_fields_hex(struct json_fields *fields, const char *key, void *out,
		size_t len);
/* An array of at most MAX values, a new reference; NULL where absent. */
json_t *json_fields_array(struct json_fields *fields, const char *key,
		size_t max);

/* An object, a new reference; NULL where absent. */
json_t *json_fields_object(struct json_fields *fields, const char *key);

/* The members not taken: a new reference, or NULL if there are none. */
json_t *json_fields_rest(struct json_fields *fields);

/* Marks KEY as not valid; WHY is a short clause: "not below 9". */
void json_fields_refuse(struct json_fields *fields, const char *key,
		const char *why, ...)
		__attribute__((format(printf, 3, 4), cold));

#endif
