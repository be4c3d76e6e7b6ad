/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * fuzz-seeds REPO DIRECTORY: opens what a real repository holds and writes it, in
 * the form that each fuzz entry takes, to DIRECTORY/<entry>/. The key comes from
 * the environment. A few of each kind are enough.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "repo/base/bytes.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"
#include "repo/format/envelope.h"
#include "repo/format/keyslot.h"
#include "repo/pack/frame_codec.h"
#include "repo/session/session.h"
#include "repo/snapshot/snapshot_list.h"

#define EACH 16 /* seeds of one kind from one repository */
#define OBJECT_MAX ((size_t)PACK_SIZE_MAX)
#define HEAD_MAX 600

struct seeds {
	struct repository *repo;
	const char *directory;
	char *names[4096]; /* of the objects */
	size_t count;
	unsigned written;
};

static void die(int err, const char *what)
{
	fprintf(stderr, "fuzz-seeds: %s: %s\n", what, error_text(err));
	exit(1);
}

static void die_errno(const char *what)
{
	die(-errno, what);
}

/* HEAD, then BODY, as one file. */
static void write_seed(struct seeds *s, const char *entry, const void *head,
		size_t head_len, const void *body, size_t body_len)
{
	char directory[4096], path[4200], id[2 * 8 + 1];
	uint8_t hash[16];
	/* The name is the content's: the same twice is one. */
	seal_hash(hash, sizeof(hash), body, body_len);
	hex_encode(id, hash, 8);
	snprintf(directory, sizeof(directory), "%s/%s", s->directory, entry);
	if (mkdir(directory, 0777) < 0 && errno != EEXIST)
		die_errno(directory);
	snprintf(path, sizeof(path), "%s/%s", directory, id);
	FILE *f = fopen(path, "we");
	if (f == NULL || fwrite(head, 1, head_len, f) != head_len
			|| fwrite(body, 1, body_len, f) != body_len
			|| fclose(f) != 0)
		die_errno(path);
	s->written++;
}

static void *get(struct seeds *s, const char *name, size_t *len)
{
	void *data = NULL;
	int err = store_get(s->repo->store, name, &data, len, OBJECT_MAX);
	if (err < 0)
		die(err, name);
	return data;
}

/* --- packs --- */

struct pack_bytes {
	uint8_t *data;
	size_t len;
	struct pack_id id;
	enum pack_kind kind;
	struct trailer *trailer;
};

/* NULL if it is damaged. */
static uint8_t *open_box(struct seeds *s, const struct pack_bytes *bytes,
		uint32_t frame, uint64_t offset, size_t len)
{
	uint8_t ad[PACK_AD_SIZE], *plain = malloc(len);
	pack_ad(ad, s->repo->config.repo_id, &bytes->id, bytes->kind, frame);
	int err = plain != NULL ? seal_open(s->repo->seal,
				  bytes->kind == PACK_DATA ? SEAL_DATA
							   : SEAL_TREE,
				  plain, bytes->data + offset, len, ad,
				  sizeof(ad))
				: -ENOMEM;
	if (err == -ENOMEM)
		die(err, "a box");
	if (err < 0)
		free(plain);
	return err < 0 ? NULL : plain;
}

static void seed_trailer(struct seeds *s, struct pack_bytes *bytes)
{
	int64_t box = pack_footer_decode(
			bytes->data + bytes->len - PACK_FOOTER_SIZE);
	uint8_t head[5];
	if (box < 0)
		die((int)box, "a footer");
	uint64_t end = bytes->len - PACK_FOOTER_SIZE - (uint64_t)box;
	uint8_t *plain = open_box(s, bytes, TRAILER_AD, end, (size_t)box);
	size_t len = (size_t)box - SEAL_OVERHEAD;
	if (plain == NULL)
		die(-EBADMSG, "a trailer");
	int err = trailer_decode(&bytes->trailer, &bytes->id, bytes->kind,
			plain, len, end);
	if (err < 0)
		die(err, "a trailer");
	head[0] = bytes->kind == PACK_DATA;
	put_le32(head + 1, (uint32_t)end);
	write_seed(s, "trailer", head, sizeof(head), plain, len);
	free(plain);
}

