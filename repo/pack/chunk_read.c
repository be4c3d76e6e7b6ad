/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One chunk, from whichever copy can be read. A pack that is gone (prune moved
 * its live chunks elsewhere) is forgotten and the chunk located again; a
 * damaged frame is skipped in favour of another copy. The error that remains is
 * that of the first damaged copy: it names what to repair.
 */
#include "chunk_read.h"

#include <errno.h>

#include "repo/base/error.h"

static int bad_chunk(const struct trailer *trailer,
		const struct chunk_entry *chunk, const char *what)
{
	char name[PACK_NAME_SIZE];
	pack_name(name, &trailer->pack);
	return fail(-EBADMSG,
			"pack %s, frame %u is damaged: the chunk at its byte "
			"%u does not match its %s; run 'amberfs repair'",
			name, chunk->frame, chunk->offset, what);
}

/* A chunk without a checksum, in a frame that was found damaged: its id tells
 * whether it is one of those that are. */
static bool is_doubtful(struct pack_cache *packs, const struct trailer *trailer,
		const struct chunk_entry *chunk)
{
	return chunk->checksum == 0
			&& exclusions_damaged(pack_cache_exclusions(packs),
					&trailer->pack, chunk->frame);
}

static bool has_id(struct pack_cache *packs, const struct trailer *trailer,
		const struct chunk_entry *chunk, const uint8_t *data)
{
	struct id id;
	seal_id(pack_cache_seal(packs),
			trailer->kind == PACK_TREE ? ID_NODE : ID_CHUNK, &id,
			data, chunk->len);
	return id_equal(&id, &chunk->id);
}

static int read_place(struct pack_cache *packs, struct frame_cache *frames,
		const struct chunk_place *place, uint32_t len, uint32_t upto,
		struct frame **frame, const uint8_t **data)
{
	const struct trailer *trailer = place->pack->trailer;
	const struct chunk_entry *chunk = &trailer->chunks[place->chunk];
	uint32_t first = trailer->frames[chunk->frame].first_chunk;
	bool doubtful = is_doubtful(packs, trailer, chunk);
	if (len != 0 && chunk->len != len)
		return fail(-EBADMSG,
				"a chunk is %u bytes long, but its tree "
				"says %u",
				chunk->len, len);
	/* Only a whole chunk can be compared. */
	if (upto > chunk->len || chunk->checksum != 0 || doubtful)
		upto = chunk->len;
	int err = frame_cache_get(frames, place->pack, chunk->frame,
			chunk->offset + upto, frame);
	if (err < 0)
		return err;
	*data = (*frame)->data + chunk->offset;
	if (frame_cache_is_bad(*frame, place->chunk - first))
		err = bad_chunk(trailer, chunk, "checksum");
	else if (doubtful && !has_id(packs, trailer, chunk, *data))
		err = bad_chunk(trailer, chunk, "id");
	if (err < 0)
		frame_cache_unpin(*frame);
	return err;
}

int chunk_read(struct pack_cache *packs, struct frame_cache *frames,
		enum pack_kind kind, const struct id *id, uint32_t len,
		uint32_t upto, struct frame **frame, const uint8_t **data,
		struct chunk_entry *chunk)
{
	struct pack_cache_tried tried = { .count = 0 };
	struct error_copy first = { .err = 0 };
	for (;;) {
		struct chunk_place at;
		int err = pack_cache_locate(packs, kind, id, &tried, &at);
		if (err < 0)
			return first.err && err == -ENOENT ? error_load(&first)
							   : err;
		err = read_place(packs, frames, &at, len, upto, frame, data);
		struct pack_id id_of_pack = at.pack->trailer->pack;
		*chunk = at.pack->trailer->chunks[at.chunk];
		pack_cache_release(at.pack);
		if (err == 0 || err == -ENOMEM)
			return err;
		if (err == -ENOENT)
			pack_cache_drop(packs, &id_of_pack);
		if (err != -ENOENT && first.err == 0)
			error_save(&first, err);
		if (tried.count == PACK_CACHE_TRIED_MAX)
			return first.err ? error_load(&first) : err;
		pack_cache_tried_add(&tried, &id_of_pack);
	}
}
