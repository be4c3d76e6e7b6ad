/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One domain to one snapshot: its definition, NVRAM, what qemu-img says of the
 * images, and its disks, each as the guest sees it or (--exact) as the files of
 * its chain. What the files were is noted before the reading and compared
 * after it, and libvirt is asked again whether the domain is still shut off.
 */
#include "backup_domain.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../repo/base/cleanup.h"
#include "../repo/base/units.h"
#include "../repo/format/name.h"
#include "backup_files.h"
#include "backup_hooks.h"
#include "domain_run.h"
#include "nbd_source.h"

/* --- a disk through qemu-nbd --- */

/* Identities of all files of the chain, in order. To be freed. */
static int chain_identities(const struct chain *c, struct file_identity **out,
		uint32_t *count)
{
	uint32_t n = 0;
	for (unsigned i = 0; i < c->count; i++) {
		n++;
		for (char **p = c->files[i].parts; p && *p; p++)
			n++;
	}
	CLEANUP_FREE struct file_identity *ids = calloc(n + 1, sizeof(*ids));
	if (ids == NULL)
		return fail_errno(-ENOMEM, "reading a disk");
	int e = 0;
	n = 0;
	for (unsigned i = 0; e == 0 && i < c->count; i++) {
		e = file_identity_of(c->files[i].path, &ids[n++]);
		for (char **p = c->files[i].parts; e == 0 && p && *p; p++)
			e = file_identity_of(*p, &ids[n++]);
	}
	if (e < 0)
		return e;
	*out = take_ptr(ids);
	*count = n;
	return 0;
}

static int recheck_chain(const struct chain *c,
		const struct file_identity *before, uint32_t count)
{
	CLEANUP_FREE struct file_identity *after = NULL;
	uint32_t n;
	int e = chain_identities(c, &after, &n);
	for (uint32_t i = 0; e == 0 && i < count; i++)
		if (n != count || !file_identity_equal(&before[i], &after[i]))
			return fail(-EBUSY,
					"%s, or a file below it, changed while it was "
					"read: is something using it?",
					c->files[0].path);
	return e;
}

static int store_through_nbd(struct domain_run *d, const struct disk_plan *plan,
		const struct backup_file *f)
{
	struct nbd_source *nbd;
	struct image_source source;
	int e = nbd_source_open(&nbd, &plan->chain, NULL, d->b->lane->workers);
	if (e < 0)
		return e;
	nbd_source_fill(nbd, &source);
	e = backup_snapshot_store(d->b, f, &source);
	nbd_source_close(nbd);
	return e;
}

static int store_chain(struct domain_run *d, const struct disk_plan *plan,
		struct backup_file *f)
{
	CLEANUP_FREE struct file_identity *before = NULL;
	CLEANUP_FREE char *reading = chain_reading(&plan->chain);
	bool taken;
	if (reading == NULL)
		return fail_errno(-ENOMEM, "reading a disk");
	int e = chain_identities(&plan->chain, &before, &f->identity_count);
	if (e < 0)
		return e;
	f->identities = before;
	f->reading = reading;
	f->mtime_ns = realtime_ns();
	for (uint32_t i = 0; i < f->identity_count; i++)
		if (i == 0 || before[i].mtime_ns > f->mtime_ns)
			f->mtime_ns = before[i].mtime_ns;
	e = backup_snapshot_take_over(d->b, f, &taken);
	if (e < 0 || taken)
		return e;
	e = store_through_nbd(d, plan, f);
	return e < 0 ? e : recheck_chain(&plan->chain, before,
					   f->identity_count);
}

/* --- a disk --- */

static int store_guest_view(struct domain_run *d, const struct disk_plan *plan)
{
	char name[DISK_FILE_NAME_MAX];
	const struct chain_file *top = &plan->chain.files[0];
	struct backup_file f = { .name = domain_run_disk_name(name, plan),
		.kind = FILE_DISK, .mode = DOMAIN_FILE_MODE, .mtime_ns = INT64_MIN, .source_path = top->path,
		.format = top->format, .target = plan->disk->target };
	int e = plan->plain ? backup_path(d->b, top->path, &f)
			    : store_chain(d, plan, &f);
	return e < 0 ? e : domain_run_store_info(d, plan);
}

static int store_exactly(struct domain_run *d, const struct disk_plan *plan)
{
	int e = domain_run_store_info(d, plan);
	for (unsigned i = 0; e == 0 && i < plan->chain.count; i++) {
		const struct chain_file *file = &plan->chain.files[i];
		const char *paths[] = { file->path, NULL };
		const char *const *next =
				file->parts ? (const char *const *)file->parts
					    : NULL;
		for (const char *const *p = paths; e == 0 && *p;
				p = p == paths && next ? next : p + 1) {
			const char *slash = strrchr(*p, '/');
			struct backup_file f = {
				.name = slash ? slash + 1 : *p,
				.kind = FILE_IMAGE, .mtime_ns = INT64_MIN,
				.source_path = *p, .format = file->format,
				.target = plan->disk->target
			};
			e = backup_path(d->b, *p, &f);
		}
	}
	return e;
}

static int store_disk(struct domain_run *d, const struct disk_plan *plan)
{
	bool left_out;
	int e = domain_run_leave_out(d, plan, &left_out);
	if (e < 0 || left_out)
		return e;
	e = d->b->run->options->exact ? store_exactly(d, plan)
				      : store_guest_view(d, plan);
	return e < 0 ? fail_within(e, "disk %s", plan->disk->target) : 0;
}

static int store_domain(struct domain_run *d)
{
	struct snapshot *s = d->b->snap;
	bool saved = d->domain->facts.managed_save;
	s->uuid = strdup(d->domain->facts.uuid);
	s->consistency = strdup(saved ? "crash" : "offline");
	if (saved)
		report_warning("domain %s is saved in mid-run: its memory is not "
			       "backed up, so its disks are as after a power cut",
				d->display);
	if (s->uuid == NULL || s->consistency == NULL)
		return fail_errno(-ENOMEM, "making a snapshot");
	int e = domain_run_store_definition(d);
	for (unsigned i = 0; e == 0 && i < d->domain->disk_count; i++)
		e = store_disk(d, &d->domain->disks[i]);
	if (e == 0)
		e = domain_backup_recheck(d->domain);
	return e < 0 ? e : backup_snapshot_commit(d->b);
}

void backup_domain(struct backup_lane *lane, struct domain_backup *domain)
{
	struct backup_snapshot b;
	char display[256];
	struct domain_run d = { .b = &b, .domain = domain,
		.display = name_display(display, sizeof(display),
				domain->facts.name) };
	int e = backup_snapshot_begin(
			&b, lane, domain->facts.name, SNAPSHOT_DOMAIN);
	if (e == 0)
		e = backup_hooks_before(&b, &domain->facts);
	if (e == 0)
		e = store_domain(&d);
	if (e < 0 && !backup_run_broken(lane->run, e))
		report_error("domain %s: not backed up: %s", display,
				error_text(e));
	backup_hooks_end(&b, &domain->facts, e);
	backup_snapshot_end(&b, domain->facts.name, e);
}
