/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Encoding and strict decoding of a pack's trailer.
 *
 * A trailer that trailer_decode accepts can be used without further checks:
 * every frame lies in the pack, every chunk in its frame, nothing is empty,
 * and all frames and chunks together are exactly what the counts say.
 *
 * What this file does not do: it opens no box and reads no object.
 */
#include "trailer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/error.h"

#define TRAILER_HEAD 8
#define FRAME_RECORD 12
#define CHUNK_RECORD 44
#define BARE_RECORD 36

static_assert(PACK_CHUNKS_MAX == 65536, "chunks of a frame fit u16 + 1");
static_assert(BARE_RECORD == ID_SIZE + 4, "chunk record of version 1");
static_assert(CHUNK_RECORD == BARE_RECORD + 8, "chunk record");
static_assert(TRAILER_BOX_MIN == 96, "smallest trailer");
static_assert(TRAILER_SIZE_MAX == 3670064, "largest trailer");

static size_t chunk_record(unsigned version)
{
	return version == PACK_VERSION_BARE ? BARE_RECORD : CHUNK_RECORD;
}

static size_t plain_size(unsigned version, uint32_t frames, uint32_t chunks)
{
	return TRAILER_HEAD + FRAME_RECORD * (size_t)frames
			+ chunk_record(version) * chunks;
}

int trailer_encode(const struct trailer *trailer, uint8_t **out, size_t *len)
{
	assert(trailer->frame_count >= 1
			&& trailer->frame_count <= PACK_FRAMES_MAX);
	assert(trailer->chunk_count >= 1
			&& trailer->chunk_count <= PACK_CHUNKS_MAX);
	const size_t record = chunk_record(trailer->version);
	*len = plain_size(trailer->version, trailer->frame_count,
			trailer->chunk_count);
	uint8_t *p = *out = malloc(*len);
	if (p == NULL)
		return fail_no_memory("writing a pack's trailer");
	put_le32(p, trailer->frame_count);
	put_le32(p + 4, trailer->chunk_count);
	p += TRAILER_HEAD;
	for (uint32_t i = 0; i < trailer->frame_count; i++, p += FRAME_RECORD) {
		const struct frame_entry *frame = &trailer->frames[i];
		assert(frame->chunk_count >= 1);
		put_le32(p, frame->stored_len);
		put_le32(p + 4, frame->plain_len);
		put_le16(p + 8, (uint16_t)(frame->chunk_count - 1));
		p[10] = (uint8_t)frame->compression;
		p[11] = 0;
	}
	for (uint32_t i = 0; i < trailer->chunk_count; i++, p += record) {
		memcpy(p, trailer->chunks[i].id.b, ID_SIZE);
		put_le32(p + ID_SIZE, trailer->chunks[i].len);
		if (record == CHUNK_RECORD)
			put_le64(p + BARE_RECORD, trailer->chunks[i].checksum);
	}
	return 0;
}

/* Where the next frame and chunk begin while a trailer is decoded. */
struct position {
	uint64_t offset;
	uint32_t chunk;
};

static int decode_frame(struct frame_entry *frame, const uint8_t *p,
		const struct trailer *trailer, struct position *position,
		uint64_t frames_end)
{
	frame->offset = position->offset;
	frame->stored_len = get_le32(p);
	frame->plain_len = get_le32(p + 4);
	frame->first_chunk = position->chunk;
	frame->chunk_count = (uint32_t)get_le16(p + 8) + 1;
	frame->compression = p[10];
	if (p[10] > FRAME_ZSTD || p[11] != 0)
		return -EBADMSG;
	if (frame->plain_len == 0 || frame->plain_len > FRAME_PLAIN_MAX)
		return -EBADMSG;
	/* Where zstd does not gain, a frame is stored as it is. */
	if (frame->stored_len <= SEAL_OVERHEAD
			|| frame->stored_len > SEAL_OVERHEAD + frame->plain_len)
		return -EBADMSG;
	if (frame->compression == FRAME_STORED
			&& frame->stored_len
					!= SEAL_OVERHEAD + frame->plain_len)
		return -EBADMSG;
	if (frame->stored_len > frames_end - position->offset)
		return -EBADMSG;
	if (frame->chunk_count > trailer->chunk_count - position->chunk)
		return -EBADMSG;
	position->offset += frame->stored_len;
	position->chunk += frame->chunk_count;
	return 0;
}

