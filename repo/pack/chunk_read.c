/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One chunk, from whichever copy can be read. A pack that is gone (prune moved
 * its live chunks elsewhere) is forgotten and the chunk located anew; a damaged
 * frame is passed over for another copy. The error that remains is that of the
 * first damaged copy: it names what to mend.
 */
#include "chunk_read.h"

#include <errno.h>

#include "repo/base/error.h"

static int read_place(struct frames *frames, const struct chunk_place *at,
		uint32_t len, uint32_t upto, struct frame **frame,
		const uint8_t **data, uint32_t *got)
{
	const struct trailer *t = at->pack->trailer;
	const struct chunk_entry *c = &t->chunks[at->chunk];
	if (len != 0 && c->len != len)
		return fail(-EBADMSG,
				"a chunk is %u bytes long where its tree says %u",
				c->len, len);
	if (upto > c->len)
		upto = c->len;
	int r = frames_get(frames, at->pack, c->frame, c->offset + upto, frame);
	if (r < 0)
		return r;
	*data = (*frame)->data + c->offset;
	*got = c->len;
	return 0;
}

int chunk_read(struct packs *packs, struct frames *frames, enum pack_kind kind,
		const struct id *id, uint32_t len, uint32_t upto,
		struct frame **frame, const uint8_t **data, uint32_t *got)
{
	struct packs_tried tried = { .count = 0 };
	struct error_copy first = { .err = 0 };
	for (;;) {
		struct chunk_place at;
		int r = packs_locate(packs, kind, id, &tried, &at);
		if (r < 0)
			return first.err && r == -ENOENT ? error_load(&first)
							 : r;
		r = read_place(frames, &at, len, upto, frame, data, got);
		struct pack_id id_of_pack = at.pack->trailer->pack;
		packs_release(at.pack);
		if (r == 0 || r == -ENOMEM)
			return r;
		if (r == -ENOENT)
			packs_drop(packs, &id_of_pack);
		if (r != -ENOENT && first.err == 0)
			error_save(&first, r);
		if (tried.count == PACKS_TRIED_MAX)
			return first.err ? error_load(&first) : r;
		packs_tried_add(&tried, &id_of_pack);
	}
}
