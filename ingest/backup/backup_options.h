/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The options of `amberfs backup`. Filled in and checked by backup.c; constant
 * afterwards, so any thread may read them.
 */
#ifndef AMBERFS_INGEST_BACKUP_BACKUP_OPTIONS_H
#define AMBERFS_INGEST_BACKUP_BACKUP_OPTIONS_H

#include "repo/base/options.h"
#include "repo/base/report.h"
#include "repo/repository/repository.h"

/* Whether a running guest's filesystems are frozen: if its agent answers,
 * always (or the backup fails), or never. */
enum quiesce { QUIESCE_AUTO, QUIESCE_REQUIRE, QUIESCE_NEVER };

struct backup_options {
	struct report_options report;
	struct repository_options repository;
	const char *repository_path; /* as it was given */
	struct option_number jobs, level;
	uint64_t bwlimit; /* bytes a second; 0: none */
	bool force_read;
	bool exact;
	bool adopt; /* continue a history of another domain, or of files */

	/* Domains. */
	struct option_number jobs_domains; /* maximum at once */
	enum quiesce quiesce;
	const char *scratch_dir; /* NULL: /var/tmp */
	int64_t wait_seconds;	 /* maximum, for a busy domain; 0: don't wait */
	const char *hook_dir;	 /* for hooks_run; NULL: none */
	struct option_list disks, exclude_disks; /* TARGET, DOMAIN:TARGET */
	struct option_list sources;		 /* NAME, DOMAIN:NAME */
	bool one_domain; /* the run is of a single --domain */
};

/* As given, before they are checked. */
struct backup_words {
	const char *quiesce, *wait, *hook_timeout;
};

/* 0, or -EINVAL with a text. Also sets the hooks' limit. */
int backup_options_check(struct backup_options *options,
		const struct backup_words *words);

/* Whether ITEM, of one of the two lists of disks, applies to this domain (raw
 * name, UUID). */
bool backup_options_disk_concerns(const char *item, const char *name,
		const char *uuid);

/* Whether the disk TARGET of a domain (raw name, UUID) is to be backed up. */
bool backup_options_want_disk(const struct backup_options *options,
		const char *name, const char *uuid, const char *target);

/* Whether --disk names the disk. */
bool backup_options_names_disk(const struct backup_options *options,
		const char *name, const char *uuid, const char *target);

/* The source (raw, borrowed) that this domain is stored under: its own name, if
 * --source names no other. */
const char *backup_options_source(const struct backup_options *options,
		const char *name, const char *uuid);

/* The reason recorded in the snapshot if backup_options_want_disk is false. */
#define BACKUP_DISK_UNWANTED "left out by --disk or --exclude-disk"

#endif
