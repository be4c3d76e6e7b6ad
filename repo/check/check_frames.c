/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One frame: authenticated, decoded, and each chunk's bytes hashed to the id
 * that the trailer gives it. */
#include <errno.h>
#include <stdlib.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/pack/frame_codec.h"
#include "check.h"

int check_frames_init(struct check_frames_buffers *b)
{
	*b = (struct check_frames_buffers){ .decoder = frame_codec_decoder_new() };
	return b->decoder ? 0 : fail_errno(-ENOMEM, "checking frames");
}

void check_frames_clear(struct check_frames_buffers *b)
{
	frame_codec_decoder_free(b->decoder);
	free(b->plain);
	free(b->box);
	*b = (struct check_frames_buffers){ 0 };
}

static int make_room(uint8_t **buf, size_t *room, size_t need)
{
	if (need <= *room)
		return 0;
	free(*buf);
	*buf = malloc(need);
	*room = *buf ? need : 0;
	return *buf ? 0 : fail_errno(-ENOMEM, "checking frames");
}

static int check_chunks(struct repository *r, const struct trailer *t,
		const struct frame_entry *f, const uint8_t *plain)
{
	for (uint32_t i = 0; i < f->chunk_count; i++) {
		const struct chunk_entry *c = &t->chunks[f->first_chunk + i];
		struct id id;
		seal_id(r->seal, t->kind == PACK_TREE ? ID_NODE : ID_CHUNK, &id,
				plain + c->offset, c->len);
		if (!id_equal(&id, &c->id))
			return fail(-EBADMSG, "chunk %u does not have its id", i);
	}
	return 0;
}

int check_frames_one(struct repository *r, const struct trailer *t, uint32_t number,
		struct check_frames_buffers *b)
{
	const struct frame_entry *f = &t->frames[number];
	/* pack_cache_read_frame looks at the trailer alone. */
	const struct pack pack = { .trailer = (struct trailer *)t };
	uint8_t *in;
	size_t len;
	int err = make_room(&b->box, &b->box_room, f->stored_len);
	if (err == 0)
		err = make_room(&b->plain, &b->plain_room, f->plain_len);
	if (err == 0)
		err = pack_cache_read_frame(r->packs, &pack, number, b->box, &in, &len);
	if (err < 0)
		return err;
	ssize_t n = frame_codec_decode(b->decoder, f->compression, b->plain,
			f->plain_len, f->plain_len, in, len);
	if (n != (ssize_t)f->plain_len)
		return fail(-EBADMSG, "it does not decode");
	return check_chunks(r, t, f, b->plain);
}
