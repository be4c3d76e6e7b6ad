/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The order of steps, so that whatever dies at any time, the guest is not left
 * frozen and nothing is left behind:
 *
 *	1. the directory with its state file, durable; the watchdog, ready
 *	2. nobody else is using the domain: BackupBegin would wait for them
 *	3. the state says "frozen", durable; the watchdog is told; freeze
 *	4. the watchdog is told; BackupBegin
 *	5. thaw, whatever the result of 4; the watchdog is told
 *	6. the state says "running"; the watchdog checks the free space
 *
 * Time limits: WATCHDOG_FREEZE_SECONDS for the agent to freeze, else it counts
 * as not frozen, is thawed all the same, and a further attempt does not try to
 * freeze it again: an agent that hangs costs a backup this once; from then to the thaw WATCHDOG_FROZEN_SECONDS, else the
 * watchdog thaws and the backup is crash-consistent.
 */
#include "live_job.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ingest/libvirt/libvirt_home.h"
#include "ingest/libvirt/qemu_user.h"
#include "job_xml.h"
#include "live_guest.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/base/printable.h"
#include "repo/base/report.h"
#include "repo/base/units.h"
#include "scratch.h"
#include "watchdog.h"

#define THAW_SECONDS 10.0
#define JOB_SECONDS 60.0

struct live_job {
	struct connection *connection; /* borrowed, with the domain */
	struct domain *domain;
	const struct domain_xml *xml; /* borrowed too */
	enum quiesce quiesce;
	bool apparmor;
	char shown[256]; /* the domain's name, printable */

	struct scratch *scratch;
	struct scratch_state state;
	struct watchdog *guard;
	struct live_guest *guest;
	unsigned attempts;
	bool running;	/* as far as is known */
	uint64_t total; /* live_guest_job_total when it began */

	bool frozen;
	double frozen_seconds;
	char why_not[ERROR_TEXT_MAX];
	bool maybe_frozen;		   /* a thaw has failed */
	char agent_failed[ERROR_TEXT_MAX]; /* why it is not asked again; "" */
};

/* --- preparing --- */

/* The user that qemu runs as. A session daemon gives its guests no label: they
 * run as its own user. */
static void find_owner(const char *uri, struct guest_facts *facts)
{
	if (!facts->has_owner)
		qemu_user_of_session(uri, &facts->owner, &facts->group);
}

static int fill_state(struct live_job *job,
		const struct live_job_options *options)
{
	CLEANUP(domain_facts_clear) struct domain_facts facts = { 0 };
	int err = domain_facts(options->domain, &facts);
	if (err != 0)
		return err;
	printable(job->shown, sizeof(job->shown), domain_name(options->domain));
	job->state = (struct scratch_state){ .phase = SCRATCH_PREPARED,
		.repository = strdup(options->repository_id),
		.uri = strdup(connection_uri(options->connection)),
		.uuid = strdup(facts.uuid),
		.name = strdup(job->shown),
		.domain_id = facts.id };
	if (job->state.repository == NULL || job->state.uri == NULL
			|| job->state.uuid == NULL || job->state.name == NULL)
		return -ENOMEM;
	return 0;
}

static int make_directory(struct live_job *job,
		const struct live_job_options *options,
		const struct live_disk *disks, unsigned count)
{
	struct guest_facts facts;
	uint64_t allocated = 0;
	int err;
	job_xml_guest(&facts, job->xml);
	job->apparmor = facts.apparmor;
	find_owner(job->state.uri, &facts);
	for (unsigned i = 0; i < count; i++)
		allocated += disks[i].allocated;
	err = scratch_make(&job->scratch, options->scratch_dir, facts.owner,
			facts.group);
	if (err != 0)
		return err;
	CLEANUP_FREE char *own = libvirt_home_guest(job->state.uri,
			job->state.domain_id, domain_name(options->domain),
			facts.owner);
	if (own != NULL)
		scratch_move_socket(job->scratch, own);
	err = scratch_write_state(job->scratch, &job->state);
	return err != 0 ? err : scratch_check_space(job->scratch, allocated);
}

static int prepare(struct live_job *job, const struct live_job_options *options,
		const struct live_disk *disks, unsigned count)
{
	int err = fill_state(job, options);
	if (err != 0)
		return err;
	err = make_directory(job, options, disks, count);
	if (err != 0)
		return err;
	err = live_guest_open(&job->guest, job->state.uri, job->state.uuid);
	if (err != 0)
		return err;
	return watchdog_start(&job->guard, job->scratch, &job->state);
}

