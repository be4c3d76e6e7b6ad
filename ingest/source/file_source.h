/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A regular file or block device as a source of bytes: holes by
 * SEEK_DATA/SEEK_HOLE, and no change to the page cache: pages that were not
 * there before are dropped after they were read.
 *
 * Threading: read and extent may run at once for different workers.
 */
#ifndef AMBERFS_INGEST_SOURCE_FILE_SOURCE_H
#define AMBERFS_INGEST_SOURCE_FILE_SOURCE_H

#include <sys/stat.h>

#include "repo/image/image_writer.h"

struct file_source;

/* Opens PATH (following links), fsyncs a regular file, and notes its identity.
 * WORKERS as the image writer's. -EINVAL: neither file nor block device. */
int file_source_open(struct file_source **out, const char *path,
		unsigned workers);
void file_source_close(struct file_source *source); /* NULL allowed */
void file_source_fill(struct file_source *s, struct image_source *source);

uint64_t file_source_size(const struct file_source *source); /* bytes */
const struct stat *file_source_stat(const struct file_source *source);

/* The file's identity when it was opened. Valid only for a regular file whose
 * last change was more than 2 s before that. */
void file_source_identity(const struct file_source *source,
		struct file_identity *out);

/* 0 if its data has not changed, else -EBUSY with a text. */
int file_source_recheck(struct file_source *source);

/* The identity of PATH (fsynced first), for files that another program reads
 * for us. */
int file_source_identify(const char *path, struct file_identity *out);
bool file_source_same_identity(const struct file_identity *a,
		const struct file_identity *b);

/* Compares the identity of PATH BEFORE it was read with the one AFTER. A change
 * of its owner, mode, names or attributes only is a warning; then the two are
 * not the same identity. 0, or -EBUSY with a text: its data has changed. */
int file_source_compare(const char *path, const struct file_identity *before,
		const struct file_identity *after);

#endif
