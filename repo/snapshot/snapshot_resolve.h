/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From a name given by the user to a snapshot. */
#ifndef AMBERFS_SNAPSHOT_SNAPSHOT_RESOLVE_H
#define AMBERFS_SNAPSHOT_SNAPSHOT_RESOLVE_H

#include "repo/repository/repository.h"

/* SPEC: "source/time", "source/latest" (as snapshot_list_newest_complete, with a
 * warning if it is not complete), a unique prefix (4+ digits) of an id;
 * each may be followed by "/file". *FILE (malloc'ed, may be NULL result) gets
 * the file's name. -ENOENT, -ENOTUNIQ with helpful texts. */
int snapshot_resolve(struct repository *repo, const char *spec,
		struct snapshot **out, char **file);

/* The escaped name of a source that is given escaped, as shown, or as it is.
 * NULL without memory. */
char *snapshot_resolve_source(const char *text);

/* The object's name and time of a snapshot that can't be read: SPEC must be
 * source/time. */
int snapshot_resolve_unread(const char *spec, char object[OBJECT_NAME_MAX],
		int64_t *time);

#endif
