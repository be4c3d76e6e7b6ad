/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The domains of a run: each lane takes the next name off the list until none
 * is left. A domain is examined when its turn comes, not before, as hours may
 * pass. The workers of a lane that finds none are given to the others. A lane's thread lives until its domain is done, because helper programs
 * end with the thread that started them. If there is only one lane, it is the
 * caller's thread.
 */
#include "backup_domains.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "backup_domain.h"
#include "ingest/backup/backup_hooks.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/format/name.h"

struct domains_job {
	struct backup_run *run;
	struct connection *connection;
	char **names; /* no domain twice */
	unsigned count;
	_Atomic unsigned next;
};

/* --- one domain --- */

static void note_unopened(struct backup_lane *lane, const char *name, int err)
{
	struct backup_snapshot b = { .lane = lane, .run = lane->run };
	char display[256];
	report_error("domain %s: not backed up: %s",
			name_display(display, sizeof(display), name),
			error_text(err));
	backup_hooks_unopened(lane->run->options, name, err);
	backup_snapshot_end(&b, name, err);
}

/* "vda, vdb", or as many as fit. */
static const char *disk_names(char out[static 256],
		const struct domain_state *domain)
{
	char shown[64];
	size_t len = 0;
	out[0] = '\0';
	for (unsigned i = 0; i < domain->disk_count && len < 256; i++)
		len += (size_t)snprintf(out + len, 256 - len, "%s%s",
				len ? ", " : "",
				name_display(shown, sizeof(shown),
						domain->disks[i].target));
	return out;
}

static bool has_disk(const struct domain_state *domain, const char *target)
{
	for (unsigned i = 0; i < domain->disk_count; i++)
		if (strcmp(domain->disks[i].target, target) == 0)
			return true;
	return false;
}

/* A typing error must not silently leave a disk out. A target without a domain
 * may be meant for other domains of the run. */
static void warn_of_absent(const struct domains_job *job,
		const struct domain_state *domain)
{
	const struct backup_options *options = job->run->options;
	const struct option_list *list = &options->disks;
	const struct domain_facts *facts = &domain->facts;
	char name[256], item[256], names[256];
	for (int i = 0; i < list->count; i++) {
		const char *colon = strrchr(list->items[i], ':');
		const char *target = colon != NULL ? colon + 1 : list->items[i];
		if (!backup_options_disk_concerns(list->items[i], facts->name,
				    facts->uuid)
				|| (colon == NULL && job->count > 1)
				|| has_disk(domain, target))
			continue;
		report_warning("domain %s has no disk matching --disk %s; its "
			       "disks are %s",
				name_display(name, sizeof(name), facts->name),
				name_display(item, sizeof(item),
						list->items[i]),
				disk_names(names, domain));
	}
}

/* A snapshot without disks would be mistaken for a backup. */
static int check_choice(const struct domains_job *job,
		const struct domain_state *domain)
{
	const struct backup_options *options = job->run->options;
	const struct domain_facts *facts = &domain->facts;
	char names[256];
	warn_of_absent(job, domain);
	for (unsigned i = 0; i < domain->disk_count; i++)
		if (backup_options_want_disk(options, facts->name, facts->uuid,
				    domain->disks[i].target))
			return 0;
	return domain->disk_count == 0
			? 0
			: fail(-ENOENT,
					"--disk and --exclude-disk select none "
					"of its disks (%s)",
					disk_names(names, domain));
}

static void back_up(struct domains_job *job, struct backup_lane *lane,
		const char *name)
{
	struct domain_state *domain = NULL;
	int err = domain_state_open(&domain, job->connection, name);
	if (err == 0)
		err = check_choice(job, domain);
	if (err == 0)
		backup_domain(lane, domain);
	else
		note_unopened(lane, name, err);
	domain_state_close(domain);
}

/* --- the lanes --- */

struct lane_thread {
	struct domains_job *job;
	struct backup_lane *lane;
	pthread_t thread;
};

static int interruption(void)
{
	return interrupt_flag ? fail(-ECANCELED, "interrupted") : 0;
}

