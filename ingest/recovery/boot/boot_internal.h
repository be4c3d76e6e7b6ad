/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Shared by the actions of amberfs boot. Each works on one directory, whose
 * lock it holds, and may be killed at any moment: if run again, or with
 * --discard, it continues from what it finds.
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
	int lock;    /* of the directory; -1: none */
	bool partly; /* something minor failed, or is not in the
			snapshot, and was reported */
};

/* Finds DIR. */
int boot_setup(struct boot *boot, const struct boot_options *options);
/* Opens the existing directory of domain NAME: locks it, loads its state,
 * connects to its libvirt. If its creation was killed it has no state: then
 * boot->state.name is NULL. 0; -ENOENT with a text; … */
int boot_open(struct boot *boot, const char *name);
void boot_close(struct boot *boot);

/* --- the verbs --- */

int boot_begin(struct boot *boot, const char *repository, const char *spec);
int boot_finish(struct boot *boot);
int boot_end_resume(struct boot *boot);
int boot_end_discard(struct boot *boot);
int boot_list(struct boot *boot);

/* --- what several need --- */

/* Mounts, if necessary, and checks that the snapshot there is the one that was
 * booted. */
int boot_end_remount(struct boot *boot);

/* Removes domains and mount, unpins the snapshot, removes the directory. */
int boot_end_take_down(struct boot *boot);

/* Unmounts; waits briefly for processes that have just closed its files. */
int boot_end_unmount(struct boot *boot);

/* Protects the snapshot from forget. */
int boot_pin(struct boot *boot, struct repository *repo, const char *object);
/* Unpins it, unless it was pinned for other reasons or another directory needs
 * it. If the repository can't be opened, warns and sets boot->partly. */
void boot_pin_remove(struct boot *boot);

#endif
