/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * `amberfs doctor`: what a backup host needs, looked at without changing
 * anything. A check is a function in a table (checks.c, ingest/doctor/): it
 * looks at one kind of thing and adds findings. A finding names the object that
 * was looked at, what was found, what that means for backups, and the commands
 * that mend it, ready to be pasted into a shell.
 *
 * To add a check: write check_NAME.c with one function, and add its row to the
 * table. Nothing else knows of it.
 *
 * Threading: one thread. Lack of memory is remembered and told at the end.
 */
#ifndef AMBERFS_DOCTOR_DOCTOR_H
#define AMBERFS_DOCTOR_DOCTOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "repo/base/options.h"
#include "repo/base/report.h"
#include "repo/repository/repository.h"

enum doctor_level {
	DOCTOR_OK,
	DOCTOR_WARNING, /* backups work, but less well than they could */
	DOCTOR_FAILURE, /* something does not work, or is not safe */
	DOCTOR_LEVELS,
};

struct doctor_options {
	struct report_options report;
	struct repository_options repository;
	const char *repository_path; /* NULL: none given */
	const char *uri;	     /* of libvirt; NULL: the default */
	const char *scratch_dir;     /* NULL: the default of backups */
	struct option_list peers;    /* HOST, HOST:PORT, as given */
	int64_t watch_seconds;	     /* to count dropped packets for */
};

struct doctor {
	const struct doctor_options *options;
	void *context;	  /* of the checks of the calling program */
	json_t *findings; /* of all checks so far */
	json_t *last;	  /* borrowed: the one that was added last */
	const struct doctor_check *check; /* that is running */
	json_t *images; /* paths of guests' disks, for the repository's checks */
	json_t *peers;	/* hosts that backups depend on (peers.h) */
	unsigned count[DOCTOR_LEVELS];
	bool no_memory;
};

struct doctor_check {
	const char *section; /* shown above its findings; NULL ends a table */
	const char *name;    /* in JSON; lasting */
	void (*run)(struct doctor *doctor);
};

/*
 * Begins a finding: OBJECT is what was looked at, the rest what was found, one
 * sentence without a full stop. Texts may be any bytes.
 */
void doctor_found(struct doctor *doctor, enum doctor_level level,
		const char *object, const char *fmt, ...)
		__attribute__((format(printf, 4, 5)));
/* What the finding begun last means for a backup, or what to consider before it
 * is mended: whole sentences. Once for a finding. */
void doctor_means(struct doctor *doctor, const char *fmt, ...)
		__attribute__((format(printf, 2, 3)));
/* One more command that mends it, for a shell. */
void doctor_command(struct doctor *doctor, const char *fmt, ...)
		__attribute__((format(printf, 2, 3)));

#define DOCTOR_QUOTE_MAX 4096
/* PATH as one word of a shell, quoted where that is needed. Returns OUT. */
char *doctor_quote(char out[DOCTOR_QUOTE_MAX], const char *path);

/* A disk's image, for the checks that compare the repository with it. */
void doctor_add_image(struct doctor *doctor, const char *path);

/* "ok", "warning", "failure" */
const char *doctor_level_name(enum doctor_level level);

/* Prints the findings from number FIRST on. *SECTION: the one printed last, or
 * NULL; kept up to date. */
void doctor_print(const struct doctor *doctor, size_t first,
		const char **section);
void doctor_print_summary(const struct doctor *doctor);

/* The checks that the calling program adds; each table may be NULL. */
struct doctor_more {
	const struct doctor_check *host;   /* after those of the host */
	const struct doctor_check *guests; /* at the end */
	void *context;
};

/* The command: parses ARGV, runs all checks, prints. Returns the exit status.
 * MORE may be NULL: there is no libvirt here. */
int doctor_main(int argc, char **argv, const struct doctor_more *more);

#endif
