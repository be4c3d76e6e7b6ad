/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The state of a domain's emulated TPM: libvirt keeps it in
 * …/swtpm/UUID/tpm2/tpm2-00.permall, and gives the last directory and its files
 * to swtpm's user when it starts swtpm. It is there from the domain's first
 * start on. That user can put anything in there, under any name.
 */
#ifndef AMBERFS_INGEST_LIBVIRT_TPM_STATE_H
#define AMBERFS_INGEST_LIBVIRT_TPM_STATE_H

#include <stdbool.h>

/* The names that swtpm gives to its files, NULL-terminated. */
extern const char *const tpm_state_names[];
/* The directories of one domain, NULL-terminated: "tpm1.2", "tpm2". */
extern const char *const tpm_state_versions[];

/* True if PATH ends in UUID/VERSION/NAME. */
bool tpm_state_is_path(const char *path, const char *uuid);
/* True if PATH is one of swtpm's files in DIRECTORY, or is DIRECTORY: what a
 * definition can give is a directory or a file. */
bool tpm_state_is_below(const char *path, const char *directory);

/* Makes the last LEVELS directories of PATH, a file's, if they are missing. A
 * descriptor of the last one, or -errno with a text. */
int tpm_state_make_directories(const char *path, int levels);

#endif
