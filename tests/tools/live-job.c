/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * live-job URI DOMAIN SCRATCH-DIR WORD...: ingest/live/live_job.h by hand, for the
 * scenarios. WORDs are done one after the other; each says on stdout what came
 * of it; the first that fails ends it, with status 1.
 *
 *	auto, require, never	the policy for the prepare that follows
 *	disk NAME[:SINCE][:track]	a disk of the job
 *	prepare			"prepared"
 *	begin NAME|-		"begun frozen|not SECONDS: WHY"
 *	read NAME FILE		the export into FILE, whole
 *	dirty NAME		"dirty BYTES"
 *	wait			for a line on stdin
 *	stop, end
 *	holder			"holder WHO" or "holder nobody"
 *	leftovers
 *
 * Environment: LIVE_JOB_DIE=before-freeze|frozen|begin|begun kills it by
 * SIGKILL there, "begin" while libvirt is at BackupBegin; LIVE_JOB_PAUSE (the
 * same words) stops it there by SIGSTOP. LIVE_JOB_DIE_ALL: its guard dies too.
 * LIVE_JOB_WORKERS: connections that read and dirty make.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libvirt/libvirt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ingest/live/live_job.h"
#include "ingest/live/watchdog.h"
#include "ingest/source/nbd_client.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/base/report.h"
#include "repo/base/units.h"

#define DISKS_MAX 8
#define PIECE MIB

/* --- where it dies --- */

static void die_with_guard(void)
{
	char path[64], line[64] = "";
	FILE *f;
	snprintf(path, sizeof(path), "/proc/self/task/%d/children",
			(int)getpid());
	f = fopen(path, "r");
	if (f != NULL && getenv("LIVE_JOB_DIE_ALL") != NULL
			&& fgets(line, sizeof(line), f) != NULL)
		kill((pid_t)strtol(line, NULL, 10), SIGKILL);
	kill(getpid(), SIGKILL);
}

static bool named(const char *variable, const char *where)
{
	const char *value = getenv(variable);
	return value != NULL && strcmp(value, where) == 0;
}

static void pass(const char *where)
{
	if (named("LIVE_JOB_DIE", where))
		die_with_guard();
	if (named("LIVE_JOB_PAUSE", where))
		raise(SIGSTOP);
}

static void *die_soon(void *ctx)
{
	struct timespec t = { .tv_nsec = 15000000 };
	(void)ctx;
	nanosleep(&t, NULL);
	die_with_guard();
	return NULL;
}

/* libvirt's calls on their way. */
int virDomainFSFreeze(virDomainPtr d, const char **mountpoints, unsigned n,
		unsigned flags)
{
	__typeof__(&virDomainFSFreeze) next =
			(__typeof__(next))dlsym(RTLD_NEXT, __func__);
	int err;
	pass("before-freeze");
	err = next(d, mountpoints, n, flags);
	pass("frozen");
	return err;
}

int virDomainBackupBegin(virDomainPtr d, const char *job, const char *point,
		unsigned flags)
{
	__typeof__(&virDomainBackupBegin) next =
			(__typeof__(next))dlsym(RTLD_NEXT, __func__);
	pthread_t thread;
	int err;
	if (named("LIVE_JOB_DIE", "begin"))
		pthread_create(&thread, NULL, die_soon, NULL);
	if (named("LIVE_JOB_PAUSE", "begin"))
		raise(SIGSTOP);
	err = next(d, job, point, flags);
	pass("begun");
	return err;
}

/* --- what it does --- */

struct hand {
	struct connection *connection;
	struct domain *domain;
	struct domain_xml *xml;
	const char *scratch_dir;
	enum quiesce quiesce;
	struct live_disk disks[DISKS_MAX];
	unsigned count;
	struct live_job *job;
};

static int add_disk(struct hand *hand, char *text)
{
	struct live_disk *disk = &hand->disks[hand->count++ % DISKS_MAX];
	char *save = NULL;
	const char *word;
	memset(disk, 0, sizeof(*disk));
	disk->target = strtok_r(text, ":", &save);
	while ((word = strtok_r(NULL, ":", &save)) != NULL)
		if (strcmp(word, "track") == 0)
			disk->track = true;
		else
			disk->since = word;
	return domain_disk_size(hand->domain, disk->target, &disk->size,
			&disk->allocated);
}

static int prepare(struct hand *hand)
{
	struct live_job_options o = { .connection = hand->connection,
		.domain = hand->domain,
		.xml = hand->xml,
		.repository_id = "00",
		.scratch_dir = hand->scratch_dir,
		.quiesce = hand->quiesce };
	return live_job_prepare(&hand->job, &o, hand->disks, hand->count);
}

static int begin(struct hand *hand, const char *checkpoint)
{
	int err = live_job_begin(hand->job, hand->disks, hand->count,
			strcmp(checkpoint, "-") == 0 ? NULL : checkpoint);
	const char *why;
	if (err != 0)
		return err;
	why = live_job_why_not_frozen(hand->job);
	printf("begun %s %.3f: %s\n",
			live_job_frozen(hand->job) ? "frozen" : "not",
			live_job_frozen_seconds(hand->job),
			why != NULL ? why : "");
	return 0;
}

static unsigned workers(void)
{
	const char *n = getenv("LIVE_JOB_WORKERS");
	return n != NULL ? (unsigned)strtoul(n, NULL, 10) : 1;
}

