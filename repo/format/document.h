/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Names and snapshots as programs get them: in what --json prints, and in
 * snapshot.json of a mount (amberfs-json(5)). What is stored has a form of its own
 * (snapshot.h).
 */
#ifndef AMBERFS_FORMAT_DOCUMENT_H
#define AMBERFS_FORMAT_DOCUMENT_H

#include <jansson.h>

#include "snapshot.h"

/* Sets JSON's member KEY to what the escaped name stands for, in UTF-8; bytes that
 * are none or can't be printed are shown as \xNN there, and KEY_encoded has the
 * escaped name. NULL: nothing is set. JSON may be NULL. */
void document_set_name(json_t *json, const char *key, const char *escaped);

/* A new object, NULL without memory: all that is said of SNAP itself. */
json_t *document_of_snapshot(const struct snapshot *snap);

#endif
