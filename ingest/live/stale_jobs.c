/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a dead run has left, when its guard died with it (a killed cgroup, a
 * host that lost power): found by its directory; and, where even that is gone, by
 * a job whose socket was in such a directory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/printable.h"
#include "repo/base/report.h"
#include "ingest/libvirt/domain_control.h"
#include "ingest/libvirt/domain_job.h"
#include "live_guest.h"
#include "live_job.h"
#include "job_xml.h"
#include "scratch.h"

#define THAW_SECONDS 20.0
#define JOB_SECONDS 60.0

/* The domain as it was is undone. 0 or -errno with a text. */
static int undo(const struct scratch *s, const struct scratch_state *st)
{
	struct live_guest *g = NULL;
	int err = live_guest_open(&g, st->uri, st->uuid);

	if (err == -ENOENT)
		return 0; /* there is no such domain any more */
	/* One that was started anew since then is not frozen. */
	if (!err && st->phase == SCRATCH_FROZEN &&
			live_guest_id(g) == st->domain_id)
		err = live_guest_thaw(g, THAW_SECONDS);
	if (!err)
		err = live_guest_end_job(g, scratch_directory(s), JOB_SECONDS);
	live_guest_close(g);
	return err;
}

struct work {
	int err;		/* the last failure */
};

static void on_dead(void *ctx, struct scratch *s,
		const struct scratch_state *st)
{
	struct work *w = ctx;
	char name[256], directory[512];
	int err = 0;

	printable(name, sizeof(name), st->name ? st->name : "?");
	printable(directory, sizeof(directory), scratch_directory(s));
	/* No job and no frozen guest survives the host. */
	if (st->this_boot && st->uri && st->uuid)
		err = undo(s, st);
	if (!err)
		err = scratch_remove(s);
	if (err) {
		w->err = err;
		report_warning("a backup of the domain %s that died has left "
				"%s: %s", name, directory, error_text(err));
		return;
	}
	report_warning("a backup of the domain %s had died: its job is ended, "
			"%s is removed", name, directory);
}

/* --- jobs without a directory --- */

static int end_orphan(struct connection *c, struct domain *d, char *socket)
{
	struct domain_facts facts;
	struct live_guest *g = NULL;
	char name[256];
	int err = domain_facts(d, &facts);

	if (!err)
		err = live_guest_open(&g, connection_uri(c), facts.uuid);
	*strrchr(socket, '/') = '\0';
	if (!err)
		err = live_guest_end_job(g, socket, JOB_SECONDS);
	printable(name, sizeof(name), domain_name(d));
	if (err)
		report_warning("a backup of the domain %s had died, and its "
				"job goes on: %s", name, error_text(err));
	else
		report_warning("a backup of the domain %s had died: its job "
				"is ended", name);
	live_guest_close(g);
	domain_facts_clear(&facts);
	return err;
}

static int look_for_orphan(struct connection *c, struct domain *d,
		const char *scratch_dir)
{
	CLEANUP_FREE char *xml = NULL;
	CLEANUP_FREE char *socket = NULL;

	if (!domain_control_is_active(d))
		return 0;
	xml = domain_job_backup_xml(d);
	if (!xml || job_xml_socket(&socket, xml) != 0 || !socket ||
			!scratch_is_orphan(socket, scratch_dir))
		return 0;
	return end_orphan(c, d, socket);
}

static int end_orphans(struct connection *c, const char *scratch_dir)
{
	struct domain **list = NULL;
	unsigned count = 0;
	int first = domain_list(c, &list, &count);

	for (unsigned i = 0; i < count; i++) {
		int err = look_for_orphan(c, list[i], scratch_dir);

		first = first ? first : err;
	}
	domain_list_free(list, count);
	return first;
}

int stale_jobs_end(struct connection *c, const char *scratch_dir)
{
	struct work w = { 0 };
	int err = scratch_dead(scratch_dir, on_dead, &w);
	int orphans = end_orphans(c, scratch_dir);

	if (err || w.err)
		return err ? err : w.err;
	return orphans;
}
