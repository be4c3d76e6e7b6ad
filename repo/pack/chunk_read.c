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

static int read_place(struct frame_cache *frames,
		const struct chunk_place *place, uint32_t len, uint32_t upto,
		struct frame **frame, const uint8_t **data, uint32_t *got)
{
	const struct trailer *trailer = place->pack->trailer;
	const struct chunk_entry *chunk = &trailer->chunks[place->chunk];
	if (len != 0 && chunk->len != len)
		return fail(-EBADMSG,
				"a chunk is %u bytes long, but its tree "
				"says %u",
				chunk->len, len);
	if (upto > chunk->len)
		upto = chunk->len;
	int err = frame_cache_get(frames, place->pack, chunk->frame,
			chunk->offset + upto, frame);
	if (err < 0)
		return err;
	*data = (*frame)->data + chunk->offset;
	*got = chunk->len;
	return 0;
}

int chunk_read(struct pack_cache *packs, struct frame_cache *frames,
		enum pack_kind kind, const struct id *id, uint32_t len,
		uint32_t upto, struct frame **frame, const uint8_t **data,
		uint32_t *got)
{
	struct pack_cache_tried tried = { .count = 0 };
	struct error_copy first = { .err = 0 };
	for (;;) {
		struct chunk_place at;
		int err = pack_cache_locate(packs, kind, id, &tried, &at);
		if (err < 0)
			return first.err && err == -ENOENT ? error_load(&first)
							   : err;
		err = read_place(frames, &at, len, upto, frame, data, got);
		struct pack_id id_of_pack = at.pack->trailer->pack;
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
