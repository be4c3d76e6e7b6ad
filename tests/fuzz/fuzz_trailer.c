/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz entry: a trailer's plain form. Input: the pack's kind u8, where its
 * frames end u32, the plain form. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "repo/format/trailer.h"

static void check_frames_one(const struct trailer *trailer, uint32_t number,
		uint64_t *offset, uint32_t *chunk)
{
	const struct frame_entry *frame = &trailer->frames[number];
	uint32_t plain = 0;
	must(frame->offset == *offset && frame->first_chunk == *chunk);
	must(frame->plain_len >= 1 && frame->plain_len <= FRAME_PLAIN_MAX);
	must(frame->stored_len > SEAL_OVERHEAD);
	must(frame->stored_len <= frame->plain_len + SEAL_OVERHEAD);
	must(frame->chunk_count >= 1);
	must(frame->chunk_count <= trailer->chunk_count - *chunk);
	for (uint32_t i = 0; i < frame->chunk_count; i++, (*chunk)++) {
		const struct chunk_entry *c = &trailer->chunks[*chunk];
		must(c->frame == number && c->offset == plain && c->len >= 1);
		must(!id_is_zero(&c->id));
		plain += c->len;
	}
	must(plain == frame->plain_len);
	*offset += frame->stored_len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct pack_id id = { "a pack's id" };
	struct input in = { data, size };
	enum pack_kind kind = input_u8(&in) & 1 ? PACK_DATA : PACK_TREE;
	uint64_t frames_end = input_u32(&in), offset = PACK_HEADER_SIZE;
	struct trailer *trailer;
	uint32_t chunk = 0;
	uint8_t *again;
	size_t len;
	if (!fuzz_accepted(trailer_decode(&trailer, &id, kind, in.at, in.left,
			    frames_end)))
		return 0;
	must(trailer->kind == kind
			&& memcmp(&trailer->pack, &id, sizeof(id)) == 0);
	for (uint32_t i = 0; i < trailer->frame_count; i++)
		check_frames_one(trailer, i, &offset, &chunk);
	must(offset == frames_end && chunk == trailer->chunk_count);
	must(trailer_encode(trailer, &again, &len) == 0);
	must(len == in.left && memcmp(again, in.at, len) == 0);
	free(again);
	trailer_free(trailer);
	return 0;
}
