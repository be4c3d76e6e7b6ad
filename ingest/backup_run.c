/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Setting up and ending a run. What stores is shared with copy and repair: see
 * storing.h.
 */
#include "backup_run.h"

#include "../repo/base/error.h"

int backup_run_begin(struct backup_run *run, const char *repository,
		const struct backup_options *o)
{
	*run = (struct backup_run){ .options = o,
		.workers = (unsigned)o->jobs.value,
		.snapshots = json_array() };
	const struct storing_options so = { .workers = run->workers,
		.level = (int)o->level.value, .bwlimit = o->bwlimit };
	int e = repository_open(&run->repo, repository, &o->repository);
	if (e == 0)
		e = repository_attach(run->repo, &o->repository);
	return e < 0 ? e : storing_begin(&run->storing, run->repo, &so);
}

void backup_run_end(struct backup_run *run)
{
	run->storing.given_up = run->broken.err != 0;
	storing_end(&run->storing);
	repository_close(run->repo);
}

bool backup_run_broken(struct backup_run *run, int err)
{
	if (run->broken.err != 0)
		return true;
	if (storing_broken(&run->storing, err))
		error_save(&run->broken, err);
	return run->broken.err != 0;
}