static void seed_node(struct seeds *s, const uint8_t *plain, size_t len)
{
	uint8_t head[9];
	head[0] = plain[0];
	put_le64(head + 1,
			plain[0] == 0 ? get_le32(plain + 4)
				      : get_le64(plain + 8));
	write_seed(s, "node", head, sizeof(head), plain, len);
}

static void seed_nodes(struct seeds *s, const struct pack_bytes *bytes,
		const struct frame_entry *frame, const uint8_t *form)
{
	struct frame_decoder *decoder = frame_codec_decoder_new();
	uint8_t *plain = malloc(frame->plain_len);
	if (decoder == NULL || plain == NULL
			|| frame_codec_decode(decoder, frame->compression,
					   plain, frame->plain_len,
					   frame->plain_len, form,
					   frame->stored_len - SEAL_OVERHEAD)
					< 0)
		die(-EBADMSG, "a frame");
	for (uint32_t i = 0; i < frame->chunk_count && i < EACH; i++) {
		const struct chunk_entry *chunk =
				&bytes->trailer->chunks[frame->first_chunk + i];
		seed_node(s, plain + chunk->offset, chunk->len);
	}
	free(plain);
	frame_codec_decoder_free(decoder);
}

static void seed_frame(struct seeds *s, const struct pack_bytes *bytes,
		uint32_t number)
{
	const struct frame_entry *frame = &bytes->trailer->frames[number];
	uint8_t *form = open_box(s, bytes, number, frame->offset,
			frame->stored_len);
	uint8_t head[9];
	if (form == NULL)
		return;
	head[0] = (uint8_t)frame->compression;
	put_le32(head + 1, frame->plain_len - 1);
	/* Readers want the whole, or a part. */
	put_le32(head + 5,
			number % 2 ? frame->plain_len - 1
				   : frame->plain_len / 3);
	write_seed(s, "frame", head, sizeof(head), form,
			frame->stored_len - SEAL_OVERHEAD);
	if (bytes->kind == PACK_TREE)
		seed_nodes(s, bytes, frame, form);
	free(form);
}

static void seed_pack(struct seeds *s, const char *name)
{
	struct pack_bytes p = { .trailer = NULL };
	uint8_t head[PACK_HEADER_SIZE + PACK_FOOTER_SIZE];
	struct pack_header h = { 0 };
	p.data = get(s, name, &p.len);
	int err = pack_name_parse(&p.id, name);
	if (err == 0)
		err = pack_header_decode(p.data, s->repo->config.repo_id, &h);
	if (err < 0)
		die(err, name);
	p.kind = h.kind;
	memcpy(head, p.data, PACK_HEADER_SIZE);
	memcpy(head + PACK_HEADER_SIZE, p.data + p.len - PACK_FOOTER_SIZE,
			PACK_FOOTER_SIZE);
	write_seed(s, "pack", head, sizeof(head), name, strlen(name));
	seed_trailer(s, &p);
	for (uint32_t i = 0; i < p.trailer->frame_count && i < EACH; i++)
		seed_frame(s, &p, i);
	trailer_free(p.trailer);
	free(p.data);
}

/* --- envelopes --- */

static void seed_name(struct seeds *s, const char *name)
{
	if (name != NULL)
		write_seed(s, "name", "", 0, name, strlen(name));
}

static void seed_names(struct seeds *s, const char *object, const char *json,
		size_t len)
{
	struct snapshot *snap;
	int err = snapshot_json_decode(&snap, s->repo->seal, object, json, len);
	if (err < 0)
		die(err, object);
	seed_name(s, snap->source);
	seed_name(s, snap->host);
	for (uint32_t i = 0; i < snap->file_count; i++) {
		seed_name(s, snap->files[i].name);
		seed_name(s, snap->files[i].source_path);
	}
	snapshot_free(snap);
}

