/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Collects what is listed about domains and their disks. Opens no images
 * itself. */
#include "listing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ingest/live/tracking.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"

/* libvirt may read files that this user may not. It is not asked about missing
 * files: some drivers make up sizes. */
static void find_sizes(struct listed_disk *out, struct domain *domain)
{
	const struct chain *chain = &out->plan.chain;
	const struct chain_file *top = chain->count ? &chain->files[0] : NULL;
	if (top != NULL && top->understood) {
		out->virtual_size = top->virtual_size;
		out->allocated = top->allocated;
		out->sizes_known = true;
		return;
	}
	if (top == NULL || (access(top->path, F_OK) < 0 && errno == ENOENT))
		return;
	if (access(top->path, R_OK) == 0)
		return; /* readable but not understood: no size is known */
	out->sizes_known = domain_disk_size(domain, out->plan.target,
					   &out->virtual_size, &out->allocated)
			== 0;
}

static int add_disk(struct listed_disk *out, const struct domain_disk *disk,
		struct domain *domain, const struct domain_facts *facts,
		struct connection *conn)
{
	int err = disk_plan_make(&out->plan, disk, conn, CHAIN_NO_RAW_INFO);
	if (err != 0)
		return err;
	out->why_not = out->plan.why_not;
	if (out->why_not == NULL && out->plan.removable)
		out->why_not = "media of CD-ROM and floppy drives are left "
			       "out; back up the file by path with --name";
	if (out->why_not == NULL)
		out->why_full = tracking_cannot(&out->plan);
	if (out->why_not == NULL && out->why_full == NULL && !facts->persistent)
		out->why_full = "a transient domain can't have checkpoints";
	find_sizes(out, domain);
	return 0;
}

static int add_disks(struct listed_domain *out, struct domain *domain,
		struct connection *conn)
{
	int err = domain_get_xml(domain, DOMAIN_XML_CURRENT, &out->xml);
	if (err != 0)
		return err;
	err = domain_unstored_find(&out->left_out, out->xml);
	if (err != 0)
		return err;
	out->disks = calloc((size_t)out->xml->disk_count + 1,
			sizeof(*out->disks));
	if (out->disks == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < out->xml->disk_count && err == 0; i++) {
		err = add_disk(&out->disks[i], &out->xml->disks[i], domain,
				&out->facts, conn);
		if (err == 0)
			out->disk_count++;
	}
	return err;
}

static int add_domain(struct listing *listing, struct domain *domain,
		struct connection *conn)
{
	struct listed_domain *out = &listing->domains[listing->count];
	int err = domain_facts(domain, &out->facts);
	if (err == -ENOENT)
		return 0;
	if (err != 0)
		return err;
	listing->count++;
	err = checkpoints_list(domain, &out->checkpoints);
	if (err == 0)
		err = add_disks(out, domain, conn);
	if (err == 0 || err == -ENOMEM)
		return err;
	out->problem = strdup(error_text(err));
	return out->problem != NULL ? 0 : -ENOMEM;
}

int listing_make(struct listing *listing, struct connection *conn)
{
	struct domain **list;
	unsigned n;
	int err = domain_list(conn, &list, &n);
	memset(listing, 0, sizeof(*listing));
	if (err != 0)
		return err;
	listing->domains = calloc((size_t)n + 1, sizeof(*listing->domains));
	if (listing->domains == NULL)
		err = -ENOMEM;
	for (unsigned i = 0; i < n && err == 0; i++)
		err = add_domain(listing, list[i], conn);
	domain_list_free(list, n);
	if (err != 0)
		listing_clear(listing);
	return err;
}

const char *listing_checkpoint(const struct listed_domain *domain,
		unsigned *number)
{
	const struct checkpoint_names *names = &domain->checkpoints;
	while (*number < names->count) {
		const char *name = names->items[(*number)++];
		if (tracking_is_amberfs(name))
			return name;
	}
	return NULL;
}

static unsigned orphans_of(const struct listed_domain *domain,
		const struct disk_plan *plan)
{
	const char *name;
	unsigned count = 0;
	for (size_t i = 0; plan->chain.count > 0
			&& (name = tracking_image_bitmap(&plan->chain.files[0],
					    i))
					!= NULL;
			i++)
		count += tracking_is_amberfs(name)
				&& !checkpoints_have(&domain->checkpoints,
						name);
	return count;
}

unsigned listing_orphans(const struct listed_domain *domain)
{
	unsigned count = 0;
	for (unsigned i = 0; i < domain->disk_count; i++)
		count += orphans_of(domain, &domain->disks[i].plan);
	return count;
}

bool listing_has_problems(const struct listing *listing)
{
	for (unsigned i = 0; i < listing->count; i++)
		if (listing->domains[i].problem != NULL)
			return true;
	return false;
}

void listing_clear(struct listing *listing)
{
	for (unsigned i = 0; listing->domains != NULL && i < listing->count;
			i++) {
		struct listed_domain *domain = &listing->domains[i];
		for (unsigned j = 0; j < domain->disk_count; j++)
			disk_plan_clear(&domain->disks[j].plan);
		free(domain->disks);
		domain_unstored_clear(&domain->left_out);
		checkpoints_clear(&domain->checkpoints);
		free(domain->problem);
		domain_xml_free(domain->xml);
		domain_facts_clear(&domain->facts);
	}
	free(listing->domains);
	snapshot_list_clear(&listing->backups);
	memset(listing, 0, sizeof(*listing));
}
