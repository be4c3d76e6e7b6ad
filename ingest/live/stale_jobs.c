/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Leftovers of a dead run whose watchdog died with it (a killed cgroup, a host
 * that lost power): found by its directory or, if that is gone too, by a job
 * whose scratch files were in such a directory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/libvirt/domain_control.h"
#include "ingest/libvirt/domain_job.h"
#include "job_xml.h"
#include "live_guest.h"
#include "live_job.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/printable.h"
#include "repo/base/report.h"
#include "scratch.h"

#define THAW_SECONDS 20.0
#define JOB_SECONDS 60.0

/* Undoes what was done to the domain. 0 or -errno with a text. */
static int undo(const struct scratch *scratch,
		const struct scratch_state *state)
{
	struct live_guest *guest = NULL;
	int err = live_guest_open(&guest, state->uri, state->uuid);
	if (err == -ENOENT)
		return 0; /* the domain is gone */
	/* A domain that was restarted since then is not frozen. */
	if (err == 0 && state->phase == SCRATCH_FROZEN
			&& live_guest_id(guest) == state->domain_id)
		err = live_guest_thaw(guest, THAW_SECONDS);
	if (err == 0)
		err = live_guest_end_job(guest, scratch_directory(scratch),
				JOB_SECONDS);
	live_guest_close(guest);
	return err;
}

struct work {
	int err; /* the last failure */
};

static void on_dead(void *ctx, struct scratch *scratch,
		const struct scratch_state *state)
{
	struct work *work = ctx;
	char name[256], directory[512];
	int err = 0;
	printable(name, sizeof(name), state->name != NULL ? state->name : "?");
	printable(directory, sizeof(directory), scratch_directory(scratch));
	/* No job and no frozen guest survives a reboot of the host. */
	if (state->this_boot && state->uri != NULL && state->uuid != NULL)
		err = undo(scratch, state);
	if (err == 0)
		err = scratch_remove(scratch);
	if (err != 0) {
		work->err = err;
		report_warning("an earlier backup of domain %s died, and %s "
			       "cannot be cleaned up: %s",
				name, directory, error_text(err));
		return;
	}
	report_warning("an earlier backup of domain %s died: ended its job "
		       "and removed %s",
			name, directory);
}

/* --- jobs without a directory --- */

static int end_orphan(struct connection *conn, struct domain *domain,
		char *file)
{
	struct domain_facts facts;
	struct live_guest *guest = NULL;
	char name[256];
	int err = domain_facts(domain, &facts);
	if (err == 0)
		err = live_guest_open(&guest, connection_uri(conn), facts.uuid);
	*strrchr(file, '/') = '\0';
	if (err == 0)
		err = live_guest_end_job(guest, file, JOB_SECONDS);
	printable(name, sizeof(name), domain_name(domain));
	if (err != 0)
		report_warning("an earlier backup of domain %s died, and its "
			       "job cannot be ended: %s",
				name, error_text(err));
	else
		report_warning("an earlier backup of domain %s died: ended "
			       "its job",
				name);
	live_guest_close(guest);
	domain_facts_clear(&facts);
	return err;
}

static int look_for_orphan(struct connection *conn, struct domain *domain,
		const char *scratch_dir)
{
	CLEANUP_FREE char *xml = NULL;
	CLEANUP_FREE char *file = NULL;
	if (!domain_control_is_active(domain))
		return 0;
	xml = domain_job_backup_xml(domain);
	if (xml == NULL || job_xml_scratch(&file, xml) != 0 || file == NULL
			|| !scratch_is_orphan(file, scratch_dir))
		return 0;
	return end_orphan(conn, domain, file);
}

static int end_orphans(struct connection *conn, const char *scratch_dir)
{
	struct domain **list = NULL;
	unsigned count = 0;
	int first = domain_list(conn, &list, &count);
	for (unsigned i = 0; i < count; i++) {
		int err = look_for_orphan(conn, list[i], scratch_dir);
		first = first ? first : err;
	}
	domain_list_free(list, count);
	return first;
}

int stale_jobs_end(struct connection *conn, const char *scratch_dir)
{
	struct work w = { 0 };
	int err = scratch_dead(scratch_dir, on_dead, &w);
	int orphans = end_orphans(conn, scratch_dir);
	if (err != 0 || w.err)
		return err != 0 ? err : w.err;
	return orphans;
}
