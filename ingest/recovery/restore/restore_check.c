/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether a domain's files may go where the plan says (restore_plan.h). Files
 * are compared by device and inode, so that a link or another spelling of a
 * path does not hide one.
 */
#include "restore_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ingest/libvirt/domain_paths.h"
#include "repo/base/cleanup.h"
#include "repo/base/device.h"
#include "repo/base/error.h"
#include "repo/base/foreign_path.h"
#include "repo/base/printable.h"
#include "repo/snapshot/restore_place.h"

/* --- is something there --- */

static int check_lock(const struct restore_item *item)
{
	CLEANUP_RESTORE_PLACE struct restore_place place;
	int err = restore_place_open(&place, item->path);
	return err < 0 ? err : restore_place_check_unused(&place);
}

/* restore_file_to_path would also find this, but only after other files. */
static int check_device(const struct restore_item *item)
{
	uint64_t size = 0;
	if (item->format != RESTORE_RAW)
		return fail(-EINVAL,
				"%s is a block device, which can only hold a "
				"raw disk: give --disk %s=%s,raw",
				item->path, item->file->target, item->path);
	CLEANUP_FD int fd = foreign_path_open(item->path, O_RDONLY);
	int err = fd < 0 ? fd : device_size(fd, &size);
	if (err < 0)
		return fail_errno(err, "getting the size of %s", item->path);
	if (size < item->file->size)
		return fail(-ENOSPC,
				"%s has %llu bytes, but %s needs %llu: use a "
				"larger device",
				item->path, (unsigned long long)size,
				item->file->name,
				(unsigned long long)item->file->size);
	return 0;
}

static int check_item(const struct restore_item *item, bool force)
{
	if (!item->exists || item->if_missing)
		return 0;
	if (!force && !item->optional)
		return fail(-EEXIST, "%s %s; --force %s", item->path,
				item->block_device ? "is a block device"
						   : "exists",
				item->block_device ? "overwrites it"
						   : "replaces it");
	int err = item->block_device ? check_device(item) : 0;
	return err < 0 ? err : check_lock(item);
}

/* --- domains --- */

static bool same_file(const struct stat *a, const struct stat *b)
{
	if (S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode))
		return a->st_rdev == b->st_rdev;
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

struct search {
	const struct restore_plan *plan;
	const struct restore_item *found;
};

static int is_target(void *ctx, const char *path)
{
	struct search *search = ctx;
	struct stat a, b;
	if (stat(path, &a) < 0)
		return 0;
	for (unsigned i = 0; i < search->plan->count; i++) {
		const struct restore_item *item = &search->plan->items[i];
		if (!item->exists || item->if_missing
				|| stat(item->path, &b) < 0
				|| !same_file(&a, &b))
			continue;
		search->found = item;
		return 1;
	}
	return 0;
}

/* 1: DOMAIN's inactive, or if ACTIVE its running definition names a target. */
static int names_target(struct search *search, struct domain *domain,
		bool active)
{
	CLEANUP_DOMAIN_XML struct domain_xml *xml = NULL;
	int err = domain_get_xml(domain,
			active ? DOMAIN_XML_CURRENT : DOMAIN_XML_INACTIVE,
			&xml);
	return err < 0 ? err : domain_paths_each(xml->doc, is_target, search);
}

/* The domain to restore: it is replaced, so it must be off. */
static int check_replaced(const struct domain_facts *facts, bool force)
{
	char shown[256];
	printable(shown, sizeof(shown), facts->name);
	if (!facts->shut_off)
		return fail(-EBUSY,
				"domain %s is %s: shut it off first, or "
				"restore it under another --name",
				shown, facts->state);
	if (facts->managed_save)
		return fail(-EBUSY,
				"domain %s has a managed save image, which "
				"would not match the restored disks: remove "
				"that first (virsh managedsave-remove)",
				shown);
	return force ? 0
		     : fail(-EEXIST,
				     "domain %s exists; --force replaces it "
				     "and its disks, --name restores it under "
				     "another name",
				     shown);
}

static int check_other(struct search *search, struct domain *domain,
		const struct domain_facts *facts)
{
	char shown[256];
	int err = 0;
	if (facts->id >= 0)
		err = names_target(search, domain, true);
	if (err == 0)
		err = names_target(search, domain, false);
	if (err == 1)
		err = fail(-EBUSY,
				"%s belongs to domain %s%s: give another path "
				"with --disk TARGET=PATH",
				search->found->path,
				printable(shown, sizeof(shown), facts->name),
				facts->id >= 0 ? ", which is running" : "");
	return err == -ENOENT ? 0 : err;
}

static int clash(const struct domain_facts *facts,
		const struct restore_plan *plan)
{
	char shown[256];
	printable(shown, sizeof(shown), facts->name);
	if (strcmp(facts->name, plan->name) == 0)
		return fail(-EEXIST,
				"libvirt has another domain named %s: undefine "
				"it, or give another --name",
				shown);
	return fail(-EEXIST,
			"libvirt has this domain under the name %s: undefine "
			"that, or leave out --same-identity",
			shown);
}

static int check_domain(struct search *search, struct domain *domain,
		bool force)
{
	const struct restore_plan *plan = search->plan;
	struct domain_facts f;
	int err = domain_facts(domain, &f);
	if (err < 0)
		return err == -ENOENT ? 0 : err;
	bool name = strcmp(f.name, plan->name) == 0;
	bool uuid = plan->same_identity && plan->snap->uuid != NULL
			&& strcasecmp(f.uuid, plan->snap->uuid) == 0;
	/* A definition replaces one of the same name and UUID only. */
	if (name && uuid)
		err = check_replaced(&f, force);
	else if (name || uuid)
		err = clash(&f, plan);
	else
		err = check_other(search, domain, &f);
	domain_facts_clear(&f);
	return err;
}

static int check_domains(const struct restore_plan *plan,
		struct connection *conn, bool force)
{
	struct search s = { .plan = plan };
	struct domain **list = NULL;
	unsigned count = 0;
	int err = domain_list(conn, &list, &count);
	for (unsigned i = 0; err == 0 && i < count; i++)
		err = check_domain(&s, list[i], force);
	domain_list_free(list, count);
	return err;
}

int restore_check_plan(struct restore_plan *plan, struct connection *conn,
		bool force)
{
	int err = conn != NULL ? check_domains(plan, conn, force) : 0;
	for (unsigned i = 0; err == 0 && i < plan->count; i++)
		err = check_item(&plan->items[i], force);
	return err;
}

int restore_check_plan_again(const struct restore_plan *plan,
		struct connection *conn, const char *path)
{
	int err = conn != NULL ? check_domains(plan, conn, true) : 0;
	for (unsigned i = 0; err == 0 && i < plan->count; i++)
		if (strcmp(plan->items[i].path, path) == 0)
			err = check_lock(&plan->items[i]);
	return err;
}