static int open_export(struct hand *hand, struct nbd_client **c,
		const char *target, bool dirty)
{
	char bitmap[64];
	struct nbd_client_options o = { .socket = live_job_socket(hand->job),
		.export = target,
		.workers = workers() };
	snprintf(bitmap, sizeof(bitmap), "backup-%s", target);
	o.bitmap = dirty ? bitmap : NULL;
	return nbd_client_open(c, &o);
}

static int read_export(struct hand *hand, const char *target, const char *file)
{
	CLEANUP_FD int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	CLEANUP_FREE char *buf = malloc(PIECE);
	struct nbd_client *client = NULL;
	struct image_source s = { 0 };
	int err = buf != NULL && fd >= 0
			? open_export(hand, &client, target, false)
			: -EIO;
	if (err == 0)
		nbd_client_fill(client, &s);
	for (uint64_t pos = 0; err == 0 && pos < s.size; pos += PIECE) {
		size_t n = s.size - pos < PIECE ? (size_t)(s.size - pos)
						: PIECE;
		err = s.read(s.ctx, 0, buf, n, pos);
		if (err == 0 && pwrite(fd, buf, n, (off_t)pos) != (ssize_t)n)
			err = -errno;
	}
	nbd_client_close(client);
	return err;
}

static int count_dirty(struct hand *hand, const char *target)
{
	struct nbd_client *client = NULL;
	uint64_t sum = 0, end = 0;
	int err = open_export(hand, &client, target, true);
	for (uint64_t pos = 0; err == 0 && pos < nbd_client_size(client);
			pos = end) {
		bool dirty = false;
		err = nbd_client_dirty(client, 0, pos, nbd_client_size(client),
				&dirty, &end);
		sum += dirty ? end - pos : 0;
	}
	nbd_client_close(client);
	if (err == 0)
		printf("dirty %llu\n", (unsigned long long)sum);
	return err;
}

static int holder(struct hand *hand)
{
	CLEANUP_FREE char *who = NULL;
	int err = job_owner_find(hand->domain, hand->xml, &who);
	if (err != 0)
		return err;
	printf("holder %s\n", who != NULL ? who : "nobody");
	return 0;
}

static int end(struct hand *hand)
{
	live_job_end(take_ptr(hand->job));
	return 0;
}

static int wait_for_line(void)
{
	int c;
	do {
		c = getchar();
	} while (c != '\n' && c != EOF);
	return 0;
}

/* One word and what belongs to it. */
static int act(struct hand *hand, char ***argv)
{
	char **a = *argv;
	const char *word = *a++;
	int err = -EINVAL;
	if (strcmp(word, "auto") == 0 || strcmp(word, "require") == 0
			|| strcmp(word, "never") == 0) {
		hand->quiesce = *word == 'a'   ? QUIESCE_AUTO
				: *word == 'r' ? QUIESCE_REQUIRE
					       : QUIESCE_NEVER;
		err = 0;
	} else if (strcmp(word, "disk") == 0 && *a != NULL) {
		err = add_disk(hand, *a++);
	} else if (strcmp(word, "prepare") == 0) {
		err = prepare(hand);
	} else if (strcmp(word, "begin") == 0 && *a != NULL) {
		err = begin(hand, *a++);
	} else if (strcmp(word, "read") == 0 && *a != NULL && a[1] != NULL) {
		err = read_export(hand, a[0], a[1]);
		a += 2;
	} else if (strcmp(word, "dirty") == 0 && *a != NULL) {
		err = count_dirty(hand, *a++);
	} else if (strcmp(word, "wait") == 0) {
		puts("waiting");
		err = wait_for_line();
	} else if (strcmp(word, "stop") == 0) {
		err = live_job_stop(hand->job);
	} else if (strcmp(word, "end") == 0) {
		err = end(hand);
	} else if (strcmp(word, "holder") == 0) {
		err = holder(hand);
	} else if (strcmp(word, "leftovers") == 0) {
		err = stale_jobs_end(hand->connection, hand->scratch_dir);
	}
	*argv = a;
	if (err != 0)
		fprintf(stderr, "%s: %d: %s\n", word, err, error_text(err));
	return err;
}

int main(int argc, char **argv)
{
	struct report_options quiet = { .quiet = true };
	struct hand h = { 0 };
	int err;
	if (argc > 1 && strcmp(argv[1], WATCHDOG_COMMAND) == 0)
		return watchdog_process_main(argc - 1, argv + 1);
	if (argc < 4)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	interrupt_setup();
	report_setup("live-job", &quiet);
	h.scratch_dir = argv[3];
	err = connection_open(&h.connection, argv[1], CONNECTION_SECRETS);
	if (err == 0)
		err = domain_find(&h.domain, h.connection, argv[2]);
	if (err == 0)
		err = domain_get_xml(h.domain, DOMAIN_XML_CURRENT, &h.xml);
	if (err != 0)
		fprintf(stderr, "%s\n", error_text(err));
	argv += 4;
	while (err == 0 && *argv != NULL)
		err = act(&h, &argv);
	live_job_end(h.job);
	domain_xml_free(h.xml);
	domain_free(h.domain);
	connection_close(h.connection);
	return err != 0 ? 1 : 0;
}