static void seed_envelope(struct seeds *s, const char *name)
{
	size_t len, json_len;
	uint8_t *data = get(s, name, &len);
	char head[HEAD_MAX], *json;
	enum envelope_kind kind = len > 4 ? data[4] : 0;

	int err = envelope_open(s->repo->seal, s->repo->config.repo_id, kind,
			name, data, len, &json, &json_len);
	if (err < 0)
		die(err, name);
	/* The entry adds the kind to the first one; 8: sealed. */
	snprintf(head, sizeof(head), "%c%s\n",
			(kind - ENVELOPE_SNAPSHOT) | 8 | 'p', name);
	write_seed(s, "envelope", head, strlen(head), json, json_len);
	if (kind == ENVELOPE_SNAPSHOT) {
		write_seed(s, "snapshot", head + 1, strlen(head + 1), json,
				json_len);
		seed_names(s, name, json, json_len);
	}
	if (kind == ENVELOPE_SESSION)
		write_seed(s, "session", "", 0, json, json_len);
	free(json);
	free(data);
}

/* --- all --- */

static void seed_plain(struct seeds *s, const char *name)
{
	size_t len;
	uint8_t *data = get(s, name, &len);
	if (strcmp(name, CONFIG_NAME) == 0)
		write_seed(s, "config", "", 0, data, len);
	else /* 3: put id and checksum right */
		write_seed(s, "key_slot", "\3", 1, data, len);
	free(data);
}

static int note(void *ctx, const char *name)
{
	struct seeds *s = ctx;
	if (s->count == ARRAY_SIZE(s->names))
		return 0;
	s->names[s->count] = strdup(name);
	return s->names[s->count++] != NULL ? 0 : -ENOMEM;
}

static void seed_all(struct seeds *s, const char *prefix, size_t most,
		void (*seed)(struct seeds *, const char *))
{
	int err = store_list(s->repo->store, prefix, note, s);
	if (err < 0)
		die(err, prefix);
	for (size_t i = 0; i < s->count; i++) {
		if (i < most)
			seed(s, s->names[i]);
		free(s->names[i]);
	}
	s->count = 0;
}

/* A session of our own, which stands on the trees of a snapshot. */
static void seed_session(struct seeds *s)
{
	struct snapshot_list all;
	struct session *session;
	int err = session_begin(&session, s->repo, SESSION_READ,
			"fuzz%20seeds");
	if (err == 0)
		err = snapshot_list_load(s->repo, NULL, &all, NULL, NULL);
	for (size_t i = 0; err == 0 && i < all.count; i++)
		for (uint32_t f = 0; f < all.items[i]->file_count; f++)
			session_add_root(session,
					&all.items[i]->files[f].root.id);
	if (err < 0)
		die(err, "a session");
	seed_all(s, "sessions/", EACH, seed_envelope);
	snapshot_list_clear(&all);
	session_end(session);
}

int main(int argc, char **argv)
{
	static struct seeds s;
	static const struct repository_options o;
	if (argc != 3) {
		fprintf(stderr, "usage: fuzz-seeds REPO DIRECTORY\n");
		return 2;
	}
	s.directory = argv[2];
	int err = repository_open(&s.repo, argv[1], &o);
	if (err == 0)
		err = repository_attach(s.repo, &o);
	if (err < 0)
		die(err, argv[1]);
	seed_plain(&s, CONFIG_NAME);
	seed_all(&s, "keys/", EACH, seed_plain);
	seed_all(&s, "packs/", EACH, seed_pack);
	seed_all(&s, "snapshots/", EACH, seed_envelope);
	seed_all(&s, "condemned/", EACH, seed_envelope);
	seed_all(&s, "damaged/", EACH, seed_envelope);
	seed_all(&s, "pins/", EACH, seed_envelope);
	seed_all(&s, "retention/", EACH, seed_envelope);
	seed_session(&s);
	repository_close(s.repo);
	printf("%u seeds\n", s.written);
	return 0;
}
