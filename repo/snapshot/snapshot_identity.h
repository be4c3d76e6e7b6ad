/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whose snapshots a source has: those of one domain, known by its UUID on
 * whatever host it runs, or those of files. Two of one name must not share a
 * history: rules would keep the one's snapshots and remove the other's.
 */
#ifndef AMBERFS_SNAPSHOT_SNAPSHOT_IDENTITY_H
#define AMBERFS_SNAPSHOT_SNAPSHOT_IDENTITY_H

#include "repo/format/snapshot.h"

/* A domain's snapshot without a UUID may be of any domain. */
bool snapshot_identity_same(const struct snapshot *a, const struct snapshot *b);

#define SNAPSHOT_IDENTITY_TEXT_MAX 512
/* For people: "domain UUID (on HOST)", "files (on HOST)". Returns BUF. */
char *snapshot_identity_text(char buf[SNAPSHOT_IDENTITY_TEXT_MAX],
		const struct snapshot *snap);

#endif