int live_job_prepare(struct live_job **out,
		const struct live_job_options *options,
		const struct live_disk *disks, unsigned count)
{
	struct live_job *job = calloc(1, sizeof(*job));
	struct error_copy why;
	assert(count >= 1);
	if (job == NULL)
		return -ENOMEM;
	job->connection = options->connection;
	job->domain = options->domain;
	job->xml = options->xml;
	job->quiesce = options->quiesce;
	int err = prepare(job, options, disks, count);
	if (err == 0) {
		*out = job;
		return 0;
	}
	error_save(&why, err);
	live_job_end(job);
	return error_load(&why);
}

/* --- freezing and thawing --- */

static int set_phase(struct live_job *job, enum scratch_phase phase)
{
	assert(job->scratch != NULL);
	job->state.phase = phase;
	return scratch_write_state(job->scratch, &job->state);
}

static int set_checkpoint(struct live_job *job, const char *name)
{
	free(job->state.checkpoint);
	job->state.checkpoint = name != NULL ? strdup(name) : NULL;
	return name != NULL && job->state.checkpoint == NULL ? -ENOMEM : 0;
}

static void not_frozen(struct live_job *job, const char *why)
{
	job->frozen = false;
	snprintf(job->why_not, sizeof(job->why_not), "%s", why);
}

/* Why there is no attempt to freeze the guest; NULL: try it. Gets the XML
 * again, as the agent comes and goes. */
static const char *cannot_freeze(struct live_job *job)
{
	CLEANUP(domain_facts_clear) struct domain_facts now = { 0 };
	CLEANUP_DOMAIN_XML struct domain_xml *xml = NULL;
	struct guest_facts facts;
	if (job->quiesce == QUIESCE_NEVER)
		return "--quiesce=never";
	if (job->agent_failed[0] != '\0')
		return job->agent_failed;
	if (domain_facts(job->domain, &now) != 0
			|| domain_get_xml(job->domain, DOMAIN_XML_CURRENT, &xml)
					!= 0)
		return "cannot tell from libvirt whether it has a guest agent";
	job_xml_guest(&facts, xml);
	if (strcmp(now.state, "paused") == 0)
		return "it is paused";
	if (strcmp(now.state, "running") != 0
			&& strcmp(now.state, "blocked") != 0)
		return "it does not run at the moment";
	if (facts.agent == AGENT_NONE)
		return "it has no channel for a guest agent "
		       "(org.qemu.guest_agent.0)";
	if (facts.agent == AGENT_AWAY)
		return "its guest agent is not connected";
	return NULL;
}

/* Also called if nothing was frozen: the watchdog must know. START: of the
 * freeze. */
static void thaw(struct live_job *job, double start)
{
	bool late = false;
	int err = live_guest_thaw(job->guest, THAW_SECONDS);
	job->frozen_seconds = job->frozen ? monotonic_now() - start : 0;
	if (err != 0) {
		report_error("domain %s MAY STILL BE FROZEN: %s; try: virsh "
			     "domfsthaw %s",
				job->shown, error_text(err), job->shown);
		job->maybe_frozen = true;
		return; /* the watchdog keeps trying */
	}
	job->maybe_frozen = false;
	set_phase(job, SCRATCH_RUNNING);
	if (watchdog_thawed(job->guard, &late) == 0 && late && job->frozen)
		not_frozen(job,
				"starting the job took too long, so the guest "
				"was thawed before it began");
	else if (job->frozen && live_guest_found_thawed(job->guest))
		not_frozen(job, "somebody else thawed it before the job began");
}

static void give_up_agent(struct live_job *job, double start)
{
	snprintf(job->agent_failed, sizeof(job->agent_failed),
			"%.1000s (%.0f s were spent on it%s)", job->why_not,
			monotonic_now() - start,
			job->maybe_frozen ? ", and IT MAY STILL BE FROZEN"
					  : "");
	not_frozen(job, job->agent_failed);
}

/* Afterwards it is frozen, and must be thawed, or is not. *START: when it
 * began. */
static int freeze(struct live_job *job, double *start)
{
	const char *cannot = cannot_freeze(job);
	enum freeze result;
	bool late;
	int err;
	*start = 0;
	not_frozen(job, cannot != NULL ? cannot : "");
	err = set_phase(job,
			cannot != NULL && !job->maybe_frozen ? SCRATCH_RUNNING
							     : SCRATCH_FROZEN);
	if (err != 0 || cannot != NULL)
		return err;
	err = watchdog_freezing(job->guard);
	if (err != 0)
		return err;
	*start = monotonic_now();
	result = live_guest_freeze(job->guest, WATCHDOG_FREEZE_SECONDS);
	job->frozen = result == FREEZE_DONE;
	if (job->frozen)
		return 0;
	not_frozen(job, error_text(-EIO));
	if (result == FREEZE_MAYBE)
		thaw(job, *start);
	else
		watchdog_thawed(job->guard, &late);
	if (result != FREEZE_NOT)
		give_up_agent(job, *start);
	return 0;
}

