/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A disk of a domain that is shut off, as its guest sees it. The identities of
 * its chain's files are noted before it is read and compared afterwards. If
 * they have not changed since the last backup, the disk is taken over unread.
 * Otherwise, if the image has the bitmap of an earlier live backup, only what
 * is dirty is read, and the rest is taken from that backup. Otherwise all is
 * read.
 */
#include "offline_disk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ingest/backup/backup_path.h"
#include "ingest/live/live_disk.h"
#include "ingest/source/nbd_source.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/units.h"

/* Identities of all files of the chain, in order. To be freed. */
static int chain_identities(const struct chain *chain,
		struct file_identity **out, uint32_t *count)
{
	CLEANUP_FREE struct file_identity *ids =
			calloc(chain_file_count(chain) + 1, sizeof(*ids));
	if (ids == NULL)
		return fail_no_memory("reading a disk");
	uint32_t n = 0;
	int err = 0;
	for (unsigned i = 0; err == 0 && i < chain->count; i++) {
		err = file_source_identify(chain->files[i].path, &ids[n++]);
		for (char **p = chain->files[i].parts;
				err == 0 && p != NULL && *p != NULL; p++)
			err = file_source_identify(*p, &ids[n++]);
	}
	if (err < 0)
		return err;
	*out = take_ptr(ids);
	*count = n;
	return 0;
}

static int recheck_chain(const struct chain *chain,
		const struct file_identity *before, uint32_t count)
{
	CLEANUP_FREE struct file_identity *after = NULL;
	const char *top = chain->files[0].path;
	char behind[4200];
	uint32_t n;
	snprintf(behind, sizeof(behind), "a backing file of %s", top);
	int err = chain_identities(chain, &after, &n);
	if (err == 0 && n != count)
		err = fail(-EBUSY,
				"the backing files of %s changed while it was "
				"read",
				top);
	for (uint32_t i = 0; err == 0 && i < count; i++)
		err = file_source_compare(i == 0 ? top : behind, &before[i],
				&after[i]);
	return err;
}

/* --- incremental or not --- */

/* Warns only if an earlier live backup makes a full read unexpected. */
static void decide(struct domain_run *run, struct disk_state *disk,
		const struct tracking_base *base)
{
	const struct chain_file *top = &disk->plan->chain.files[0];
	const struct tracking_disk now = { .target = disk->plan->target,
		.path = top->path,
		.reading = disk->reading,
		.size = top->virtual_size,
		.identities = disk->identities,
		.identity_count = disk->identity_count,
		.cannot = disk->cannot };
	const char *why = NULL;
	disk->verdict = (struct tracking_verdict){ .record = NULL };
	if (base->snap == NULL || disk->cannot != NULL)
		return;
	tracking_decide(&disk->verdict, base, run->domain->facts.uuid, &now);
	if (disk->verdict.record == NULL)
		return;
	if (run->options->force_read)
		live_disk_demote(disk, "requested by --force-read");
	else if (!tracking_image_has(top, base->token, &why))
		live_disk_demote(disk, why);
}

/* With the bitmap if it can be trusted, else without. */
static int open_image(struct domain_run *run, struct disk_state *disk,
		const char *token, struct nbd_source **nbd,
		struct image_source *source)
{
	const struct chain *chain = &disk->plan->chain;
	const struct backup_run *all = run->lane->run;
	*nbd = NULL;
	if (disk->verdict.record != NULL) {
		int err = nbd_source_open(nbd, chain, token, all->workers_max);
		if (err == 0) {
			nbd_source_fill(*nbd, source);
			err = live_disk_check(run, disk, source);
		} else if (err == -EIO || err == -ENOTSUP) {
			live_disk_demote(disk, "qemu-nbd can't use its bitmap");
			err = 0;
		}
		if (err < 0 || disk->verdict.record != NULL)
			return err;
		nbd_source_close(take_ptr(*nbd));
	}
	if (disk->verdict.why[0])
		disk_record_say_full(run, disk->plan->target,
				disk->verdict.why);
	int err = nbd_source_open(nbd, chain, NULL, all->workers_max);
	if (err != 0)
		return err;
	nbd_source_fill(*nbd, source);
	return 0;
}

static int read_image(struct domain_run *run, struct disk_state *disk,
		const char *token, struct backup_file *file)
{
	struct nbd_source *nbd;
	struct image_source source;
	int err = open_image(run, disk, token, &nbd, &source);
	file->base = disk->verdict.record;
	if (err == 0)
		err = backup_snapshot_store(run->b, file, &source);
	nbd_source_close(nbd);
	if (err == 0)
		err = backup_snapshot_note_disk(run->b, file->target,
				file->base != NULL ? DISK_INCREMENTAL
						   : DISK_FULL,
				disk->verdict.why[0] ? disk->verdict.why
						     : NULL);
	return err;
}

/* --- the disk --- */

static int store_chain(struct domain_run *run, const struct disk_plan *plan,
		const struct tracking_base *base, struct backup_file *file)
{
	CLEANUP_FREE struct file_identity *before = NULL;
	CLEANUP_FREE char *reading = chain_reading(&plan->chain);
	bool taken;
	if (reading == NULL)
		return fail_no_memory("reading a disk");
	int err = chain_identities(&plan->chain, &before,
			&file->identity_count);
	if (err < 0)
		return err;
	file->identities = before;
	file->reading = reading;
	file->mtime_ns = realtime_ns();
	for (uint32_t i = 0; i < file->identity_count; i++)
		if (i == 0 || before[i].mtime_ns > file->mtime_ns)
			file->mtime_ns = before[i].mtime_ns;
	err = backup_snapshot_reuse(run->b, file, &taken);
	if (err < 0)
		return err;
	if (taken)
		return disk_record_check_image(run, plan, false, run->b->base);
	struct disk_state s = { .plan = plan,
		.identities = before,
		.identity_count = file->identity_count,
		.reading = reading,
		.cannot = tracking_cannot(plan) };
	decide(run, &s, base);
	err = read_image(run, &s, base->token, file);
	if (err == 0)
		err = disk_record_check_image(run, plan, true,
				s.verdict.record != NULL ? base->snap : NULL);
	return err < 0 ? err
		       : recheck_chain(&plan->chain, before,
				       file->identity_count);
}

int offline_disk_store(struct domain_run *run, const struct disk_plan *plan,
		const struct tracking_base *base)
{
	char name[DISK_FILE_NAME_MAX];
	const struct chain_file *top = &plan->chain.files[0];
	struct backup_file f = { .name = disk_record_name(name, plan),
		.kind = FILE_DISK,
		.mode = DOMAIN_FILE_MODE,
		.mtime_ns = INT64_MIN,
		.source_path = top->path,
		.format = top->format,
		.target = plan->target };
	int err = plan->plain ? backup_path(run->b, top->path, &f)
			      : store_chain(run, plan, base, &f);
	return err < 0 ? err : disk_record_store_info(run, plan);
}
