/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Set-up: the session is registered before the packs are listed (session_begin
 * does both), and both before the sink may take a stored chunk for granted.
 *
 * Durable, in this order:
 *
 *	1 open frames end, data packs, then tree packs
 *	2 our own session is still there
 *	3 the snapshot object: the one commit point
 *	4 our own session is still there, else the snapshot is withdrawn
 */
#include "snapshot_writer.h"

#include <errno.h>
#include <string.h>

#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/base/report.h"

/* Base leaves are looked at in order: little is needed. */
#define FRAME_CACHE ((uint64_t)16 << 20)

static int new_writer(struct snapshot_writer *s, unsigned workers,
		struct image_writer **out)
{
	const struct repository *r = s->repo;
	return image_writer_new(out, r->seal, &r->config, s->sink, s->reader,
			workers, s->throttle);
}

static int new_sink(struct snapshot_writer *s, int level)
{
	const struct repository *r = s->repo;
	const struct pack_target target = { .store = r->store, .seal = r->seal,
		.config = &r->config, .session = session_id(s->session) };
	return chunk_sink_new(&s->sink, &target, r->packs, r->index, level);
}

int snapshot_writer_begin(struct snapshot_writer *s, struct repository *r,
		const struct snapshot_writer_options *o)
{
	struct image_reader_options ro = { .cache_size = FRAME_CACHE };
	int level = o->level ? o->level : r->config.zstd_level;
	*s = (struct snapshot_writer){ .repo = r };
	int err = session_begin(&s->session, r, SESSION_BACKUP, o->activity);
	if (err == 0)
		err = new_sink(s, level);
	if (err == 0)
		err = image_reader_new(&s->reader, r->packs, &ro);
	if (err == 0 && o->bwlimit != 0) {
		s->throttle = throttle_new(o->bwlimit);
		if (s->throttle == NULL)
			err = fail_errno(-ENOMEM, "starting");
	}
	if (err == 0 && o->workers != 0)
		err = new_writer(s, o->workers, &s->writer);
	return err;
}

int snapshot_writer_add_writer(struct snapshot_writer *s, unsigned workers,
		struct image_writer **out)
{
	void *more = realloc(s->more, (s->more_count + 1) * sizeof(*s->more));
	if (more == NULL)
		return fail_errno(-ENOMEM, "starting");
	s->more = more;
	int err = new_writer(s, workers, out);
	if (err == 0)
		s->more[s->more_count++] = *out;
	return err;
}

static void feed_index(struct snapshot_writer *s)
{
	/* After a failure too: what was sealed is found again. */
	if (chunk_sink_barrier(s->sink, true) < 0)
		return;
	int err = chunk_sink_index_error(s->sink);
	if (err < 0 && err != -EAGAIN)
		report_warning("the index lags behind (the next run makes up for "
			       "it): %s",
				error_text(err));
}

void snapshot_writer_end(struct snapshot_writer *s)
{
	if (s->sink != NULL && !s->given_up && !chunk_sink_failed(s->sink))
		chunk_sink_barrier(s->sink, false);
	for (unsigned i = 0; i < s->more_count; i++)
		image_writer_free(s->more[i]);
	free(s->more);
	image_writer_free(s->writer);
	if (s->sink != NULL)
		feed_index(s);
	chunk_sink_free(s->sink);
	image_reader_free(s->reader);
	throttle_free(s->throttle);
	session_end(s->session);
	*s = (struct snapshot_writer){ 0 };
}

int snapshot_writer_barrier(struct snapshot_writer *s)
{
	int err = chunk_sink_barrier(s->sink, false);
	if (err == 0)
		err = session_check(s->session);
	if (err == 0 && interrupt_flag)
		err = fail(-ECANCELED, "interrupted");
	return err;
}

/* Takes the snapshot back because of ERR. */
static int withdraw(struct snapshot_writer *s, const struct snapshot *snap, int err)
{
	struct error_copy why;
	error_save(&why, err);
	int e = snapshot_object_delete(s->repo, snap);
	error_load(&why);
	if (e < 0 && e != -ENOENT)
		return fail_within(err, "snapshot %s may lack data and could not "
				"be removed; use 'amberfs forget'",
				snap->object + strlen("snapshots/"));
	return err;
}

int snapshot_writer_commit(struct snapshot_writer *s, struct snapshot *snap,
		snapshot_writer_commit_fn *commit)
{
	int err = commit(s->repo, snap);
	if (err < 0)
		return err;
	err = session_check(s->session);
	return err < 0 ? withdraw(s, snap, err) : 0;
}

static int note_damaged_leaf(void *ctx, uint64_t offset,
		const struct leaf *leaf)
{
	struct snapshot_writer *s = ctx;
	(void)offset;
	if (interrupt_flag) /* reading it will find that out as well */
		return 1;
	for (uint32_t i = 0; i < leaf->count; i++)
		if (!leaf->entries[i].hole
				&& !image_reader_chunk_stored(s->reader,
						&leaf->entries[i].id))
			return 1;
	return 0;
}

bool snapshot_writer_is_whole(struct snapshot_writer *s, const struct tree_root *root,
		uint64_t size)
{
	const struct image_walker w = { .leaf = note_damaged_leaf, .ctx = s };
	struct image *image;
	if (!image_reader_any_damaged(s->reader))
		return true;
	if (image_open(&image, s->reader, root, size) < 0)
		return false;
	int err = image_seek_walk(image, &w);
	image_close(image);
	return err == 0;
}

/* A source may be stale, too: a file of a server that forgot it. */
static bool is_fenced(struct snapshot_writer *s, int err)
{
	struct error_copy why;
	if (err != -ESTALE || s->session == NULL)
		return err == -ESTALE;
	error_save(&why, err);
	bool fenced = session_check(s->session) < 0;
	error_load(&why);
	return fenced;
}

bool snapshot_writer_broken(struct snapshot_writer *s, int err)
{
	return interrupt_flag || is_fenced(s, err) || err == -ECANCELED
			|| (s->sink != NULL && chunk_sink_failed(s->sink));
}