/* --- beginning --- */

static void free_strings(char **texts, unsigned count)
{
	for (unsigned i = 0; texts != NULL && i < count; i++)
		free(texts[i]);
	free(texts);
}

static int make_job_xml(struct live_job *job, const struct live_disk *disks,
		unsigned count, char **out)
{
	char **files = calloc(count + 1, sizeof(char *));
	bool complete = files != NULL;
	job->attempts++;
	for (unsigned i = 0; complete && i < count; i++) {
		files[i] = scratch_file(job->scratch, job->attempts, i + 1);
		complete = files[i] != NULL;
	}
	*out = complete ? job_xml_backup(scratch_socket(job->scratch), disks,
			       files, count)
			: NULL;
	free_strings(files, count);
	return *out != NULL ? 0 : -ENOMEM;
}

static int check_holder(struct live_job *job)
{
	CLEANUP_FREE char *who = NULL;
	int err = job_owner_find(job->domain, job->xml, &who);
	if (err != 0)
		return err;
	if (who != NULL)
		return fail(-EBUSY, "it is busy with %s", who);
	return 0;
}

static bool is_denied(int err)
{
	return err == -EIO
			&& strstr(error_text(err), "ermission denied") != NULL;
}

/* Adds a remedy if qemu is denied access to the directory. */
static int add_remedy(const struct live_job *job, int err)
{
	const char *text = error_text(err);
	const char *directory = scratch_directory(job->scratch);
	char shown[512];
	if (!is_denied(err))
		return err;
	printable(shown, sizeof(shown), directory);
	if (strrchr(shown, '-') != NULL)
		*strrchr(shown, '-') = '\0';
	if (job->apparmor)
		return fail(err,
				"%.1000s; its qemu is confined by AppArmor: "
				"add the line \"%s-*/** rwk,\" to "
				"/etc/apparmor.d/local/abstractions/"
				"libvirt-qemu, "
				"then run systemctl reload apparmor",
				text, shown);
	return fail(err,
			"%.1000s; the user that its qemu runs as must be able "
			"to access %s-*; otherwise give another directory with "
			"--scratch-dir",
			text, shown);
}

static int begin(struct live_job *j, const char *job, const char *checkpoint)
{
	int err;
	if (j->quiesce == QUIESCE_REQUIRE && !j->frozen)
		return fail(-EPERM,
				"it can't be frozen, as required by "
				"--quiesce=require: %.1500s",
				j->why_not);
	if (interrupt_flag)
		return fail(-ECANCELED, "interrupted");
	err = watchdog_beginning(j->guard);
	return err != 0 ? err : live_guest_begin(j->guest, job, checkpoint);
}

/* The thaw comes before a failure is reported or handled. */
static int freeze_begin_thaw(struct live_job *j, const char *job,
		const char *checkpoint)
{
	struct error_copy why;
	double start;
	int err = freeze(j, &start);
	if (err == 0)
		err = begin(j, job, checkpoint);
	error_save(&why, err);
	if (j->frozen)
		thaw(j, start);
	j->running = err == 0;
	return err != 0 ? error_load(&why) : 0;
}

static int check_begun(struct live_job *job, const char *export)
{
	if (job->quiesce == QUIESCE_REQUIRE && !job->frozen)
		return fail(-EPERM,
				"it was not frozen, as required by "
				"--quiesce=require: %.1500s",
				job->why_not);
	if (interrupt_flag)
		return fail(-ECANCELED, "interrupted");
	return watchdog_running(job->guard, export);
}

static int end_job(struct live_job *job)
{
	watchdog_stopping(job->guard);
	int err = live_guest_end_job(job->guest,
			scratch_directory(job->scratch), JOB_SECONDS);
	watchdog_stopped(job->guard);
	job->running = false;
	return err;
}

/* A failed BackupBegin may have had some effect, or only its reply was lost. */
static int undo_begin(struct live_job *job, int err)
{
	struct error_copy why;
	assert(err < 0);
	error_save(&why, err);
	if (end_job(job) != 0)
		report_warning("domain %s: %s", job->shown, error_text(-EIO));
	return error_load(&why);
}

