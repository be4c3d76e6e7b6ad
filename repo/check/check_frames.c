/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One frame: authenticated, decoded, and each chunk's bytes hashed to the id
 * that the trailer gives it. */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/format/checksum.h"
#include "repo/pack/frame_codec.h"

int check_frames_init(struct check_frames_buffers *buffers)
{
	*buffers = (struct check_frames_buffers){
		.decoder = frame_codec_decoder_new()
	};
	return buffers->decoder != NULL ? 0 : fail_no_memory("checking frames");
}

void check_frames_clear(struct check_frames_buffers *buffers)
{
	frame_codec_decoder_free(buffers->decoder);
	free(buffers->plain);
	free(buffers->box);
	*buffers = (struct check_frames_buffers){ 0 };
}

static int make_room(uint8_t **buf, size_t *room, size_t need)
{
	if (need <= *room)
		return 0;
	free(*buf);
	*buf = malloc(need);
	*room = *buf != NULL ? need : 0;
	return *buf != NULL ? 0 : fail_no_memory("checking frames");
}

static int check_chunks(struct repository *repo, const struct trailer *trailer,
		const struct frame_entry *frame, const uint8_t *plain)
{
	for (uint32_t i = 0; i < frame->chunk_count; i++) {
		const struct chunk_entry *chunk =
				&trailer->chunks[frame->first_chunk + i];
		struct id id;
		seal_id(repo->seal,
				trailer->kind == PACK_TREE ? ID_NODE : ID_CHUNK,
				&id, plain + chunk->offset, chunk->len);
		if (!id_equal(&id, &chunk->id))
			return fail(-EBADMSG,
					"the contents of chunk %u do not "
					"match its id",
					i);
		if (!checksum_fits(seal_cut_seed(repo->seal), chunk,
				    plain + chunk->offset))
			return fail(-EBADMSG,
					"the contents of chunk %u do not "
					"match its checksum",
					i);
	}
	return 0;
}

int check_frames_one(struct repository *repo, const struct trailer *trailer,
		uint32_t number, struct check_frames_buffers *buffers)
{
	const struct frame_entry *frame = &trailer->frames[number];
	/* pack_cache_read_frame looks at the trailer alone. */
	const struct pack pack = { .trailer = (struct trailer *)trailer };
	uint8_t *in;
	size_t len;
	int err = make_room(&buffers->box, &buffers->box_room,
			frame->stored_len);
	if (err < 0)
		return err;
	err = make_room(&buffers->plain, &buffers->plain_room,
			frame->plain_len);
	if (err < 0)
		return err;
	err = pack_cache_read_frame(repo->packs, &pack, number, buffers->box,
			&in, &len);
	if (err < 0)
		return err;
	ssize_t n = frame_codec_decode(buffers->decoder, frame->compression,
			buffers->plain, frame->plain_len, frame->plain_len, in,
			len);
	if (n != (ssize_t)frame->plain_len)
		return fail(-EBADMSG, "it can't be decoded");
	return check_chunks(repo, trailer, frame, buffers->plain);
}
