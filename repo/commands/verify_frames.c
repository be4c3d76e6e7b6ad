/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every frame of every pack: authenticated, decoded, and each chunk's bytes
 * hashed to the id that the trailer gives it. What fails is recorded as damaged,
 * so that the walk over the trees can tell what it touches.
 */
#include <errno.h>
#include <stdlib.h>

#include "../base/cleanup.h"
#include "../base/error.h"
#include "../data/frame.h"
#include "verify.h"

struct bench {
	struct frame_decoder *decoder;
	uint8_t *plain, *box;
	size_t plain_room, box_room;
};

static int make_room(uint8_t **buf, size_t *room, size_t need)
{
	if (need <= *room)
		return 0;
	free(*buf);
	*buf = malloc(need);
	*room = *buf ? need : 0;
	return *buf ? 0 : fail_errno(-ENOMEM, "checking frames");
}

static int check_chunks(struct verify *v, const struct trailer *t,
		const struct frame_entry *f, const uint8_t *plain)
{
	for (uint32_t i = 0; i < f->chunk_count; i++) {
		const struct chunk_entry *c = &t->chunks[f->first_chunk + i];
		struct id id;
		seal_id(v->repo->seal,
				t->kind == PACK_TREE ? ID_NODE : ID_CHUNK, &id,
				plain + c->offset, c->len);
		if (!id_equal(&id, &c->id))
			return fail(-EBADMSG, "chunk %u does not have its id", i);
	}
	return 0;
}

static int check_frame(struct verify *v, const struct pack *pack,
		uint32_t number, struct bench *b)
{
	const struct trailer *t = pack->trailer;
	const struct frame_entry *f = &t->frames[number];
	uint8_t *in;
	size_t len;
	int e = make_room(&b->box, &b->box_room, f->stored_len);
	if (e == 0)
		e = make_room(&b->plain, &b->plain_room, f->plain_len);
	if (e == 0)
		e = packs_read_frame(v->repo->packs, pack, number, b->box, &in,
				&len);
	if (e < 0)
		return e;
	ssize_t n = frame_decode(b->decoder, f->compression, b->plain,
			f->plain_len, f->plain_len, in, len);
	if (n != (ssize_t)f->plain_len)
		return fail(-EBADMSG, "it does not decode");
	return check_chunks(v, t, f, b->plain);
}

static void check_all(struct verify *v, struct pack *pack, const char *name,
		struct bench *b)
{
	for (uint32_t i = 0; i < pack->trailer->frame_count; i++) {
		int e = check_frame(v, pack, i, b);
		v->frames++;
		v->done += pack->trailer->frames[i].stored_len;
		if (e == 0)
			continue;
		if (e == -ENOENT) /* pruned meanwhile */
			return;
		verify_problem(v, "%s, frame %u: %s", name, i, error_text(e));
		if (e == -EBADMSG)
			packs_mark_damaged(v->repo->packs, pack, i);
	}
}

static void verify_pack(struct verify *v, const char *name)
{
	struct pack_id id;
	struct pack *pack;
	struct bench b = { .decoder = frame_decoder_new() };
	int e = pack_name_parse(&id, name);
	if (e < 0) /* a foreign file; nobody reads it */
		e = -ENOENT;
	else if (b.decoder == NULL)
		e = fail_errno(-ENOMEM, "checking %s", name);
	else
		e = packs_load(v->repo->packs, &id, &pack);
	if (e == 0) {
		check_all(v, pack, name, &b);
		packs_release(pack);
	} else if (e != -ENOENT) {
		verify_problem(v, "%s", error_text(e));
	}
	v->packs++;
	frame_decoder_free(b.decoder);
	free(b.plain);
	free(b.box);
}

int verify_frames(struct verify *v)
{
	v->packs = 0;
	progress_begin("frames", verify_progress, v);
	int e = verify_each_pack(v, verify_pack);
	progress_end();
	return e;
}
