/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What forge.c (packs and snapshots that are sealed rightly) and forgeries.c
 * (what lies in them) share.
 */
#ifndef AMBERFS_TESTS_DAMAGE_FORGE_H
#define AMBERFS_TESTS_DAMAGE_FORGE_H

#include "repo/format/envelope.h"
#include "repo/repository/repository.h"

#define FORGED_OBJECT "snapshots/forged/20260101T000000Z"
#define FORGED_HEAD                                                            \
	"{\"source\":\"forged\",\"time\":\"20260101T000000Z\",\"host\":\"h\"," \
	"\"kind\":\"files\",\"started_ns\":0,\"finished_ns\":0,"               \
	"\"sequence\":1,\"read_bytes\":0,\"new_bytes\":0,\"stored_bytes\":0,"
#define FORGED_FILE "{\"kind\":\"image\",\"mode\":420,\"mtime_ns\":0,"
#define FORGED_DISK "{\"kind\":\"disk\",\"mode\":420,\"mtime_ns\":0,"

struct forge {
	struct repository *repo;
};

struct forgery {
	const char *name;
	/* "refused": verify must find it; "whole": it is allowed, and right
	 * as far as anybody can tell; "any". With "-large" after it, only a
	 * beginning of the image is read. */
	const char *expect;
	void (*make)(struct forge *f, uint64_t number);
	uint64_t number; /* for make */
};
extern const struct forgery forgeries[]; /* ends with a NULL name */

/* Exits with a text if ERR is negative. */
void forge_check(int err, const char *what);
void *forge_room(size_t len); /* zeroed; never NULL */

struct forged_box {
	const uint8_t *data; /* plain, compressed form */
	size_t len;
};
struct forged_pack {
	enum pack_kind kind;
	struct pack_id id; /* set by forge_put_pack */
	const struct forged_box *boxes;
	uint32_t box_count;
	uint8_t *trailer; /* plain */
	size_t trailer_len;
};
#define FORGED_CHUNK_RECORD 44 /* checksums are left zero: none */
void forge_put_pack(struct forge *f, struct forged_pack *pack);
/* Makes the trailer's room and head; the records are zeros. */
void forge_trailer(struct forged_pack *pack, uint32_t frames, uint32_t chunks);
void forge_frame_record(struct forged_pack *pack, uint32_t frame,
		uint32_t stored, uint32_t plain, uint32_t chunks,
		uint8_t compression);
void forge_chunk_record(struct forged_pack *pack, uint32_t chunk,
		const struct id *id, uint32_t len);
/* One stored frame with one chunk, named ID whatever it is. */
void forge_simple_pack(struct forge *f, enum pack_kind kind,
		const struct id *id, const uint8_t *plain, uint32_t len);

/* Puts them in a pack; the id is right. */
struct id forge_chunk(struct forge *f, uint32_t len, uint8_t fill);
struct id forge_node(struct forge *f, const uint8_t *plain, size_t len);

void forge_object(struct forge *f, enum envelope_kind kind, const char *name,
		const char *json, size_t len);
void forge_snapshot_json(struct forge *f, const char *json, size_t len);
/* With one file, "disk.raw", which a mount shows as qcow2 too. */
void forge_snapshot(struct forge *f, const struct id *root, uint64_t size,
		uint64_t data_bytes, uint64_t clusters);

#endif
