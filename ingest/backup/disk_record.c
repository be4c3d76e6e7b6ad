/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "disk_record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/units.h"
#include "repo/format/name.h"

int disk_record_leave_out(struct domain_run *run, const struct disk_plan *plan,
		bool *out)
{
	const char *why_not = run->options->exact ? plan->why_not_exact
						  : plan->why_not;
	const char *target = plan->target;
	*out = true;
	if (!backup_options_want_disk(run->options, run->domain->facts.name,
			    run->domain->facts.uuid, target))
		return backup_snapshot_skip(run->b, target,
				BACKUP_DISK_UNWANTED);
	if (plan->empty)
		return backup_snapshot_skip(run->b, target, "an empty drive");
	if (plan->removable)
		return backup_snapshot_skip(run->b, target,
				"a removable medium, which is not backed up");
	if (why_not != NULL) {
		run->b->partly = true;
		report_warning("domain %s: disk %s is not backed up: %s",
				run->display, target, why_not);
		return backup_snapshot_skip(run->b, target, why_not);
	}
	*out = false;
	return 0;
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