/* The chunks of frame F, which must fill its plain bytes. */
static int decode_chunks(struct trailer *trailer, uint32_t frame,
		const uint8_t *p)
{
	const struct frame_entry *entry = &trailer->frames[frame];
	const size_t record = chunk_record(trailer->version);
	uint32_t offset = 0;
	for (uint32_t i = 0; i < entry->chunk_count; i++, p += record) {
		struct chunk_entry *chunk =
				&trailer->chunks[entry->first_chunk + i];
		memcpy(chunk->id.b, p, ID_SIZE);
		chunk->frame = frame;
		chunk->offset = offset;
		chunk->len = get_le32(p + ID_SIZE);
		if (record == CHUNK_RECORD)
			chunk->checksum = get_le64(p + BARE_RECORD);
		if (chunk->len == 0 || chunk->len > entry->plain_len - offset
				|| id_is_zero(&chunk->id))
			return -EBADMSG;
		offset += chunk->len;
	}
	return offset == entry->plain_len ? 0 : -EBADMSG;
}

static int decode_tables(struct trailer *trailer, const uint8_t *frames,
		uint64_t frames_end)
{
	struct position at = { .offset = PACK_HEADER_SIZE };
	const uint8_t *p = frames;
	for (uint32_t i = 0; i < trailer->frame_count; i++, p += FRAME_RECORD) {
		int err = decode_frame(&trailer->frames[i], p, trailer, &at,
				frames_end);
		if (err < 0)
			return err;
	}
	if (at.offset != frames_end || at.chunk != trailer->chunk_count)
		return -EBADMSG;
	for (uint32_t i = 0; i < trailer->frame_count; i++) {
		int err = decode_chunks(trailer, i, p);
		if (err < 0)
			return err;
		p += chunk_record(trailer->version)
				* trailer->frames[i].chunk_count;
	}
	return 0;
}

/* Which version of packs has a table of this length; 0: none. */
static unsigned version_of(size_t len, uint32_t frames, uint32_t chunks)
{
	if (len == plain_size(PACK_VERSION, frames, chunks))
		return PACK_VERSION;
	return len == plain_size(PACK_VERSION_BARE, frames, chunks)
			? PACK_VERSION_BARE
			: 0;
}

static struct trailer *trailer_new(uint32_t frames, uint32_t chunks)
{
	struct trailer *trailer = calloc(1, sizeof(*trailer));
	if (trailer == NULL)
		return NULL;
	trailer->frame_count = frames;
	trailer->chunk_count = chunks;
	trailer->frames = calloc(frames, sizeof(*trailer->frames));
	trailer->chunks = calloc(chunks, sizeof(*trailer->chunks));
	if (trailer->frames == NULL || trailer->chunks == NULL) {
		trailer_free(trailer);
		return NULL;
	}
	return trailer;
}

int trailer_decode(struct trailer **out, const struct pack_id *pack,
		enum pack_kind kind, const void *plain, size_t len,
		uint64_t frames_end)
{
	static const char damaged[] = "the pack's trailer is not valid";
	const uint8_t *p = plain;
	*out = NULL;
	if (len < TRAILER_HEAD || frames_end <= PACK_HEADER_SIZE
			|| frames_end > PACK_SIZE_MAX)
		return fail(-EBADMSG, damaged);
	uint32_t frames = get_le32(p);
	uint32_t chunks = get_le32(p + 4);
	/* Nothing is allocated for counts that the length doesn't bear out. */
	if (frames == 0 || frames > PACK_FRAMES_MAX || chunks == 0
			|| chunks > PACK_CHUNKS_MAX
			|| version_of(len, frames, chunks) == 0)
		return fail(-EBADMSG, damaged);
	struct trailer *trailer = trailer_new(frames, chunks);
	if (trailer == NULL)
		return fail_no_memory("reading a pack's trailer");
	trailer->pack = *pack;
	trailer->version = version_of(len, frames, chunks);
	trailer->kind = kind;
	int err = decode_tables(trailer, p + TRAILER_HEAD, frames_end);
	if (err < 0) {
		trailer_free(trailer);
		return fail(err, damaged);
	}
	*out = trailer;
	return 0;
}

void trailer_free(struct trailer *trailer)
{
	if (trailer == NULL)
		return;
	free(trailer->frames);
	free(trailer->chunks);
	free(trailer);
}