static void *lane_main(void *arg)
{
	struct lane_thread *thread = arg;
	struct domains_job *job = thread->job;
	unsigned i;
	while ((i = job->next++) < job->count) {
		if (backup_run_broken(job->run, interruption()))
			break;
		thread->lane->row = i;
		back_up(job, thread->lane, job->names[i]);
	}
	backup_run_leave(thread->lane);
	return NULL;
}

/* If a thread can't be started, the others do its share. */
static void run_lanes(struct domains_job *job)
{
	struct backup_run *run = job->run;
	struct lane_thread threads[BACKUP_LANES_MAX] = { { .job = job } };
	char what[COUNT_TEXT_MAX];
	unsigned started = 1;
	threads[0].lane = &run->lanes[0];
	for (unsigned i = 1; i < run->lane_count; i++)
		threads[i] = (struct lane_thread){ .job = job,
			.lane = &run->lanes[i] };
	count_format(what, job->count, "domain");
	if (run->lane_count > 1)
		report_progress_begin(what, backup_run_progress, run);
	while (started < run->lane_count
			&& pthread_create(&threads[started].thread, NULL,
					   lane_main, &threads[started])
					== 0)
		started++;
	for (unsigned i = started; i < run->lane_count; i++)
		backup_run_leave(&run->lanes[i]);
	lane_main(&threads[0]);
	while (started > 1)
		pthread_join(threads[--started].thread, NULL);
	report_progress_end();
}

/* --- the list --- */

/* The total size of the disks, for the progress bar. A domain that can't be
 * examined is reported when its turn comes. */
static uint64_t domain_size(struct connection *conn, const char *name)
{
	struct domain_state *domain = NULL;
	uint64_t sum = 0;
	if (domain_state_open(&domain, conn, name) < 0)
		error_clear();
	for (unsigned i = 0; domain != NULL && i < domain->disk_count; i++) {
		const struct disk_plan *plan = &domain->disks[i];
		if (!plan->empty && !plan->removable && plan->why_not == NULL
				&& plan->chain.count != 0)
			sum += plan->plain ? plan->chain.files[0].size
					   : plan->chain.files[0].virtual_size;
	}
	domain_state_close(domain);
	return sum;
}

/* The name of the domain NAME (a name or UUID); NAME itself if there is no such
 * domain. To be freed. */
static char *own_name(struct connection *conn, const char *name)
{
	struct domain *domain = NULL;
	if (domain_find(&domain, conn, name) < 0)
		error_clear();
	char *own = strdup(domain != NULL ? domain_name(domain) : name);
	domain_free(domain);
	return own;
}

/* Two lanes must never work on the same domain. */
static int take_names(struct domains_job *job, char *const *names,
		unsigned count)
{
	job->names = calloc(count + 1, sizeof(*job->names));
	for (unsigned i = 0; job->names != NULL && i < count; i++) {
		char *name = own_name(job->connection, names[i]);
		unsigned k = 0;
		if (name == NULL)
			return fail_no_memory("listing domains");
		while (k < job->count && strcmp(job->names[k], name) != 0)
			k++;
		if (k == job->count)
			job->names[job->count++] = name;
		else
			free(name);
	}
	return job->names != NULL ? 0 : fail_no_memory("listing domains");
}

int backup_domains(struct backup_run *run, struct connection *conn,
		char *const *names, unsigned count)
{
	struct domains_job j = { .run = run, .connection = conn };
	unsigned lanes = (unsigned)run->options->jobs_domains.value;
	run->of_domains = true;
	int err = take_names(&j, names, count);
	if (err == 0)
		err = backup_run_add_lanes(run,
				lanes < j.count ? lanes : j.count, j.count);
	not_shared(&run->mutex); /* no lane works yet */
	for (unsigned i = 0; err == 0 && report_shows_progress() && i < j.count;
			i++)
		run->all_total += domain_size(conn, j.names[i]);
	if (err == 0)
		run_lanes(&j);
	for (unsigned i = 0; i < j.count; i++)
		free(j.names[i]);
	free(j.names);
	return err;
}
