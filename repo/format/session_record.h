/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a session publishes: sessions/<id>.<n>, JSON in an envelope; the record
 * with the highest n counts, older ones are deleted after it is durable.
 */
#ifndef AMBERFS_FORMAT_SESSION_RECORD_H
#define AMBERFS_FORMAT_SESSION_RECORD_H

#include "json_fields.h"
#include "trailer.h"

#define SESSION_ID_SIZE 16
#define SESSION_ROOTS_MAX 65536u
#define SESSION_HELD_MAX 65536u
#define EPOCH_MAX INT64_C(999999999999999999)

enum session_kind {
	SESSION_BACKUP,
	SESSION_MOUNT,
	SESSION_PRUNE,
	SESSION_READ,
	SESSION_WRITE /* keys, forget */
};

struct session_record {
	enum session_kind kind;
	int64_t started; /* UTC second */
	char *host;	 /* escaped */
	int64_t pid;
	char *activity; /* escaped: the source, the mountpoint; or NULL */
	uint32_t root_count;
	struct id *roots; /* tree roots it uses */
	/* The highest epoch after which it has listed the condemned; 0: none. */
	uint64_t acknowledged;
	uint32_t held_count;
	struct pack_id *held; /* condemned packs it has found chunks in */
};

const char *session_record_kind_name(enum session_kind k);
/* A new object, stored dumped with JSON_FIELDS_DUMP_FLAGS. NULL without memory. */
json_t *session_record_to_json(const struct session_record *record);
/* 0, -EBADMSG, -ENOMEM, with a text. Fills RECORD, freed by session_record_clear;
 * on an error RECORD is cleared. */
int session_record_from_json(struct session_record *record, const char *json,
		size_t len);
void session_record_clear(struct session_record *record);

#endif
