/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The domains of a run, one after the other.
 */
#include "backup_domains.h"

#include <errno.h>
#include <string.h>

#include "../repo/base/cleanup.h"
#include "../repo/format/name.h"
#include "backup_domain.h"
#include "backup_hooks.h"

static void note_unopened(struct backup_run *run, const char *name, int err)
{
	struct backup_snapshot b = { .run = run };
	char display[256];
	report_error("domain %s: not backed up: %s",
			name_display(display, sizeof(display), name),
			error_text(err));
	backup_hooks_unopened(run->options, name, err);
	backup_snapshot_end(&b, name, err);
}

/* A snapshot without any disk would pass for a backup. */
static int check_choice(const struct backup_run *run,
		const struct domain_backup *domain)
{
	const struct domain_facts *f = &domain->facts;
	for (unsigned i = 0; i < domain->disk_count; i++)
		if (backup_options_want_disk(run->options, f->name, f->uuid,
				    domain->disks[i].disk->target))
			return 0;
	return domain->disk_count == 0 ? 0
			: fail(-ENOENT, "--disk and --exclude-disk leave none "
					"of its disks");
}

static uint64_t disks_size(const struct domain_backup *domain)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < domain->disk_count; i++) {
		const struct disk_plan *p = &domain->disks[i];
		if (!p->empty && !p->removable && p->why_not == NULL
				&& p->chain.count != 0)
			sum += p->plain ? p->chain.files[0].size
					: p->chain.files[0].virtual_size;
	}
	return sum;
}

void backup_domains(struct backup_run *run, struct connection *c,
		char *const *names, unsigned count)
{
	CLEANUP_FREE struct domain_backup **opened =
			calloc(count + 1, sizeof(struct domain_backup *));
	if (opened == NULL) {
		run->failed++;
		error_save(&run->broken, fail_errno(-ENOMEM, "starting"));
		return;
	}
	/* All are looked at first, so that the progress bar knows the end. */
	for (unsigned i = 0; i < count; i++) {
		int e = domain_backup_open(&opened[i], c, names[i]);
		if (e == 0)
			e = check_choice(run, opened[i]);
		if (e < 0) {
			note_unopened(run, names[i], e);
			domain_backup_close(take_ptr(opened[i]));
			continue;
		}
		run->all_total += disks_size(opened[i]);
	}
	for (unsigned i = 0; i < count; i++) {
		if (opened[i] != NULL && run->broken.err == 0)
			backup_domain(run, opened[i]);
		domain_backup_close(opened[i]);
	}
}
