/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "disk_record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ingest/libvirt/image_check.h"
#include "repo/base/cleanup.h"
#include "repo/base/units.h"
#include "repo/format/name.h"

/* What was stored of it stays in the repository until a prune. */
static void remove_files_of(struct snapshot *snap, const char *target)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < snap->file_count; i++) {
		struct snapshot_file file = snap->files[i];
		if (file.target != NULL && strcmp(file.target, target) == 0)
			snapshot_clear_file(&file);
		else
			snap->files[kept++] = file;
	}
	snap->file_count = kept;
}

int disk_record_failed(struct domain_run *run, const struct disk_plan *plan,
		int err)
{
	CLEANUP_FREE char *why = strdup(error_text(err));
	if (err == -ENOMEM || err == -ECANCELED
			|| backup_run_broken(run->lane->run, err)
			|| backup_snapshot_lost(run->b))
		return err;
	if (why == NULL)
		return fail_no_memory("backing up a disk");
	report_warning("domain %s: not backed up: %s. The other disks are stored, "
		       "and complete snapshots are kept until what this one is "
		       "read from is mended or replaced",
			run->display, why);
	remove_files_of(run->b->snap, plan->target);
	return backup_snapshot_skip(run->b, plan->target, SKIPPED_MISSING, why);
}

/* What BASE says was wrong with the disk, to free; NULL: nothing. */
static char *known_damage(const struct snapshot *base, const char *target)
{
	CLEANUP_FREE char *escaped = name_escape(target, strlen(target));
	const struct snapshot_skipped *known = escaped != NULL
			? snapshot_find_skipped(base, SKIPPED_DAMAGED, escaped)
			: NULL;
	return known != NULL ? strdup(known->reason) : NULL;
}

int disk_record_check_image(struct domain_run *run,
		const struct disk_plan *plan, bool at_rest,
		const struct snapshot *base)
{
	CLEANUP_FREE char *damage = NULL;
	int err = image_check_chain(&plan->chain, at_rest, &damage);
	if (err < 0)
		return err;
	if (damage == NULL)
		damage = known_damage(base, plan->target);
	if (damage == NULL)
		return 0;
	report_warning("domain %s: disk %s is stored, but what it was read from "
		       "is not whole: %s. Earlier snapshots are kept; once it "
		       "is repaired, back it up with --force-read",
			run->display, plan->target, damage);
	return backup_snapshot_lacks(run->b, plan->target, SKIPPED_DAMAGED,
			damage);
}

static bool has_disk(const struct snapshot *snap)
{
	for (uint32_t i = 0; i < snap->file_count; i++)
		if (snap->files[i].kind == FILE_DISK
				|| snap->files[i].kind == FILE_IMAGE)
			return true;
	return false;
}

int disk_record_check_any(const struct domain_run *run)
{
	const struct snapshot *snap = run->b->snap;
	char missing[1024];
	if (snapshot_is_complete(snap) || has_disk(snap))
		return 0;
	return fail(-EIO,
			"none of its disks could be read, so nothing is "
			"stored; %s",
			snapshot_missing(missing, sizeof(missing), snap));
}

char *disk_record_name(char out[DISK_FILE_NAME_MAX],
		const struct disk_plan *plan)
{
	snprintf(out, DISK_FILE_NAME_MAX, "%.200s.raw", plan->target);
	return out;
}

int disk_record_store_info(struct domain_run *run, const struct disk_plan *plan)
{
	char name[256];
	json_t *list = json_array();
	for (unsigned i = 0; i < plan->chain.count; i++)
		if (plan->chain.files[i].info != NULL)
			json_array_append(list, plan->chain.files[i].info);
	CLEANUP_FREE char *text = json_dumps(list,
			JSON_INDENT(2) | JSON_SORT_KEYS | JSON_ENSURE_ASCII);
	json_decref(list);
	if (text == NULL)
		return fail_no_memory("describing a disk");
	snprintf(name, sizeof(name), "%.200s.info.json", plan->target);
	struct backup_file f = { .name = name,
		.kind = FILE_INFO,
		.mode = DOMAIN_FILE_MODE,
		.mtime_ns = realtime_ns(),
		.target = plan->target };
	return backup_snapshot_store_text(run->b, &f, text);
}

void disk_record_say_full(struct domain_run *run, const char *target,
		const char *why)
{
	char shown[256];
	report_warning("domain %s: disk %s is read in full: %s", run->display,
			name_display(shown, sizeof(shown), target), why);
}
