/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The domains of a run: lanes take the next name off the list until none is
 * left. A domain is looked at when its turn comes, not before: hours may pass.
 * Its lane's thread lives until it is done, for helper programs end with the
 * thread that started them. The only lane is the caller's own thread.
 */
#include "backup_domains.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/format/name.h"
#include "backup_domain.h"
#include "ingest/backup/backup_hooks.h"

struct domains_job {
	struct backup_run *run;
	struct connection *connection;
	char **names;		/* no domain twice */
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
				len ? ", " : "", name_display(shown,
					sizeof(shown),
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

/* A slip of the pen must not leave a disk out in silence. A target without a
 * domain may be meant for others, if there are any. */
static void warn_of_absent(const struct domains_job *j,
		const struct domain_state *domain)
{
	const struct backup_options *options = j->run->options;
	const struct option_list *list = &options->disks;
	const struct domain_facts *f = &domain->facts;
	char name[256], item[256], names[256];
	for (int i = 0; i < list->count; i++) {
		const char *colon = strrchr(list->items[i], ':');
		const char *target = colon ? colon + 1 : list->items[i];
		if (!backup_options_disk_concerns(list->items[i], f->name,
				    f->uuid) || (!colon && j->count > 1)
				|| has_disk(domain, target))
			continue;
		report_warning("domain %s has no disk for --disk %s; it has %s",
				name_display(name, sizeof(name), f->name),
				name_display(item, sizeof(item),
						list->items[i]),
				disk_names(names, domain));
	}
}

/* A snapshot without any disk would pass for a backup. */
static int check_choice(const struct domains_job *j,
		const struct domain_state *domain)
{
	const struct backup_options *o = j->run->options;
	const struct domain_facts *f = &domain->facts;
	char names[256];
	warn_of_absent(j, domain);
	for (unsigned i = 0; i < domain->disk_count; i++)
		if (backup_options_want_disk(o, f->name, f->uuid,
				    domain->disks[i].target))
			return 0;
	return domain->disk_count == 0 ? 0
			: fail(-ENOENT, "--disk and --exclude-disk leave none "
					"of its disks (%s)",
					disk_names(names, domain));
}

static void back_up(struct domains_job *j, struct backup_lane *lane,
		const char *name)
{
	struct domain_state *domain = NULL;
	int err = domain_state_open(&domain, j->connection, name);
	if (err == 0)
		err = check_choice(j, domain);
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
	struct lane_thread *t = arg;
	struct domains_job *j = t->job;
	unsigned i;
	while ((i = j->next++) < j->count) {
		if (backup_run_broken(j->run, interruption()))
			break;
		t->lane->row = i;
		back_up(j, t->lane, j->names[i]);
	}
	return NULL;
}

/* A thread that can't be started leaves its share to the others. */
static void run_lanes(struct domains_job *j)
{
	struct backup_run *run = j->run;
	struct lane_thread threads[BACKUP_LANES_MAX] = { { .job = j } };
	char what[64];
	unsigned started = 1;
	threads[0].lane = &run->lanes[0];
	for (unsigned i = 1; i < run->lane_count; i++)
		threads[i] = (struct lane_thread){ .job = j,
			.lane = &run->lanes[i] };
	snprintf(what, sizeof(what), "%u domains", j->count);
	if (run->lane_count > 1)
		report_progress_begin(what, backup_run_progress, run);
	while (started < run->lane_count
			&& pthread_create(&threads[started].thread, NULL,
					   lane_main, &threads[started]) == 0)
		started++;
	lane_main(&threads[0]);
	while (started > 1)
		pthread_join(threads[--started].thread, NULL);
	report_progress_end();
}

/* --- the list --- */

/* What the disks measure, so that the bar knows the end; what can't be looked
 * at is reported when its turn comes. */
static uint64_t domain_size(struct connection *c, const char *name)
{
	struct domain_state *domain = NULL;
	uint64_t sum = 0;
	if (domain_state_open(&domain, c, name) < 0)
		error_clear();
	for (unsigned i = 0; domain && i < domain->disk_count; i++) {
		const struct disk_plan *p = &domain->disks[i];
		if (!p->empty && !p->removable && p->why_not == NULL
				&& p->chain.count != 0)
			sum += p->plain ? p->chain.files[0].size
					: p->chain.files[0].virtual_size;
	}
	domain_state_close(domain);
	return sum;
}

/* The domain's name for NAME, which may be its UUID; if there is none, NAME. To
 * be freed. */
static char *own_name(struct connection *c, const char *name)
{
	struct domain *d = NULL;
	if (domain_find(&d, c, name) < 0)
		error_clear();
	char *own = strdup(d ? domain_name(d) : name);
	domain_free(d);
	return own;
}

/* Two lanes must never meet at the same domain. */
static int take_names(struct domains_job *j, char *const *names, unsigned count)
{
	j->names = calloc(count + 1, sizeof(*j->names));
	for (unsigned i = 0; j->names && i < count; i++) {
		char *name = own_name(j->connection, names[i]);
		unsigned k = 0;
		if (name == NULL)
			return fail_errno(-ENOMEM, "listing domains");
		while (k < j->count && strcmp(j->names[k], name) != 0)
			k++;
		if (k == j->count)
			j->names[j->count++] = name;
		else
			free(name);
	}
	return j->names ? 0 : fail_errno(-ENOMEM, "listing domains");
}

int backup_domains(struct backup_run *run, struct connection *c,
		char *const *names, unsigned count)
{
	struct domains_job j = { .run = run, .connection = c };
	unsigned lanes = (unsigned)run->options->jobs_domains.value;
	run->of_domains = true;
	int err = take_names(&j, names, count);
	if (err == 0)
		err = backup_run_add_lanes(run, lanes < j.count ? lanes : j.count,
				j.count);
	for (unsigned i = 0; err == 0 && report_shows_progress() && i < j.count;
			i++)
		run->all_total += domain_size(c, j.names[i]);
	if (err == 0)
		run_lanes(&j);
	for (unsigned i = 0; i < j.count; i++)
		free(j.names[i]);
	free(j.names);
	return err;
}