static int try_to_begin(struct live_job *j, const struct live_disk *disks,
		unsigned count, const char *checkpoint)
{
	CLEANUP_FREE char *job = NULL;
	CLEANUP_FREE char *point = NULL;
	assert(!j->running && j->guard != NULL);
	assert(count >= 1);
	int err = make_job_xml(j, disks, count, &job);
	if (err != 0)
		return err;
	if (checkpoint != NULL) {
		point = job_xml_checkpoint(checkpoint, disks, count);
		err = point != NULL ? 0 : -ENOMEM;
	}
	if (err != 0)
		return err;
	err = set_checkpoint(j, checkpoint);
	if (err != 0)
		return err;
	err = check_holder(j);
	if (err != 0)
		return err;
	err = freeze_begin_thaw(j, job, point);
	if (err == 0)
		err = check_begun(j, disks[0].target);
	if (err == 0) {
		j->total = live_guest_job_total(j->guest);
		return 0;
	}
	err = undo_begin(j, err);
	return err == -EPIPE ? -EIO : err;
}

int live_job_begin(struct live_job *j, const struct live_disk *disks,
		unsigned count, const char *checkpoint)
{
	int err = try_to_begin(j, disks, count, checkpoint);
	if (!is_denied(err) || !scratch_socket_is_moved(j->scratch))
		return add_remedy(j, err);
	/* Not even in the guest's own directory; but the host may have been
	 * told to allow it in ours. */
	scratch_move_socket(j->scratch, NULL);
	err = try_to_begin(j, disks, count, checkpoint);
	return add_remedy(j, err);
}

const char *live_job_socket(const struct live_job *job)
{
	return scratch_socket(job->scratch);
}

/* Without its watchdog a backup goes on; that is said elsewhere. */
void live_job_connected(void *ctx, int socket)
{
	const struct live_job *job = ctx;
	watchdog_connection(job->guard, socket);
}

void live_job_hook_runs(void *ctx, pid_t group)
{
	const struct live_job *job = ctx;
	watchdog_hook(job->guard, group);
}

bool live_job_frozen(const struct live_job *job)
{
	return job->frozen;
}

double live_job_frozen_seconds(const struct live_job *job)
{
	return job->frozen_seconds;
}

bool live_job_agent_failed(const struct live_job *job)
{
	return job->agent_failed[0] != '\0';
}

const char *live_job_why_not_frozen(const struct live_job *job)
{
	return job->frozen ? NULL : job->why_not;
}

/* --- ending --- */

static int gone_before(struct live_job *job)
{
	enum watchdog_finding found = watchdog_finding(job->guard);
	if (found == WATCHDOG_FOUND_STALLED)
		return fail(-EIO,
				"its qemu waited for this backup, which did "
				"not go on reading (was it stopped, or does "
				"the repository hang?), so it was disconnected "
				"to let the guest run");
	if (found == WATCHDOG_FOUND_FULL)
		return fail(-EIO,
				"its backup job was ended because %s ran out "
				"of space for data that the guest overwrites; "
				"give a larger directory with --scratch-dir",
				scratch_directory(job->scratch));
	if (!live_guest_active(job->guest))
		return fail(-EIO, "it was shut off during the backup");
	return fail(-EIO, "somebody else ended its backup job");
}

/*
 * Whether the job is still the one that was begun, so that all data read so far
 * is right. If somebody else is just ending it, that takes a moment to show.
 */
static bool still_runs(struct live_job *job)
{
	const char *directory = scratch_directory(job->scratch);
	struct timespec moment = { .tv_nsec = 300000000 };
	if (live_guest_job_total(job->guest) < job->total)
		nanosleep(&moment, NULL);
	switch (live_guest_job(job->guest, directory)) {
	case JOB_OURS:
	case JOB_UNKNOWN: /* libvirtd is down; qemu carries on */
		return true;
	default:
		return false;
	}
}

int live_job_check(struct live_job *job)
{
	assert(job->running);
	bool runs = still_runs(job);
	return runs && watchdog_finding(job->guard) == WATCHDOG_FOUND_NOTHING
			? 0
			: gone_before(job);
}

int live_job_stop(struct live_job *job)
{
	if (!job->running)
		return 0;
	assert(job->guard != NULL && job->guest != NULL);
	bool ran = still_runs(job);
	int err = end_job(job);
	if (err != 0)
		return fail_within(-EIO, "domain %s", job->shown);
	if (!ran || watchdog_finding(job->guard) != WATCHDOG_FOUND_NOTHING)
		return gone_before(job);
	return live_guest_job_failed(job->guest) ? -EIO : 0;
}

void live_job_end(struct live_job *job)
{
	if (job == NULL)
		return;
	if (job->running && live_job_stop(job) != 0)
		report_warning("%s", error_text(-EIO));
	if (job->maybe_frozen)
		thaw(job, 0);
	if (job->scratch != NULL && scratch_remove(job->scratch) != 0)
		report_warning("%s", error_text(-EIO));
	watchdog_dismiss(job->guard);
	live_guest_close(job->guest);
	scratch_close(job->scratch);
	scratch_state_clear(&job->state);
	free(job);
}
