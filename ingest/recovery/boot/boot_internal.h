/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the verbs of amberfs boot share. Each works on one place, whose lock it
 * holds, and may be killed at any moment: run again, or with --discard, it
 * finds what is there and goes on from that.
 */
#ifndef AMBERFS_INGEST_RECOVERY_BOOT_BOOT_INTERNAL_H
#define AMBERFS_INGEST_RECOVERY_BOOT_BOOT_INTERNAL_H

#include "boot_directory.h"
#include "boot_root.h"
#include "ingest/libvirt/domain_control.h"
#include "repo/base/error.h"
#include "repo/base/report.h"

struct boot_options {
	struct report_options report;
	struct repository_options repository;
	const char *connect, *name, *overlay_dir;
	bool start, isolated, same_identity, force;
};

struct boot {
	const struct boot_options *options;
	char *dir;
	struct boot_directory place;
	struct boot_state state;
	struct connection *connection;
	int lock;    /* of the place; -1: none */
	bool partly; /* something smaller failed, and was told */
};

/* Finds DIR. */
int boot_setup(struct boot *boot, const struct boot_options *options);
/* The place of the domain NAME that is there: locks it, loads its state,
 * connects to its libvirt. A place that was killed at birth has no state: then
 * b->state.name is NULL. 0; -ENOENT with a text; … */
int boot_open(struct boot *boot, const char *name);
void boot_close(struct boot *boot);

/* --- the verbs --- */

int boot_begin(struct boot *boot, const char *repository, const char *spec);
int boot_finish(struct boot *boot);
int boot_end_resume(struct boot *boot);
int boot_end_discard(struct boot *boot);
int boot_list(struct boot *boot);

/* --- what several need --- */

/* Mounts, if it is not, and looks that the snapshot there is the very one that
 * was booted. */
int boot_end_remount(struct boot *boot);

/* Domains and mount gone, snapshot unpinned, directory removed. */
int boot_end_take_down(struct boot *boot);

/* Unmounts; what has just let go of it is waited for a little. */
int boot_end_unmount(struct boot *boot);

/* Keeps the snapshot from forget. */
int boot_pin(struct boot *boot, struct repository *repo, const char *object);
/* Lets it go, unless it was pinned for other reasons or another place needs it.
 * A repository that can't be opened is told, and sets b->partly. */
void boot_pin_remove(struct boot *boot);

#endif
