/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The forgeries of JSON objects and of config. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "forgeries.h"
#include "repo/base/bytes.h"

#define PAYLOAD_MAX ENVELOPE_PAYLOAD_MAX

struct text {
	char *data;
	size_t len;
};

static void add(struct text *text, const char *piece)
{
	size_t n = strlen(piece);
	if (text->len + n > PAYLOAD_MAX)
		return;
	memcpy(text->data + text->len, piece, n);
	text->len += n;
}

static void add_times(struct text *text, const char *piece, size_t count)
{
	for (size_t i = 0; i < count; i++)
		add(text, piece);
}

/* A member "x" that no version knows; room is left for what follows. */
static void add_unknown(struct text *text, uint64_t lie)
{
	char member[32];
	add(text, "\"x\":");
	switch (lie) {
	case LIE_DEEP:
		add_times(text, "[", 500000);
		add_times(text, "]", 500000);
		break;
	case LIE_OBJECTS:
		add(text, "[{}");
		add_times(text, ",{}", 65000);
		add(text, "]");
		break;
	case LIE_NUMBERS:
		add(text, "[1");
		add_times(text, ",1", 196000);
		add(text, "]");
		break;
	case LIE_TOO_MANY:
		add(text, "[1");
		add_times(text, ",1", 196609);
		add(text, "]");
		break;
	case LIE_MEMBERS:
		add(text, "{\"\":1");
		for (unsigned i = 0; i < 196000; i++) {
			snprintf(member, sizeof(member), ",\"%x\":1", i);
			add(text, member);
		}
		add(text, "}");
		break;
	case LIE_STRING:
		add(text, "\"");
		add_times(text, "\\u00e4", (PAYLOAD_MAX - 1000) / 6);
		add(text, "\"");
		break;
	case LIE_DIGITS:
		add_times(text, "9", PAYLOAD_MAX - 1000);
		break;
	default:
		add(text, "1");
	}
	add(text, ",");
}

static const char *name_of(uint64_t lie)
{
	return lie == LIE_SLASH		      ? "a/b"
			: lie == LIE_DOTS     ? ".."
			: lie == LIE_RESERVED ? "snapshot.json"
			: lie == LIE_UTF8     ? "a\xff"
			: lie == LIE_NUL      ? "a\\u0000b"
					      : "disk";
}

static void add_file(struct text *text, uint64_t lie)
{
	char file[256];
	snprintf(file, sizeof(file),
			FORGED_FILE "\"name\":\"%s\",\"size\":%s,"
				    "\"data_bytes\":0,\"clusters\":0}",
			name_of(lie),
			lie == LIE_REAL			      ? "1.0"
					: lie == LIE_NEGATIVE ? "-1"
					: lie == LIE_SIZE ? "140737488355329"
							  : "65536");
	add(text, file);
}

void forge_json(struct forge *f, uint64_t lie)
{
	struct text t = { .data = forge_room(PAYLOAD_MAX + 1) };
	if (lie == LIE_ARRAY)
		add(&t, "[");
	else if (lie != LIE_EMPTY)
		add(&t, FORGED_HEAD);
	if (lie == LIE_SOURCE)
		memcpy(strstr(t.data, "forged"), "fxrged", 6);
	if (lie == LIE_KIND)
		memcpy(strstr(t.data, "\"files\""), "\"fxles\"", 7);
	if (lie <= LIE_DIGITS)
		add_unknown(&t, lie);
	if (lie == LIE_DUPLICATE)
		add(&t, "\"kind\":\"files\",");
	if (lie == LIE_NO_FILES)
		add(&t, "\"y\":1}");
	else if (lie == LIE_ARRAY)
		add(&t, "]");
	else if (lie != LIE_EMPTY) {
		add(&t, "\"files\":[");
		add_file(&t, lie);
		if (lie == LIE_SAME) {
			add(&t, ",");
			add_file(&t, lie);
		}
		add(&t, "]}");
	}
	forge_snapshot_json(f, t.data, t.len);
	free(t.data);
}

void forge_taken(struct forge *f, uint64_t number)
{
	static const char json[] = FORGED_HEAD
			"\"files\":[" FORGED_DISK
			"\"name\":\"disk.raw\",\"size\":1048576,"
			"\"data_bytes\":0,\"clusters\":0}," FORGED_FILE
			"\"name\":\"disk.qcow2\",\"size\":5,"
			"\"data_bytes\":0,\"clusters\":0}]}";
	(void)number;
	forge_snapshot_json(f, json, strlen(json));
}

