/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The last safeguard of incremental backups; see tracking.c. */
#ifndef AMBERFS_INGEST_LIVE_CLEAN_CHECK_H
#define AMBERFS_INGEST_LIVE_CLEAN_CHECK_H

#include "repo/image/image_writer.h"

/*
 * Compares a few ranges that SOURCE says are the same as in BASE (of the same
 * size), the last data and random ones, with BASE's bytes. 0: they are equal;
 * 1: they differ, at *WHERE; -EBADMSG: BASE can't be read; -errno: SOURCE
 * can't.
 */
int clean_check(const struct image_source *source, struct image *base,
		uint64_t *where);

#endif
