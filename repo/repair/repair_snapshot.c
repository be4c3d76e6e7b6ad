/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Beginning, ending, and what both ways of mending share; repair_from_copy.c takes
 * from a byte copy, repair_from_image.c from a repository with other keys.
 */
#include "repair_internal.h"

#include <errno.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"

#define FRAME_CACHE ((uint64_t)32 << 20)

static int no_memory(void)
{
	return fail_errno(-ENOMEM, "mending");
}

/* Equal keys make equal ids. */
static bool same_keys(const struct seal *a, const struct seal *b)
{
	static const char text[] = "one of all bytes";
	struct id x, y;
	seal_id(a, ID_CHUNK, &x, text, sizeof(text));
	seal_id(b, ID_CHUNK, &y, text, sizeof(text));
	return id_equal(&x, &y);
}

static int begin_reading(struct repair_snapshot *m)
{
	struct image_reader_options ro = { .cache_size = FRAME_CACHE };
	int err = session_begin(&m->reading, m->from, SESSION_READ, "repair");
	if (session_unwritable(err)) /* what a prune takes is not mended */
		err = exclusions_load(m->from->exclusions);
	if (err == 0)
		err = index_reconcile(m->from->index);
	if (err == -EAGAIN)
		err = 0;
	if (err == 0)
		err = image_reader_new(&m->reader, m->from->packs, &ro);
	m->frames = frame_cache_new(m->from->packs, FRAME_CACHE);
	return err == 0 && m->frames == NULL ? no_memory() : err;
}

int repair_snapshot_begin(struct repair_snapshot *m, struct snapshot_writer *to, struct repository *from)
{
	const struct repository *repo = to->repo;
	*m = (struct repair_snapshot){ .to = to, .from = from,
		.stored = id_set_new(), .tried = id_set_new() };
	if (m->stored == NULL || m->tried == NULL)
		return no_memory();
	m->byte_copy = memcmp(repo->config.repo_id, from->config.repo_id,
				      REPO_ID_SIZE)
			== 0;
	if (m->byte_copy && !same_keys(repo->seal, from->seal))
		return fail(-EINVAL, "%s has the id of %s but other keys",
				store_path(from->store),
				store_path(repo->store));
	int err = begin_reading(m);
	return err < 0 ? err : chunk_stream_new(to->sink, &m->stream);
}

void repair_snapshot_forget_other(struct repair_snapshot *m)
{
	if (m->other != NULL && m->reading != NULL && m->roots != NULL)
		session_leave_later(m->reading, m->roots, m->other->file_count);
	free(take_ptr(m->roots));
	snapshot_free(take_ptr(m->other));
	m->snap = NULL;
}

void repair_snapshot_end(struct repair_snapshot *m)
{
	repair_snapshot_forget_other(m);
	chunk_stream_free(m->stream);
	frame_cache_free(m->frames);
	image_reader_free(m->reader);
	session_end(m->reading);
	id_set_free(m->stored);
	id_set_free(m->tried);
}

bool repair_snapshot_has(const struct repair_snapshot *m, const struct id *id)
{
	return id_set_contains(m->stored, id);
}

int repair_snapshot_put(struct repair_snapshot *m, enum pack_kind kind, const struct id *wanted,
		const void *data, uint32_t len)
{
	struct id id;
	seal_id(m->to->repo->seal, kind == PACK_TREE ? ID_NODE : ID_CHUNK, &id,
			data, len);
	if (!id_equal(&id, wanted))
		return 0;
	int err = chunk_stream_put(m->stream, kind, &id, data, len);
	if (err == 0 && id_set_add(m->stored, &id) < 0)
		err = no_memory();
	if (err < 0)
		return err;
	m->chunks++;
	m->bytes += len;
	return 1;
}

bool repair_snapshot_stopped(const struct repair_snapshot *m)
{
	return interrupt_flag || chunk_sink_failed(m->to->sink);
}

int repair_snapshot_barrier(struct repair_snapshot *m)
{
	int err = chunk_stream_flush(m->stream);
	return err < 0 ? err : snapshot_writer_barrier(m->to);
}

ssize_t repair_snapshot_file(struct repair_snapshot *m, const struct snapshot *snap,
		const struct snapshot_file *file,
		const struct repair_fault *faults, size_t count, bool *again)
{
	ssize_t n = m->byte_copy ? repair_from_copy(m, faults, count)
				 : repair_from_image(m, snap, file, faults, count);
	*again = false;
	for (size_t i = 0; n > 0 && i < count; i++)
		*again = *again || faults[i].node;
	if (interrupt_flag && n >= 0)
		n = fail(-ECANCELED, "interrupted");
	return n;
}
