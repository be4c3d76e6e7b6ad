/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * damage-forge --list: the names of all forgeries.
 * damage-forge REPO NAME: adds one to a repository without encryption, whose
 * key is public: boxes, ids and checksums are right, and what they hold lies.
 *
 * Most make a snapshot forged/20260101T000000Z with one disk "disk.raw" over a pack
 * of chunks and a pack of tree nodes, with one thing wrong. What is allowed
 * and merely large is among them too.
 */
#include "forge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"

void forge_check(int err, const char *what)
{
	if (err >= 0)
		return;
	fprintf(stderr, "damage-forge: %s: %s\n", what, error_text(err));
	exit(1);
}

void *forge_room(size_t len)
{
	void *p = calloc(1, len ? len : 1);
	forge_check(p != NULL ? 0 : -ENOMEM, "memory");
	return p;
}

/* --- packs --- */

void forge_put_pack(struct forge *f, struct forged_pack *pack)
{
	uint8_t ad[PACK_AD_SIZE], *out, *at;
	char name[PACK_NAME_SIZE];
	size_t size = PACK_HEADER_SIZE + PACK_FOOTER_SIZE + SEAL_OVERHEAD
			+ pack->trailer_len;
	enum seal_kind kind = pack->kind == PACK_DATA ? SEAL_DATA : SEAL_TREE;
	for (uint32_t i = 0; i < pack->box_count; i++)
		size += pack->boxes[i].len + SEAL_OVERHEAD;
	seal_random(pack->id.b, PACK_ID_SIZE);
	pack_name(name, &pack->id);
	at = out = forge_room(size);
	const struct pack_header h = { .version = PACK_VERSION,
		.kind = pack->kind };
	pack_header_encode(at, f->repo->config.repo_id, &h);
	at += PACK_HEADER_SIZE;
	for (uint32_t i = 0; i <= pack->box_count; i++) {
		bool last = i == pack->box_count;
		const uint8_t *plain =
				last ? pack->trailer : pack->boxes[i].data;
		size_t len = last ? pack->trailer_len : pack->boxes[i].len;
		pack_ad(ad, f->repo->config.repo_id, &pack->id, pack->kind,
				last ? TRAILER_AD : i);
		seal_box(f->repo->seal, kind, at, plain, len, ad, sizeof(ad));
		at += len + SEAL_OVERHEAD;
	}
	pack_footer_encode(at, (uint32_t)(pack->trailer_len + SEAL_OVERHEAD));
	/* The checksum is for people without a key; it stays zero. */
	forge_check(store_put(f->repo->store, name, out, size, true), name);
	free(out);
}

void forge_trailer(struct forged_pack *pack, uint32_t frames, uint32_t chunks)
{
	pack->trailer_len = 8 + 12 * (size_t)frames
			+ FORGED_CHUNK_RECORD * (size_t)chunks;
	pack->trailer = forge_room(pack->trailer_len);
	put_le32(pack->trailer, frames);
	put_le32(pack->trailer + 4, chunks);
}

void forge_frame_record(struct forged_pack *pack, uint32_t frame,
		uint32_t stored, uint32_t plain, uint32_t chunks,
		uint8_t compression)
{
	uint8_t *at = pack->trailer + 8 + 12 * (size_t)frame;
	put_le32(at, stored);
	put_le32(at + 4, plain);
	put_le16(at + 8, (uint16_t)(chunks - 1));
	at[10] = compression;
}

void forge_chunk_record(struct forged_pack *pack, uint32_t chunk,
		const struct id *id, uint32_t len)
{
	uint8_t *at = pack->trailer + 8 + 12 * (size_t)get_le32(pack->trailer)
			+ FORGED_CHUNK_RECORD * (size_t)chunk;
	memcpy(at, id->b, ID_SIZE);
	put_le32(at + ID_SIZE, len);
}

void forge_simple_pack(struct forge *f, enum pack_kind kind,
		const struct id *id, const uint8_t *plain, uint32_t len)
{
	struct forged_box box = { plain, len };
	struct forged_pack p = { .kind = kind, .boxes = &box, .box_count = 1 };
	forge_trailer(&p, 1, 1);
	forge_frame_record(&p, 0, len + SEAL_OVERHEAD, len, 1, FRAME_STORED);
	forge_chunk_record(&p, 0, id, len);
	forge_put_pack(f, &p);
	free(p.trailer);
}

/* --- chunks, nodes, snapshots --- */

struct id forge_chunk(struct forge *f, uint32_t len, uint8_t fill)
{
	uint8_t *plain = forge_room(len);
	struct id id;
	memset(plain, fill, len);
	seal_id(f->repo->seal, ID_CHUNK, &id, plain, len);
	forge_simple_pack(f, PACK_DATA, &id, plain, len);
	free(plain);
	return id;
}

struct id forge_node(struct forge *f, const uint8_t *plain, size_t len)
{
	struct id id;
	seal_id(f->repo->seal, ID_NODE, &id, plain, len);
	forge_simple_pack(f, PACK_TREE, &id, plain, (uint32_t)len);
	return id;
}

void forge_object(struct forge *f, enum envelope_kind kind, const char *name,
		const char *json, size_t len)
{
	uint8_t *object;
	size_t object_len;
	forge_check(envelope_seal(f->repo->seal, f->repo->config.repo_id, kind,
				    name, json, len, &object, &object_len),
			name);
	forge_check(store_put(f->repo->store, name, object, object_len, false),
			name);
	free(object);
}

void forge_snapshot_json(struct forge *f, const char *json, size_t len)
{
	forge_object(f, ENVELOPE_SNAPSHOT, FORGED_OBJECT, json, len);
}

void forge_snapshot(struct forge *f, const struct id *root, uint64_t size,
		uint64_t data_bytes, uint64_t clusters)
{
	char *json, digits[2 * ID_SIZE + 1];
	hex_encode(digits, root->b, ID_SIZE);
	int n = asprintf(&json,
			FORGED_HEAD
			"\"files\":[" FORGED_DISK
			"\"name\":\"disk.raw\",\"size\":%llu,\"root\":\"%s\","
			"\"data_bytes\":%llu,\"clusters\":%llu}]}",
			(unsigned long long)size, digits,
			(unsigned long long)data_bytes,
			(unsigned long long)clusters);
	forge_check(n, "memory");
	forge_snapshot_json(f, json, (size_t)n);
	free(json);
}

int main(int argc, char **argv)
{
	static const struct repository_options o;
	struct forge f;
	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		for (const struct forgery *forgery = forgeries;
				forgery->name != NULL; forgery++)
			printf("%s %s\n", forgery->name, forgery->expect);
		return 0;
	}
	if (argc != 3) {
		fprintf(stderr, "usage: damage-forge --list | REPO NAME\n");
		return 2;
	}
	forge_check(repository_open(&f.repo, argv[1], &o), argv[1]);
	for (const struct forgery *forgery = forgeries; forgery->name != NULL;
			forgery++) {
		if (strcmp(forgery->name, argv[2]) != 0)
			continue;
		forgery->make(&f, forgery->number);
		repository_close(f.repo);
		return 0;
	}
	fprintf(stderr, "damage-forge: no forgery %s\n", argv[2]);
	return 2;
}
