/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Setting up and ending a run. Order of the set-up: the session is registered
 * before the packs are listed (session_begin does both), and both before the
 * sink may take a stored chunk for granted.
 */
#include "backup_run.h"

#include <errno.h>
#include <string.h>

#include "../repo/base/error.h"
#include "../repo/base/interrupt.h"

/* Base leaves are looked at in order: little is needed. */
#define FRAME_CACHE ((uint64_t)16 << 20)

static int start_writer(struct backup_run *run)
{
	const struct backup_options *o = run->options;
	struct repository *r = run->repo;
	struct image_reader_options ro = { .cache_size = FRAME_CACHE };
	int level = o->level.value ? (int)o->level.value
				   : r->config.zstd_level;
	int e = chunk_sink_new(&run->sink, r->store, r->seal, &r->config,
			r->packs, r->index, level, session_id(run->session));
	if (e == 0)
		e = image_reader_new(&run->reader, r->packs, &ro);
	if (e == 0 && o->bwlimit != 0) {
		run->throttle = throttle_new(o->bwlimit);
		if (run->throttle == NULL)
			e = fail_errno(-ENOMEM, "starting");
	}
	if (e == 0)
		e = image_writer_new(&run->writer, r->seal, &r->config,
				run->sink, run->reader, run->workers,
				run->throttle);
	return e;
}

int backup_run_begin(struct backup_run *run, const char *repository,
		const struct backup_options *o)
{
	*run = (struct backup_run){ .options = o,
		.workers = (unsigned)o->jobs.value,
		.snapshots = json_array() };
	int e = repository_open(&run->repo, repository, &o->repository);
	if (e == 0)
		e = repository_attach(run->repo, &o->repository);
	if (e == 0)
		e = session_begin(&run->session, run->repo, SESSION_BACKUP,
				NULL);
	if (e == 0)
		e = start_writer(run);
	return e;
}

static void feed_index(struct backup_run *run)
{
	/* After a failure too: what was sealed is found again. */
	if (chunk_sink_barrier(run->sink, true) < 0)
		return;
	int e = chunk_sink_index_error(run->sink);
	if (e < 0 && e != -EAGAIN)
		report_warning("the index lags behind (the next run makes up for "
			       "it): %s",
				error_text(e));
}

void backup_run_end(struct backup_run *run)
{
	if (run->writer != NULL && run->broken.err == 0)
		image_writer_flush(run->writer);
	image_writer_free(run->writer);
	if (run->sink != NULL)
		feed_index(run);
	chunk_sink_free(run->sink);
	image_reader_free(run->reader);
	throttle_free(run->throttle);
	session_end(run->session);
	repository_close(run->repo);
}

bool backup_run_broken(struct backup_run *run, int err)
{
	if (run->broken.err != 0)
		return true;
	if (interrupt_flag || err == -ESTALE
			|| (run->sink && chunk_sink_failed(run->sink)))
		error_save(&run->broken, err);
	return run->broken.err != 0;
}
