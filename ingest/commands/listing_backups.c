/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The last backup of each listed domain: by its UUID, under whatever source and
 * from whatever host. */
#include <string.h>
#include <strings.h>

#include "listing.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/report.h"
#include "repo/format/name.h"
#include "repo/snapshot/snapshot_list.h"

static void warn_of_bad(void *ctx, const char *object, int err)
{
	(void)ctx;
	report_warning("%s: %s", object, error_text(err));
}

static bool is_of(const struct snapshot *snap, const char *uuid)
{
	return snap->uuid != NULL && strcasecmp(snap->uuid, uuid) == 0;
}

/* The newest of the domain, and the newest that has its name. */
static int find(struct listed_domain *domain, const struct snapshot_list *list)
{
	const struct domain_facts *facts = &domain->facts;
	CLEANUP_FREE char *source =
			name_escape(facts->name, strlen(facts->name));
	const struct snapshot *named = NULL;
	if (source == NULL)
		return fail_no_memory("listing backups");
	for (size_t i = 0; i < list->count; i++) {
		const struct snapshot *snap = list->items[i];
		if (strcmp(snap->source, source) == 0
				&& (named == NULL || snap->time >= named->time))
			named = snap;
		if (is_of(snap, facts->uuid)
				&& (domain->last_backup == NULL
						|| snap->time > domain->last_backup
										->time))
			domain->last_backup = snap;
	}
	if (named != NULL && named->uuid == NULL
			&& named->kind == SNAPSHOT_DOMAIN)
		return 0;
	domain->name_taken = named != NULL && !is_of(named, facts->uuid) ? named
									 : NULL;
	return 0;
}

int listing_add_backups(struct listing *listing, struct repository *repo)
{
	int err = snapshot_list_load(repo, NULL, &listing->backups, warn_of_bad,
			NULL);
	listing->of_repository = err == 0;
	for (unsigned i = 0; err == 0 && i < listing->count; i++)
		err = find(&listing->domains[i], &listing->backups);
	return err;
}
