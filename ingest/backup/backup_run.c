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
	pthread_mutex_init(&run->share_mutex, NULL);
	const struct snapshot_writer_options so = {
		.level = (int)options->level.value,
		.bwlimit = options->bwlimit,
		.outlive_losses = true
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
	int err = 0;
	run->workers_max = jobs;
	run->lanes = calloc(count, sizeof(*run->lanes));
	if (run->lanes == NULL)
		return fail_no_memory("starting the backup");
	while (err == 0 && run->lane_count < count) {
		unsigned i = run->lane_count++;
		struct backup_lane *lane = &run->lanes[i];
		lane->run = run;
		lane->workers = jobs > count ? jobs / count + (i < jobs % count)
					     : 1;
		err = snapshot_writer_add_writer(&run->storing, lane->workers,
				&lane->writer);
	}
	not_shared(&run->mutex);
	for (unsigned i = 0; err == 0 && i < rows; i++)
		if (json_array_append_new(run->snapshots, json_null()) < 0)
			err = fail_no_memory("starting the backup");
	return err;
}

/* The one with the fewest workers, of those that can have another; or NULL. */
static struct backup_lane *neediest(struct backup_run *run)
{
	struct backup_lane *found = NULL;
	for (unsigned i = 0; i < run->lane_count; i++) {
		struct backup_lane *lane = &run->lanes[i];
		if (!lane->over && lane->workers < run->workers_max
				&& (found == NULL
						|| lane->workers
								< found->workers))
			found = lane;
	}
	return found;
}

/* A thread that can't be started is none the worse for the backup. */
void backup_run_leave(struct backup_lane *lane)
{
	struct backup_run *run = lane->run;
	LOCK_SCOPE(&run->share_mutex);
	lane->over = true;
	if (neediest(run) == NULL || image_writer_retire(lane->writer) < 0)
		return;
	for (; lane->workers > 0; lane->workers--) {
		struct backup_lane *other = neediest(run);
		if (other == NULL || image_writer_grow(other->writer) < 0)
			return;
		other->workers++;
	}
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
	pthread_mutex_destroy(&run->share_mutex);
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
