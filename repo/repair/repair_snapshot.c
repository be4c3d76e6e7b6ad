/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Beginning, ending, and what both ways of repairing share; repair_from_copy.c
 * takes from a byte copy, repair_from_image.c from a repository with other
 * keys.
 */
#include "repair_internal.h"

#include <errno.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/format/checksum.h"

#define FRAME_CACHE ((uint64_t)32 << 20)

/* Equal keys make equal ids. */
static bool same_keys(const struct seal *a, const struct seal *b)
{
	static const char text[] = "one of all bytes";
	struct id x, y;
	seal_id(a, ID_CHUNK, &x, text, sizeof(text));
	seal_id(b, ID_CHUNK, &y, text, sizeof(text));
	return id_equal(&x, &y);
}

static int begin_reading(struct repair_snapshot *repair)
{
	struct image_reader_options ro = { .cache_size = FRAME_CACHE };
	int err = session_begin(&repair->reading, repair->from, SESSION_READ,
			"repair");
	if (session_unwritable(err)) /* what a prune deletes is not repaired */
		err = exclusions_load(repair->from->exclusions);
	if (err == 0)
		err = index_reconcile(repair->from->index);
	if (err == -EAGAIN)
		err = 0;
	if (err == 0)
		err = image_reader_new(&repair->reader, repair->from->packs,
				&ro);
	repair->frames = frame_cache_new(repair->from->packs, FRAME_CACHE);
	return err == 0 && repair->frames == NULL ? fail_no_memory("repairing")
						  : err;
}

int repair_snapshot_begin(struct repair_snapshot *repair,
		struct snapshot_writer *writer, struct repository *from)
{
	const struct repository *repo = writer->repo;
	*repair = (struct repair_snapshot){ .to = writer,
		.from = from,
		.stored = id_set_new(),
		.tried = id_set_new() };
	if (repair->stored == NULL || repair->tried == NULL)
		return fail_no_memory("repairing");
	repair->byte_copy = memcmp(repo->config.repo_id, from->config.repo_id,
					    REPO_ID_SIZE)
			== 0;
	if (repair->byte_copy && !same_keys(repo->seal, from->seal))
		return fail(-EINVAL,
				"%s has the same id as %s but different keys",
				store_path(from->store),
				store_path(repo->store));
	int err = begin_reading(repair);
	return err < 0 ? err : chunk_stream_new(writer->sink, &repair->stream);
}

void repair_snapshot_forget_other(struct repair_snapshot *repair)
{
	if (repair->other != NULL && repair->reading != NULL
			&& repair->roots != NULL)
		session_leave_later(repair->reading, repair->roots,
				repair->other->file_count);
	free(take_ptr(repair->roots));
	snapshot_free(take_ptr(repair->other));
	repair->snap = NULL;
}

void repair_snapshot_end(struct repair_snapshot *repair)
{
	repair_snapshot_forget_other(repair);
	chunk_stream_free(repair->stream);
	frame_cache_free(repair->frames);
	image_reader_free(repair->reader);
	session_end(repair->reading);
	id_set_free(repair->stored);
	id_set_free(repair->tried);
}

bool repair_snapshot_has(const struct repair_snapshot *repair,
		const struct id *id)
{
	return id_set_contains(repair->stored, id);
}

int repair_snapshot_put(struct repair_snapshot *repair, enum pack_kind kind,
		const struct id *wanted, const void *data, uint32_t len)
{
	struct repository *repo = repair->to->repo;
	struct chunk_entry chunk = { .len = len };
	chunk.checksum = checksum_chunk(seal_cut_seed(repo->seal), data, len);
	seal_id(repo->seal, kind == PACK_TREE ? ID_NODE : ID_CHUNK, &chunk.id,
			data, len);
	if (!id_equal(&chunk.id, wanted))
		return 0;
	int err = chunk_stream_put(repair->stream, kind, &chunk, data);
	if (err < 0)
		return err;
	if (id_set_add(repair->stored, &chunk.id) < 0)
		err = fail_no_memory("repairing");
	if (err < 0)
		return err;
	repair->chunks++;
	repair->bytes += len;
	return 1;
}

bool repair_snapshot_stopped(const struct repair_snapshot *repair)
{
	return interrupt_flag || chunk_sink_failed(repair->to->sink);
}

int repair_snapshot_barrier(struct repair_snapshot *repair)
{
	int err = chunk_stream_flush(repair->stream);
	return err < 0 ? err : snapshot_writer_barrier(repair->to);
}
