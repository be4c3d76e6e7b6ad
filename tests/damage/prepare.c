/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * damage-prepare REPO [SECOND-KEY-FILE]: adds one object of each kind that a
 * backup doesn't make (a second key slot, condemned, epoch, damaged, pin,
 * retention, a living session that claims to change keys), prints where the boxes
 * of all packs are, and keeps the session alive until standard input ends.
 *
 * A line is: the pack's name, "data" or "tree", the frame's number or
 * "trailer", offset and length of the box. The last line is "ready".
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/error.h"
#include "repo/base/hex.h"
#include "repo/format/envelope.h"
#include "repo/format/keyslot.h"
#include "repo/repository/min_age.h"
#include "repo/session/condemned.h"
#include "repo/session/exclusive.h"
#include "repo/session/session.h"
#include "repo/snapshot/pins.h"
#include "repo/snapshot/snapshot_list.h"

static void check(int err, const char *what)
{
	if (err >= 0)
		return;
	fprintf(stderr, "damage-prepare: %s: %s\n", what, error_text(err));
	exit(1);
}

/* --- the objects --- */

static void add_key_slot(struct repository *repo, const char *key_file)
{
	struct keyslot slot = { .kind = KEYSLOT_KEY_FILE,
		.created = 1700000000,
		.label = "second" };
	uint8_t secret[64], master[MASTER_KEY_SIZE], bytes[KEYSLOT_SIZE];
	FILE *f = fopen(key_file, "re");
	if (f == NULL || fread(secret, 1, sizeof(secret), f) != sizeof(secret))
		check(-EIO, key_file);
	fclose(f);
	seal_master(repo->seal, master);
	check(keyslot_make(bytes, &slot, repo->config.repo_id, secret,
			      sizeof(secret), master),
			"a key slot");
	check(store_put(repo->store, "keys/0123456789abcdef", bytes,
			      sizeof(bytes), true),
			"a key slot");
}

static void add_condemned(struct repository *repo)
{
	struct pack_id gone;
	uint64_t epoch;
	seal_random(gone.b, sizeof(gone.b));
	check(condemned_add(repo, &gone, 1), "condemned");
	check(condemned_announce_epoch(repo, 0, &epoch), "an epoch");
}

/* A frame of a pack that is not there. */
static void add_damaged(struct repository *repo)
{
	static const char name[] = "damaged/0123456789abcdef0123456789abcdef.0",
			  text[] = "{\"frame\":0,\"pack\":"
				   "\"0123456789abcdef0123456789"
				   "abcdef\",\"since\":1700000000}";
	uint8_t *object;
	size_t len;
	check(envelope_seal(repo->seal, repo->config.repo_id, ENVELOPE_DAMAGED,
			      name, text, strlen(text), &object, &len),
			name);
	check(store_put(repo->store, name, object, len, true), name);
	free(object);
}

static void add_keeping(struct repository *repo,
		const struct snapshot_list *all)
{
	struct min_age retention;
	check(pins_set(repo, all->items[0]->object, "kept"), "a pin");
	check(min_age_load(repo, &retention), "retention");
	check(min_age_set(repo, &retention, 0, 0), "retention");
	check(min_age_set(repo, &retention, 0, 0), "retention");
	min_age_clear(&retention);
}

/* --- where the boxes are --- */

static void print_pack(struct repository *repo, const char *name)
{
	struct pack_id id;
	struct pack *pack;
	check(pack_name_parse(&id, name), name);
	check(pack_cache_load(repo->packs, &id, &pack), name);
	const struct trailer *trailer = pack->trailer;
	const char *kind = trailer->kind == PACK_DATA ? "data" : "tree";
	uint64_t end = 0, size;
	for (uint32_t i = 0; i < trailer->frame_count; i++) {
		const struct frame_entry *frame = &trailer->frames[i];
		printf("%s %s %u %" PRIu64 " %u\n", name, kind, i,
				frame->offset, frame->stored_len);
		end = frame->offset + frame->stored_len;
	}
	check(store_size(repo->store, name, &size), name);
	printf("%s %s trailer %" PRIu64 " %" PRIu64 "\n", name, kind, end,
			size - PACK_FOOTER_SIZE - end);
	pack_cache_release(pack);
}

static int note_pack(void *ctx, const char *name)
{
	print_pack(ctx, name);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct repository_options o;
	struct snapshot_list all;
	struct repository *repo;
	struct session *session;
	struct exclusive *claim;
	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: damage-prepare REPO [KEY-FILE]\n");
		return 2;
	}
	check(repository_open(&repo, argv[1], &o), argv[1]);
	check(repository_attach(repo, &o), argv[1]);
	check(snapshot_list_load(repo, NULL, &all, NULL, NULL), "snapshots");
	if (argc == 3)
		add_key_slot(repo, argv[2]);
	add_condemned(repo);
	add_damaged(repo);
	add_keeping(repo, &all);
	check(session_begin(&session, repo, SESSION_READ, "damage"),
			"a session");
	check(session_add_root(session, &all.items[0]->files[0].root.id),
			"a session");
	check(exclusive_begin(&claim, repo, session_id(session), "keys"),
			"keys");
	check(store_list(repo->store, "packs/", note_pack, repo), "packs");
	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		;
	exclusive_end(claim);
	session_end(session);
	snapshot_list_clear(&all);
	repository_close(repo);
	return 0;
}
