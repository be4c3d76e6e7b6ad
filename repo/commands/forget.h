/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * amberfs forget, in two steps: a plan that says for each snapshot considered
 * whether it is removed and which rules keep it (forget_plan.c), which is shown
 * (forget_report.c) and carried out (forget.c).
 */
#ifndef AMBERFS_COMMANDS_FORGET_H
#define AMBERFS_COMMANDS_FORGET_H

#include "command.h"
#include "repo/repository/min_age.h"
#include "repo/snapshot/keep_policy.h"
#include "repo/snapshot/pins.h"

struct forget_entry {
	struct snapshot *snap; /* NULL: it can't be read */
	char *object;	       /* "snapshots/…/…" */
	char *shown;	       /* its name for people */
	int64_t time;
	struct keep_verdict verdict; /* by the policy; none by name */
	bool pinned;
	bool protected; /* by min-age */
	int64_t until;	/* until when */
	bool remove, forgotten;
	bool refused; /* no rule was applied to its source */
};

struct forget_plan {
	/* To be filled in: */
	struct repository *repo;
	struct keep_policy policy;
	bool by_policy, dry_run;
	bool trust_clock; /* rotate although some are ahead of now */
	/* Found: */
	struct pins pins;
	struct min_age retention;
	int64_t now;
	struct forget_entry *items; /* by name: as given; else sorted */
	size_t count, room;
	unsigned failed;  /* operands and deletions, each was reported */
	unsigned damaged; /* snapshots that the policy left alone */
};

/* Loads pins and settings. If it fails nothing may be removed. */
int forget_plan_begin(struct forget_plan *plan);
void forget_plan_clear(struct forget_plan *plan);

/* Adds the snapshots named, to be removed; reports those that can't be. */
int forget_plan_names(struct forget_plan *plan, char **names, int count);

/* Adds all snapshots of the sources named (COUNT 0: of all) and decides. */
int forget_plan_sources(struct forget_plan *plan, char **names, int count);

/* "web/20261123T040000Z" */
const char *forget_plan_shown(const struct forget_entry *entry);

/* A table of what is kept, by which rules, and what is removed. */
void forget_report_print(const struct forget_plan *plan);
/* "Kept 12 snapshots, forgot 3." */
void forget_report_print_sum(const struct forget_plan *plan);
/* A new object. */
json_t *forget_report_json(const struct forget_plan *plan);

#endif
