/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Setting up and ending a run. The storing itself is shared with copy and
 * repair: see snapshot_writer.h.
 */
#include "backup_run.h"

#include <errno.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"

int backup_run_begin(struct backup_run *run, const char *repository,
		const struct backup_options *options)
{
	*run = (struct backup_run){ .options = options,
		.snapshots = json_array() };
	pthread_mutex_init(&run->mutex, NULL);
	pthread_mutex_init(&run->commit_mutex, NULL);
	const struct snapshot_writer_options so = {
		.level = (int)options->level.value,
		.bwlimit = options->bwlimit
	};
	int err = repository_open(&run->repo, repository, &options->repository);
	if (err < 0)
		return err;
	err = repository_attach(run->repo, &options->repository);
	return err < 0 ? err
		       : snapshot_writer_begin(&run->storing, run->repo, &so);
}

int backup_run_add_lanes(struct backup_run *run, unsigned count, unsigned rows)
{
	unsigned jobs = (unsigned)run->options->jobs.value;
	unsigned workers = jobs > count ? jobs / count : 1;
	int err = 0;
	run->lanes = calloc(count, sizeof(*run->lanes));
	if (run->lanes == NULL)
		return fail_no_memory("starting the backup");
	while (err == 0 && run->lane_count < count) {
		struct backup_lane *lane = &run->lanes[run->lane_count++];
		lane->run = run;
		lane->workers = workers;
		err = snapshot_writer_add_writer(&run->storing, workers,
				&lane->writer);
	}
	not_shared(&run->mutex);
	for (unsigned i = 0; err == 0 && i < rows; i++)
		if (json_array_append_new(run->snapshots, json_null()) < 0)
			err = fail_no_memory("starting the backup");
	return err;
}

void backup_run_end(struct backup_run *run)
{
	not_shared(&run->mutex);
	run->storing.given_up = run->broken.err != 0;
	snapshot_writer_end(&run->storing);
	repository_close(run->repo);
	free(take_ptr(run->lanes));
	json_decref(take_ptr(run->snapshots));
	pthread_mutex_destroy(&run->mutex);
	pthread_mutex_destroy(&run->commit_mutex);
}

bool backup_run_broken(struct backup_run *run, int err)
{
	LOCK_SCOPE(&run->mutex);
	if (run->broken.err == 0 && err < 0
			&& snapshot_writer_broken(&run->storing, err))
		error_save(&run->broken, err);
	return run->broken.err != 0;
}

void backup_run_progress(void *ctx, struct progress_numbers *now)
{
	struct backup_run *run = ctx;
	struct chunk_sink_stats st;
	chunk_sink_stats(run->storing.sink, &st);
	LOCK_SCOPE(&run->mutex);
	now->done = run->all_done;
	for (unsigned i = 0; i < run->lane_count; i++)
		now->done += run->lanes[i].counts.done;
	now->total = run->all_total;
	now->fresh = st.new_bytes;
}
