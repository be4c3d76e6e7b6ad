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
#include "snapshot_forget.h"
#include "snapshot_writer.h"

#include <errno.h>
#include <string.h>

#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/base/report.h"

/* Base leaves are looked at in order: little is needed. */
#define FRAME_CACHE ((uint64_t)16 << 20)

static int new_writer(struct snapshot_writer *writer, unsigned workers,
		struct image_writer **out)
{
	const struct repository *repo = writer->repo;
	return image_writer_new(out, repo->seal, &repo->config, writer->sink,
			writer->reader, workers, writer->throttle);
}

static int new_sink(struct snapshot_writer *writer, int level)
{
	const struct repository *repo = writer->repo;
	const struct pack_target target = { .store = repo->store,
		.seal = repo->seal,
		.config = &repo->config,
		.session = session_id(writer->session) };
	return chunk_sink_new(&writer->sink, &target, repo->packs, repo->index,
			level);
}

int snapshot_writer_begin(struct snapshot_writer *writer,
		struct repository *repo,
		const struct snapshot_writer_options *options)
{
	struct image_reader_options ro = { .cache_size = FRAME_CACHE };
	int level = options->level ? options->level : repo->config.zstd_level;
	*writer = (struct snapshot_writer){ .repo = repo };
	int err = session_begin(&writer->session, repo, SESSION_BACKUP,
			options->activity);
	if (err != 0)
		return err;
	err = new_sink(writer, level);
	if (err != 0)
		return err;
	if (options->outlive_losses)
		chunk_sink_outlive_losses(writer->sink);
	err = image_reader_new(&writer->reader, repo->packs, &ro);
	if (err != 0)
		return err;
	if (options->bwlimit != 0) {
		writer->throttle = throttle_new(options->bwlimit);
		if (writer->throttle == NULL)
			err = fail_no_memory("starting");
	}
	if (err != 0)
		return err;
	if (options->workers != 0)
		err = new_writer(writer, options->workers, &writer->writer);
	return err;
}

int snapshot_writer_add_writer(struct snapshot_writer *writer, unsigned workers,
		struct image_writer **out)
{
	void *more = realloc(writer->more,
			(writer->more_count + 1) * sizeof(*writer->more));
	if (more == NULL)
		return fail_no_memory("starting");
	writer->more = more;
	int err = new_writer(writer, workers, out);
	if (err != 0)
		return err;
	writer->more[writer->more_count++] = *out;
	return 0;
}

static void feed_index(struct snapshot_writer *writer)
{
	/* After a failure too: what was sealed is found again. */
	if (chunk_sink_barrier(writer->sink, true) < 0)
		return;
	int err = chunk_sink_index_error(writer->sink);
	if (err < 0 && err != -EAGAIN)
		report_warning("the index is behind (the next run will "
			       "catch up): %s",
				error_text(err));
}

void snapshot_writer_end(struct snapshot_writer *writer)
{
	if (writer->sink != NULL && !writer->given_up
			&& !chunk_sink_failed(writer->sink))
		chunk_sink_barrier(writer->sink, false);
	for (unsigned i = 0; i < writer->more_count; i++)
		image_writer_free(writer->more[i]);
	free(writer->more);
	image_writer_free(writer->writer);
	if (writer->sink != NULL)
		feed_index(writer);
	chunk_sink_free(writer->sink);
	image_reader_free(writer->reader);
	throttle_free(writer->throttle);
	session_end(writer->session);
	*writer = (struct snapshot_writer){ 0 };
}

int snapshot_writer_barrier(struct snapshot_writer *writer)
{
	int err = chunk_sink_barrier(writer->sink, false);
	if (err != 0)
		return err;
	err = session_check(writer->session);
	if (err != 0)
		return err;
	if (interrupt_flag)
		return fail(-ECANCELED, "interrupted");
	return 0;
}

uint64_t snapshot_writer_losses(const struct snapshot_writer *writer)
{
	return chunk_sink_losses(writer->sink);
}

int snapshot_writer_withdraw(struct snapshot_writer *writer,
		const struct snapshot *snap, int err)
{
	struct error_copy why;
	char shown[SNAPSHOT_SHOWN_MAX];
	error_save(&why, err);
	int e = snapshot_forget(writer->repo, snap);
	error_load(&why);
	if (e < 0 && e != -ENOENT)
		return fail_within(err,
				"snapshot %s may lack data and could not "
				"be removed; use 'amberfs forget'",
				snapshot_shown(shown, snap->object));
	return err;
}

int snapshot_writer_commit(struct snapshot_writer *writer,
		struct snapshot *snap, snapshot_writer_commit_fn *commit)
{
	int err = commit(writer->repo, snap);
	if (err < 0)
		return err;
	err = session_check(writer->session);
	return err < 0 ? snapshot_writer_withdraw(writer, snap, err) : 0;
}

static int note_damaged_leaf(void *ctx, uint64_t offset,
		const struct leaf *leaf)
{
	struct snapshot_writer *writer = ctx;
	(void)offset;
	if (interrupt_flag) /* reading it will find that out as well */
		return 1;
	for (uint32_t i = 0; i < leaf->count; i++)
		if (!leaf->entries[i].hole
				&& !image_reader_chunk_stored(writer->reader,
						&leaf->entries[i].id))
			return 1;
	return 0;
}

bool snapshot_writer_is_whole(struct snapshot_writer *writer,
		const struct tree_root *root, uint64_t size)
{
	const struct image_walker w = { .leaf = note_damaged_leaf,
		.ctx = writer };
	struct image *image;
	if (!image_reader_any_damaged(writer->reader))
		return true;
	if (image_open(&image, writer->reader, root, size) < 0)
		return false;
	int err = image_seek_walk(image, &w);
	image_close(image);
	return err == 0;
}

/* A source may be stale, too: a file of a server that forgot it. */
static bool is_fenced(struct snapshot_writer *writer, int err)
{
	struct error_copy why;
	if (err != -ESTALE || writer->session == NULL)
		return err == -ESTALE;
	error_save(&why, err);
	bool fenced = session_check(writer->session) < 0;
	error_load(&why);
	return fenced;
}

bool snapshot_writer_broken(struct snapshot_writer *writer, int err)
{
	return interrupt_flag || is_fenced(writer, err) || err == -ECANCELED
			|| (writer->sink != NULL
					&& chunk_sink_failed(writer->sink));
}
