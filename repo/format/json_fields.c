/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Strict reading of stored JSON; see json_fields.h. The JSON itself is jansson's.
 *
 * What this file does not do: it knows no member by name.
 */
#include "json_fields.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "name.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"

static_assert(JSON_FIELDS_CONTAINERS_MAX == 65536, "values of stored JSON");
static_assert(JSON_FIELDS_COMMAS_MAX == 196608, "values of stored JSON");

static bool few_values(const char *text, size_t len)
{
	size_t containers = 0, commas = 0;
	for (size_t i = 0; i < len; i++) {
		containers += text[i] == '[' || text[i] == '{';
		commas += text[i] == ',';
	}
	return containers <= JSON_FIELDS_CONTAINERS_MAX
			&& commas <= JSON_FIELDS_COMMAS_MAX;
}

int json_fields_load(json_t **out, const char *object, const char *text,
		size_t len)
{
	json_error_t error;
	*out = NULL;
	if (!few_values(text, len))
		return fail(-EBADMSG,
				"%s is not valid: it has far too many values",
				object);
	json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	if (json == NULL && json_error_code(&error) == json_error_out_of_memory)
		return fail_errno(-ENOMEM, "reading %s", object);
	if (!json_is_object(json)) {
		json_decref(json);
		return fail(-EBADMSG,
				"%s is not valid: it does not hold one "
				"JSON object",
				object);
	}
	*out = json;
	return 0;
}

void json_fields_begin(struct json_fields *fields, json_t *json,
		const char *object, const char *path, ...)
{
	va_list ap;
	fields->json = json;
	fields->object = object;
	fields->err = 0;
	va_start(ap, path);
	vsnprintf(fields->path, sizeof(fields->path), path, ap);
	va_end(ap);
	if (json_is_object(json))
		return;
	/* Call it "files[3]", without the dot for its members. */
	size_t len = strlen(fields->path);
	if (len > 0 && fields->path[len - 1] == '.')
		fields->path[len - 1] = '\0';
	json_fields_refuse(fields, "", "not an object");
}

void json_fields_refuse(struct json_fields *fields, const char *key,
		const char *why, ...)
{
	char reason[256];
	va_list ap;
	va_start(ap, why);
	vsnprintf(reason, sizeof(reason), why, ap);
	va_end(ap);
	if (fields->err == 0)
		fields->err = fail(-EBADMSG, "%s is not valid: %s%s: %s",
				fields->object, fields->path, key, reason);
}

static void out_of_memory(struct json_fields *fields)
{
	if (fields->err == 0)
		fields->err = fail_errno(-ENOMEM, "reading %s", fields->object);
}

/* Takes the member out: a new reference, or NULL if it isn't there. */
static json_t *take(struct json_fields *fields, const char *key)
{
	if (fields->err < 0)
		return NULL;
	json_t *value = json_incref(json_object_get(fields->json, key));
	if (value != NULL)
		json_object_del(fields->json, key);
	return value;
}

int64_t json_fields_number(struct json_fields *fields, const char *key,
		int64_t min, int64_t max)
{
	CLEANUP_JSON json_t *value = take(fields, key);
	int64_t number = json_integer_value(value);
	if (fields->err < 0)
		return 0;
	if (!json_is_integer(value) || number < min || number > max) {
		json_fields_refuse(fields, key,
				"not a whole number from %lld to %lld",
				(long long)min, (long long)max);
		return 0;
	}
	return number;
}

char *json_fields_text(struct json_fields *fields, const char *key,
		bool required)
{
	CLEANUP_JSON json_t *value = take(fields, key);
	if (fields->err < 0 || (value == NULL && !required))
		return NULL;
	if (!json_is_string(value)) {
		json_fields_refuse(fields, key, "not a text");
		return NULL;
	}
	char *copy = strdup(json_string_value(value));
	if (copy == NULL)
		out_of_memory(fields);
	return copy;
}

char *json_fields_name(struct json_fields *fields, const char *key,
		bool required)
{
	char *text = json_fields_text(fields, key, required);
	if (text == NULL)
		return NULL;
	char *raw = name_unescape(text, NULL);
	if (raw == NULL && errno == ENOMEM)
		out_of_memory(fields);
	else if (raw == NULL)
		json_fields_refuse(fields, key, "not an escaped name");
	free(raw);
	if (fields->err == 0)
		return text;
	free(text);
	return NULL;
}

void json_fields_hex(struct json_fields *fields, const char *key, void *out,
		size_t len)
{
	CLEANUP_JSON json_t *value = take(fields, key);
	memset(out, 0, len);
	if (value == NULL)
		return;
	if (!json_is_string(value) || json_string_length(value) != 2 * len
			|| hex_decode(out, len, json_string_value(value)) < 0)
		json_fields_refuse(fields, key, "not %zu hexadecimal digits",
				2 * len);
}

json_t *json_fields_array(struct json_fields *fields, const char *key,
		size_t max)
{
	CLEANUP_JSON json_t *value = take(fields, key);
	if (value == NULL)
		return NULL;
	if (!json_is_array(value) || json_array_size(value) > max) {
		json_fields_refuse(fields, key, "not a list of at most %zu",
				max);
		return NULL;
	}
	return json_incref(value);
}

json_t *json_fields_object(struct json_fields *fields, const char *key)
{
	CLEANUP_JSON json_t *value = take(fields, key);
	if (value == NULL)
		return NULL;
	if (!json_is_object(value)) {
		json_fields_refuse(fields, key, "not an object");
		return NULL;
	}
	return json_incref(value);
}

json_t *json_fields_rest(struct json_fields *fields)
{
	if (fields->err < 0 || json_object_size(fields->json) == 0)
		return NULL;
	return json_incref(fields->json);
}
