/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is recorded about a running disk's files: its image is being written to,
 * so only device and inode; its backing files are at rest and are recorded in
 * full, fsynced, before the job begins.
 */
#include "live_disk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "clean_check.h"
#include "ingest/source/nbd_client.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/units.h"
#include "repo/format/name.h"

/* --- what it is --- */

/* In the same order as for a chain at rest, so that the two can be compared. */
static int note_identities(struct disk_state *disk, const struct chain *chain)
{
	uint32_t n = 0;
	int err = 0;
	disk->identities = calloc(chain_file_count(chain) + 1,
			sizeof(*disk->identities));
	if (disk->identities == NULL)
		return fail_no_memory("recording a disk's files");
	for (unsigned i = 0; err == 0 && i < chain->count; i++) {
		const struct chain_file *file = &chain->files[i];
		struct file_identity *identity = &disk->identities[n++];
		if (i == 0)
			*identity = (struct file_identity){
				.device = file->device,
				.inode = file->inode
			};
		else
			err = file_source_identify(file->path, identity);
		for (char **p = file->parts;
				err == 0 && p != NULL && *p != NULL; p++, n++)
			if (i > 0)
				err = file_source_identify(*p,
						&disk->identities[n]);
	}
	disk->identity_count = n;
	return err;
}

int live_disk_note(struct disk_state *disk, const struct disk_plan *plan)
{
	*disk = (struct disk_state){ .plan = plan,
		.cannot = tracking_cannot(plan) };
	disk->reading = chain_reading(&plan->chain);
	if (disk->reading == NULL)
		return fail_no_memory("recording a disk's files");
	return note_identities(disk, &plan->chain);
}

void live_disk_clear(struct disk_state *disk)
{
	free(disk->identities);
	free(disk->reading);
	*disk = (struct disk_state){ .plan = NULL };
}

void live_disk_demote(struct disk_state *disk, const char *why)
{
	disk->verdict.record = NULL;
	snprintf(disk->verdict.why, sizeof(disk->verdict.why), "%s", why);
}

/* --- the net --- */

static void say_lie(struct domain_run *run, struct disk_state *disk,
		uint64_t where)
{
	char shown[256], why[TRACKING_WHY_MAX];
	report_error("domain %s: disk %s: ITS DIRTY BITMAP IS WRONG: byte "
		     "%llu changed but is marked unchanged; did something "
		     "other than qemu write to its image?",
			run->display,
			name_display(shown, sizeof(shown), disk->plan->target),
			(unsigned long long)where);
	snprintf(why, sizeof(why),
			"its bitmap wrongly marks byte %llu unchanged",
			(unsigned long long)where);
	live_disk_demote(disk, why);
}

int live_disk_check(struct domain_run *d, struct disk_state *disk,
		const struct image_source *source)
{
	const struct snapshot_file *record = disk->verdict.record;
	const struct backup_run *run = d->lane->run;
	struct image *base;
	uint64_t where = 0;
	if (source->size != record->size) {
		live_disk_demote(disk, "its size changed");
		return 0;
	}
	int err = image_open(&base, run->storing.reader, &record->root,
			record->size);
	if (err == 0) {
		err = clean_check(source, base, &where);
		image_close(base);
	}
	if (err == 1)
		say_lie(d, disk, where);
	else if (err == -EBADMSG)
		live_disk_demote(disk,
				"the last snapshot's data can't be read");
	else if (err < 0)
		return err;
	return 0;
}

/* --- reading --- */

static int dial(struct domain_run *run, struct disk_state *disk,
		struct live_job *job, struct nbd_client **nbd,
		struct image_source *source)
{
	const struct backup_run *all = run->lane->run;
	char bitmap[300];
	snprintf(bitmap, sizeof(bitmap), "backup-%.200s", disk->plan->target);
	const struct nbd_client_options o = { .socket = live_job_socket(job),
		.export = disk->plan->target,
		.bitmap = disk->verdict.record != NULL ? bitmap : NULL,
		.workers = all->workers_max,
		.connected = live_job_connected,
		.ctx = job };
	int err = nbd_client_open(nbd, &o);
	if (err != 0)
		return err;
	nbd_client_fill(*nbd, source);
	return 0;
}

/* With the bitmap if it can be trusted, else without. */
static int connect_disk(struct domain_run *run, struct disk_state *disk,
		struct live_job *job, struct nbd_client **nbd,
		struct image_source *source)
{
	bool wanted = disk->verdict.record != NULL;
	*nbd = NULL;
	int err = dial(run, disk, job, nbd, source);
	if (!wanted)
		return err;
	if (err == -ENOTSUP)
		live_disk_demote(disk, "qemu does not serve its bitmap");
	else if (err == 0)
		err = live_disk_check(run, disk, source);
	else
		return err;
	if (disk->verdict.record != NULL || (err < 0 && err != -ENOTSUP))
		return err;
	nbd_client_close(take_ptr(*nbd));
	disk_record_say_full(run, disk->plan->target, disk->verdict.why);
	return dial(run, disk, job, nbd, source);
}

static int store(struct domain_run *run, struct disk_state *disk,
		const struct image_source *source, const char *checkpoint)
{
	char name[DISK_FILE_NAME_MAX];
	const struct chain_file *top = &disk->plan->chain.files[0];
	const struct backup_file f = { .name = disk_record_name(name,
						       disk->plan),
		.kind = FILE_DISK,
		.mode = DOMAIN_FILE_MODE,
		.mtime_ns = realtime_ns(),
		.source_path = top->path,
		.format = top->format,
		.target = disk->plan->target,
		.reading = disk->reading,
		.identities = disk->identities,
		.identity_count = disk->identity_count,
		.checkpoint = disk->cannot != NULL ? NULL : checkpoint,
		.base = disk->verdict.record };
	return backup_snapshot_store(run->b, &f, source);
}

int live_disk_store(struct domain_run *run, struct disk_state *disk,
		struct live_job *job, const char *checkpoint)
{
	struct nbd_client *nbd;
	struct image_source source;
	int err = connect_disk(run, disk, job, &nbd, &source);
	if (err == 0)
		err = store(run, disk, &source, checkpoint);
	nbd_client_close(nbd);
	if (err == 0)
		err = backup_snapshot_note_disk(run->b, disk->plan->target,
				disk->verdict.record != NULL ? DISK_INCREMENTAL
							     : DISK_FULL,
				disk->verdict.why[0] ? disk->verdict.why
						     : NULL);
	return err < 0 ? fail_within(err, "disk %s", disk->plan->target) : 0;
}
