/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "open_pack.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"

static enum seal_kind seal_kind_of(enum pack_kind kind)
{
	return kind == PACK_TREE ? SEAL_TREE : SEAL_DATA;
}

void open_pack_free(struct open_pack *pack)
{
	if (pack == NULL)
		return;
	store_put_abort(pack->put);
	free(pack->trailer.frames);
	free(pack->trailer.chunks);
	XXH3_freeState(pack->checksum);
	free(pack);
}

/* Every byte of a pack but the checksum passes here, in order. */
static int append(struct open_pack *pack, const void *data, size_t len)
{
	XXH3_128bits_update(pack->checksum, data, len);
	return store_put_write(pack->put, data, len);
}

static int begin(struct open_pack *pack)
{
	const struct pack_target *target = pack->target;
	uint8_t header[PACK_HEADER_SIZE];
	char name[PACK_NAME_SIZE];
	pack_name(name, &pack->trailer.pack);
	int err = store_put_begin(target->store, &pack->put, name);
	if (err < 0)
		return err;
	XXH3_128bits_reset(pack->checksum);
	const struct pack_header h = { .version = pack->trailer.version,
		.kind = pack->trailer.kind,
		.encrypted = target->config->encrypted };
	pack_header_encode(header, target->config->repo_id, &h);
	return append(pack, header, sizeof(header));
}

int open_pack_new(struct open_pack **out, const struct pack_target *target,
		enum pack_kind kind)
{
	struct open_pack *pack = calloc(1, sizeof(*pack));
	if (pack == NULL)
		return fail_no_memory("starting a pack");
	pack->target = target;
	pack_id_make(&pack->trailer.pack, target->session);
	pack->trailer.version = PACK_VERSION;
	pack->trailer.kind = kind;
	pack->size = PACK_HEADER_SIZE;
	pack->checksum = XXH3_createState();
	int err = pack->checksum != NULL ? begin(pack)
					 : fail_no_memory("starting a pack");
	if (err < 0) {
		open_pack_free(pack);
		return err;
	}
	*out = pack;
	return 0;
}

bool open_pack_is_full(const struct open_pack *pack)
{
	const struct config *config = pack->target->config;
	return pack->size >= config->pack_size
			|| pack->trailer.frame_count == PACK_FRAMES_MAX
			|| pack->trailer.chunk_count
			> PACK_CHUNKS_MAX - FRAME_CHUNKS_MAX;
}

/* --- frames --- */

static int grow(void **array, uint32_t *room, uint32_t need, size_t size)
{
	if (need <= *room)
		return 0;
	uint32_t more = *room != 0 ? 2 * *room : 1024;
	while (more < need)
		more *= 2;
	void *bigger = realloc(*array, more * size);
	if (bigger == NULL)
		return fail_no_memory("writing a pack");
	*array = bigger;
	*room = more;
	return 0;
}

int open_pack_reserve(struct open_pack *pack, const struct packed_frame *frame,
		uint32_t *number)
{
	struct trailer *trailer = &pack->trailer;
	assert(pack->put != NULL);
	assert(frame->chunk_count >= 1);
	assert(!open_pack_is_full(pack));
	int err = grow((void **)&trailer->frames, &pack->frames_room,
			trailer->frame_count + 1, sizeof(*trailer->frames));
	if (err < 0)
		return err;
	err = grow((void **)&trailer->chunks, &pack->chunks_room,
			trailer->chunk_count + frame->chunk_count,
			sizeof(*trailer->chunks));
	if (err < 0)
		return err;
	*number = trailer->frame_count++;
	trailer->frames[*number] = (struct frame_entry){
		.offset = pack->size,
		.stored_len = (uint32_t)(frame->len + SEAL_OVERHEAD),
		.plain_len = frame->plain_len,
		.first_chunk = trailer->chunk_count,
		.chunk_count = frame->chunk_count,
		.compression = frame->compression,
	};
	for (uint32_t i = 0; i < frame->chunk_count; i++) {
		struct chunk_entry *chunk =
				&trailer->chunks[trailer->chunk_count++];
		*chunk = frame->chunks[i];
		chunk->frame = *number;
	}
	pack->size += frame->len + SEAL_OVERHEAD;
	return 0;
}

void open_pack_seal(const struct open_pack *pack,
		const struct packed_frame *frame, uint32_t number)
{
	const struct pack_target *target = pack->target;
	enum pack_kind kind = pack->trailer.kind;
	uint8_t ad[PACK_AD_SIZE];
	pack_ad(ad, target->config->repo_id, &pack->trailer.pack, kind, number);
	seal_box(target->seal, seal_kind_of(kind), frame->box,
			frame->box + SEAL_NONCE_SIZE, frame->len, ad,
			sizeof(ad));
}

int open_pack_append(struct open_pack *pack, const struct packed_frame *frame)
{
	assert(pack->put != NULL);
	return append(pack, frame->box, frame->len + SEAL_OVERHEAD);
}

/* --- the end --- */

static int write_trailer(struct open_pack *pack, uint32_t *box_len)
{
	const struct pack_target *target = pack->target;
	const struct trailer *trailer = &pack->trailer;
	CLEANUP_FREE uint8_t *plain = NULL;
	CLEANUP_FREE uint8_t *box = NULL;
	uint8_t ad[PACK_AD_SIZE];
	size_t len;
	int err = trailer_encode(trailer, &plain, &len);
	if (err < 0)
		return fail_errno(err, "ending a pack");
	box = malloc(len + SEAL_OVERHEAD);
	if (box == NULL)
		return fail_no_memory("ending a pack");
	pack_ad(ad, target->config->repo_id, &trailer->pack, trailer->kind,
			TRAILER_AD);
	seal_box(target->seal, seal_kind_of(trailer->kind), box, plain, len, ad,
			sizeof(ad));
	*box_len = (uint32_t)(len + SEAL_OVERHEAD);
	return append(pack, box, *box_len);
}

int open_pack_finish(struct open_pack *pack)
{
	const size_t head = PACK_FOOTER_SIZE - PACK_CHECKSUM_SIZE;
	uint8_t footer[PACK_FOOTER_SIZE];
	uint32_t box_len = 0;
	assert(pack->put != NULL);
	int err = write_trailer(pack, &box_len);
	if (err < 0)
		return err;
	pack_footer_encode(footer, box_len);
	err = append(pack, footer, head);
	if (err < 0)
		return err;
	XXH128_canonicalFromHash((XXH128_canonical_t *)(footer + head),
			XXH3_128bits_digest(pack->checksum));
	err = store_put_write(pack->put, footer + head, PACK_CHECKSUM_SIZE);
	if (err < 0)
		return err;
	pack->size += box_len + PACK_FOOTER_SIZE;
	return store_put_commit(take_ptr(pack->put), true);
}
