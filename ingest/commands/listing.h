/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What `amberfs domains` shows: collected once, written as text or as JSON. */
#ifndef AMBERFS_INGEST_COMMANDS_LISTING_H
#define AMBERFS_INGEST_COMMANDS_LISTING_H

#include "ingest/backup/disk_plan.h"
#include "ingest/libvirt/checkpoints.h"
#include "ingest/libvirt/domain.h"
#include "ingest/libvirt/domain_unstored.h"
#include "repo/snapshot/snapshot_list.h"

struct listed_disk {
	struct disk_plan plan;
	const char *why_not;  /* shown to the user; NULL: it can be backed up */
	const char *why_full; /* why each live backup reads all of it; NULL: it
				 reads only changes */
	bool sizes_known;
	uint64_t virtual_size, allocated;
};

struct listed_domain {
	struct domain_facts facts;
	struct domain_xml *xml;
	struct checkpoint_names checkpoints; /* whoever made them */
	char *problem; /* why its disks are not listed, or NULL */
	unsigned disk_count;
	struct listed_disk *disks;
	struct domain_unstored_list left_out; /* besides disks */
	/* Of the listing's backups; or NULL: its last one, and the last of the
	 * source with its name if that belongs to another. */
	const struct snapshot *last_backup, *name_taken;
};

struct listing {
	unsigned count;
	struct listed_domain *domains;
	bool of_repository; /* the backups in it are listed as well */
	struct snapshot_list backups;
};

/* A domain that vanishes meanwhile is left out. 0 or -errno. */
int listing_make(struct listing *listing, struct connection *conn);
void listing_clear(struct listing *listing);
/* Adds what REPO has of each. Snapshots that can't be read cause a warning. 0 or
 * -errno. */
int listing_add_backups(struct listing *listing, struct repository *repo);

/* The next checkpoint of amberfs at or after *NUMBER, which becomes the next to
 * look at; NULL: there are no more. */
const char *listing_checkpoint(const struct listed_domain *domain,
		unsigned *number);
/* The number of bitmaps of amberfs in the disks' images that no checkpoint
 * belongs to. */
unsigned listing_orphans(const struct listed_domain *domain);

/* True if the disks of some domain could not be listed. */
bool listing_has_problems(const struct listing *listing);

/* Both write to stdout. 0 or -errno. */
int listing_text_print(const struct listing *listing);
int listing_json_print(const struct listing *listing, const char *uri);

#endif
