/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The proof of one snapshot: does its guest come up? */
#ifndef AMBERFS_INGEST_RECOVERY_PROVE_PROVE_ONE_H
#define AMBERFS_INGEST_RECOVERY_PROVE_PROVE_ONE_H

#include <jansson.h>
#include <regex.h>

#include "ingest/libvirt/connection.h"
#include "repo/repository/repository.h"

/* Signs of having come up, in the order in which they are checked. */
enum prove_sign {
	SIGN_AGENT,
	SIGN_CONSOLE,
	SIGN_SCREEN,
};
#define SIGNS 3
#define SIGN_BIT(s) (1u << (s))

extern const char *const prove_sign_names[SIGNS];

struct prove_options {
	const char *repository;
	struct repository_options unlock;
	const char *scratch_dir;
	const char *picture_dir; /* NULL: no pictures */
	unsigned accept;	 /* SIGN_BIT()s */
	const regex_t *pattern;	 /* for the console */
	double timeout;		 /* seconds */
	uint64_t screen_read;	 /* bytes: with fewer a screen proves nothing */
	uint64_t memory;	 /* bytes; 0: as defined */
};

struct prove_result {
	bool up;
	bool unproven;	    /* not up: a still screen that proves nothing */
	enum prove_sign by; /* if up */
	double seconds;	    /* since its start */
	uint64_t read;	    /* bytes that it read from its disks */
	char *why;	    /* if not up */
	char *picture;	    /* the path, or NULL */
	char *notes;	    /* what was changed for it, or NULL */
	json_t *console;    /* its last lines, or NULL */
};

/*
 * Boots SNAP, waits for a sign, and removes everything. 0: *OUT is the result
 * (also if it could not be started); -ECANCELED: interrupted.
 */
int prove_one(struct prove_result *out, const struct prove_options *options,
		const struct snapshot *snap, struct connection *conn);
void prove_one_result_clear(struct prove_result *result);

#endif
