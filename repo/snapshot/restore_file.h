/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Restoring files of a snapshot. A file is written under a temporary name
 * beside its final one and gets that name once it is complete and fsynced; a
 * block device is written in place. Holes stay holes. What another process has
 * locked, as qemu does, is neither replaced nor written to. Links on the way are
 * followed where no other user can have made them (foreign_path.h).
 *
 * Damage ends it, unless ZERO_DAMAGED: then what can't be read becomes zeros,
 * and each such range is reported (report_error) and noted.
 *
 * Threading: one thread calls; its progress bar has its own.
 */
#ifndef AMBERFS_SNAPSHOT_RESTORE_FILE_H
#define AMBERFS_SNAPSHOT_RESTORE_FILE_H

#include <sys/types.h>

#include "repo/repository/repository.h"
#include "repo/session/session.h"

struct restore_range;

enum restore_format {
	RESTORE_RAW,   /* the bytes */
	RESTORE_QCOW2, /* a compact qcow2 file of them */
};

struct restore_file {
	/* The caller's. */
	struct image_reader *reader;
	unsigned threads;
	bool force; /* replace files, overwrite block devices */
	/* A path that is a symbolic link stands for what it leads to. Else only
	 * with FORCE, as the user may not know that it is one. */
	bool follow_links;
	/* With FORCE: called right before a new file gets the name PATH, so
	 * that nothing is replaced that came into use while it was written. 0
	 * or -errno with a text. May be NULL. */
	int (*may_replace)(void *ctx, const char *path);
	void *ctx;
	bool zero_damaged;
	bool own; /* give files to: */
	uid_t uid;
	gid_t gid;
	uint64_t all_total; /* bytes of all images, for progress; 0: one */
	/* Sums. */
	uint64_t all_done, written;
	unsigned files;
	/* Ranges written as zeros. */
	struct restore_range *ranges;
	size_t range_count, range_room, told;
	bool range_lost; /* one could not even be noted */
	/* The one under way. */
	const struct snapshot_file *file;
	const _Atomic uint64_t *done_now, *written_now;
	uint64_t size;
};

/* Frees what the ranges take. */
void restore_file_clear(struct restore_file *restore);

/*
 * To PATH: a new file, or a block device that is there. 0; -EEXIST it is there
 * (or a device) and FORCE is not set; -ENOSPC the device is too small;
 * -ECANCELED; -EBADMSG …; with a text.
 */
int restore_file_to_path(struct restore_file *restore,
		const struct snapshot_file *file, const char *path,
		enum restore_format format);
/* Fails, before anything is written, if that would: PATH is there or in use. */
int restore_file_check_path(const struct restore_file *restore,
		const char *path);
/* To the standard output. */
int restore_file_to_stdout(struct restore_file *restore,
		const struct snapshot_file *file, enum restore_format format);

/* The LEN bytes of TEXT as a new file of MODE, by the same rules. */
int restore_file_text(struct restore_file *restore, const char *text,
		size_t len, mode_t mode, const char *path);

/* Bytes of the file that RESTORE_QCOW2 makes. */
uint64_t restore_file_qcow2_size(const struct snapshot_file *file);

/*
 * A session that uses all files of SNAP, so that no prune deletes what is being
 * read; SNAP is checked again after that. *OUT is NULL, after a warning, if the
 * repository is not writable. ACTIVITY: escaped.
 */
int restore_file_add_roots(struct repository *repo, const struct snapshot *snap,
		const char *activity, struct session **out);

/* Warns if SNAP is incomplete, and says what is missing. Returns whether it is. */
bool restore_file_warn_incomplete(const struct snapshot *snap);
/* The same for the file NAME alone, which was damaged when it was stored. */
bool restore_file_warn_damaged(const struct snapshot *snap, const char *name);

uint64_t restore_file_damaged_bytes(const struct restore_file *restore);
/* [{file, offset, length, cause}], a new reference. */
json_t *restore_file_damaged_json(const struct restore_file *restore);

#endif