void forge_files(struct forge *f, uint64_t count)
{
	struct text t = { .data = forge_room(PAYLOAD_MAX + 1) };
	char file[256];
	add(&t, FORGED_HEAD "\"files\":[");
	for (uint64_t i = 0; i < count; i++) {
		snprintf(file, sizeof(file),
				"%s" FORGED_FILE "\"name\":"
				"\"f%llu\",\"size\":0,\"data_bytes\":0,"
				"\"clusters\":0}",
				i ? "," : "", (unsigned long long)i);
		add(&t, file);
	}
	add(&t, "]}");
	forge_snapshot_json(f, t.data, t.len);
	free(t.data);
}

void forge_identities(struct forge *f, uint64_t count)
{
	struct text t = { .data = forge_room(PAYLOAD_MAX + 1) };
	add(&t,
			FORGED_HEAD
			"\"files\":[" FORGED_FILE "\"name\":\"disk\","
			"\"size\":0,\"data_bytes\":0,\"clusters\":0,"
			"\"identities\":[null");
	add_times(&t, ",null", count - 1);
	add(&t, "]}]}");
	forge_snapshot_json(f, t.data, t.len);
	free(t.data);
}

/* --- other objects --- */

static void forge_large(struct forge *f, enum envelope_kind kind,
		const char *name, const char *head, size_t values)
{
	struct text t = { .data = forge_room(PAYLOAD_MAX + 1) };
	add(&t, head);
	add(&t, "\"x\":[1");
	add_times(&t, ",1", values);
	add(&t, "]}");
	forge_object(f, kind, name, t.data, t.len);
	free(t.data);
}

void forge_small(struct forge *f, uint64_t lie)
{
	static const char setting[] = "{\"since\":1,\"min_age\":0}";
	static const char *const names[] = {
		[SMALL_RETENTION_GAP] = "retention/65536",
		[SMALL_RETENTION_BEYOND] = "retention/9999999999",
	};
	switch (lie) {
	case SMALL_RETENTION_GAP:
	case SMALL_RETENTION_BEYOND:
		forge_object(f, ENVELOPE_RETENTION, names[lie], setting,
				strlen(setting));
		break;
	case SMALL_RETENTION_LARGE:
		forge_large(f, ENVELOPE_RETENTION, "retention/1",
				"{\"since\":1,\"min_age\":0,", 190000);
		break;
	case SMALL_PIN_LARGE:
		forge_large(f, ENVELOPE_PIN, "pins/forged/20260101T000000Z",
				"{\"since\":1,", 190000);
		break;
	case SMALL_EPOCH:
		forge_object(f, ENVELOPE_CONDEMNED,
				"condemned/epoch.999999999999999999", "{}", 2);
		break;
	case SMALL_SESSION:
		forge_large(f, ENVELOPE_SESSION,
				"sessions/0123456789abcdef0123456789abcdef.0",
				"{\"kind\":\"backup\",", 190000);
		break;
	case SMALL_CLAIM:
		forge_object(f, ENVELOPE_SESSION,
				"sessions/prune.999999999999999999",
				"{\"session\":"
				"\"0123456789abcdef0123456789abcdef\"}",
				46);
		break;
	default:
		break;
	}
}

/* --- config --- */

void forge_config(struct forge *f, uint64_t lie)
{
	struct config c = f->repo->config;
	uint8_t bytes[CONFIG_SIZE];
	if (lie == CONFIG_EXTREMES) {
		c.chunk_average = c.chunk_max = c.frame_size = 1u << 20;
		c.pack_size = 72u << 20;
		c.zstd_level = 19;
		c.created = INT64_C(253402300799);
	}
	if (lie == CONFIG_SMALLEST) {
		c.chunk_min = c.chunk_average = c.chunk_max = 4096;
		c.frame_size = 4096;
		c.pack_size = 64u << 10;
		c.zstd_level = 1;
		c.created = 0;
	}
	if (lie == CONFIG_FEATURE)
		c.required = (uint64_t)1 << 63;
	if (lie == CONFIG_OPTIONAL)
		c.optional = UINT64_MAX;
	if (lie == CONFIG_OTHER_ID)
		c.repo_id[0] ^= 1;
	if (lie == CONFIG_FRAME)
		c.frame_size = UINT32_MAX & ~4095u;
	if (lie == CONFIG_CHUNKS)
		c.chunk_min = 2 * c.chunk_average;
	config_encode(bytes, &c, f->repo->seal);
	if (lie == CONFIG_VERSION)
		put_le32(bytes + 8, 2);
	forge_check(store_put(f->repo->store, CONFIG_NAME, bytes, sizeof(bytes),
				    false),
			CONFIG_NAME);
}
