/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "left_out.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ingest/libvirt/domain_unstored.h"
#include "repo/base/cleanup.h"
#include "repo/format/name.h"

/* --- what can never be backed up --- */

static bool known_before(const struct snapshot *base, const char *what,
		const char *why)
{
	CLEANUP_FREE char *escaped = name_escape(what, strlen(what));
	const struct snapshot_skipped *known = escaped != NULL
			? snapshot_find_skipped(base, SKIPPED_UNSUPPORTED,
					escaped)
			: NULL;
	return known != NULL && strcmp(known->reason, why) == 0;
}

static void say_new(const struct domain_run *run, const char *what,
		const char *why)
{
	char shown[512];
	name_display(shown, sizeof(shown), what);
	if (known_before(run->b->base, what, why))
		report_verbose("domain %s: not backed up: %s: %s", run->display,
				shown, why);
	else
		report_warning("domain %s: not backed up: %s: %s (said once)",
				run->display, shown, why);
}

int left_out_note(struct domain_run *run, const char *what, const char *why)
{
	say_new(run, what, why);
	return backup_snapshot_lacks(run->b, what, SKIPPED_UNSUPPORTED, why);
}

int left_out_others(struct domain_run *run)
{
	struct domain_unstored_list list;
	int err = domain_unstored_find(&list, run->domain->current);
	for (unsigned i = 0; err == 0 && i < list.count; i++)
		err = left_out_note(run, list.items[i].what, list.items[i].why);
	domain_unstored_clear(&list);
	return err;
}

/* --- disks --- */

static bool is_named(const struct domain_run *run, const char *target)
{
	return backup_options_names_disk(run->options, run->domain->facts.name,
			run->domain->facts.uuid, target);
}

static int leave_out(struct domain_run *run, const char *target,
		const char *why)
{
	if (is_named(run, target))
		return fail(-ENOTSUP,
				"disk %s, which --disk names, can't be backed "
				"up: %s",
				target, why);
	return backup_snapshot_skip(run->b, target, SKIPPED_UNSUPPORTED, why);
}

static int leave_out_medium(struct domain_run *run,
		const struct disk_plan *plan)
{
	static const char why[] = "a removable medium, which is not backed up; "
				  "back up its file by path with --name";
	int err = leave_out(run, plan->target, why);
	if (err == 0)
		say_new(run, plan->target, why);
	return err;
}

/* Every night: the disk is there, and its content is in no backup. */
static int leave_out_unreadable(struct domain_run *run,
		const struct disk_plan *plan, const char *why)
{
	if (plan->unsupported && is_named(run, plan->target))
		return leave_out(run, plan->target, why);
	run->b->partly = true;
	report_warning("domain %s: disk %s is not backed up: %s", run->display,
			plan->target, why);
	return backup_snapshot_skip(run->b, plan->target,
			plan->unsupported ? SKIPPED_UNSUPPORTED
					  : SKIPPED_MISSING,
			why);
}

/* What a guest sees of an image is not what is saved in it. */
static int leave_out_internal_snapshots(struct domain_run *run,
		const struct disk_plan *plan)
{
	char what[80];
	json_t *info = plan->chain.count > 0 ? plan->chain.files[0].info : NULL;
	if (run->options->exact
			|| json_array_size(json_object_get(info, "snapshots"))
					== 0)
		return 0;
	snprintf(what, sizeof(what), "internal snapshots of %.48s",
			plan->target);
	return left_out_note(run, what,
			"the disk is stored as the guest sees it; --exact "
			"stores the whole image");
}

int left_out_disk(struct domain_run *run, const struct disk_plan *plan,
		bool *left_out)
{
	const char *why_not = run->options->exact ? plan->why_not_exact
						  : plan->why_not;
	const struct domain_facts *facts = &run->domain->facts;
	*left_out = true;
	if (!backup_options_want_disk(run->options, facts->name, facts->uuid,
			    plan->target))
		return backup_snapshot_skip(run->b, plan->target,
				SKIPPED_EXCLUDED, BACKUP_DISK_UNWANTED);
	if (plan->empty)
		return leave_out(run, plan->target, "an empty drive");
	if (plan->removable)
		return leave_out_medium(run, plan);
	if (why_not != NULL)
		return leave_out_unreadable(run, plan, why_not);
	*left_out = false;
	return leave_out_internal_snapshots(run, plan);
}
