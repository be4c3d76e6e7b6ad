/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The rules that decide whether a disk can be backed up, with their reasons. */
#include "disk_plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/error.h"
#include "repo/format/name.h"

static int refuse(struct disk_plan *plan, const char *reason, bool exact_too)
{
	free(plan->why_not);
	plan->why_not = strdup(reason);
	if (plan->why_not == NULL)
		return -ENOMEM;
	if (!exact_too || plan->why_not_exact != NULL)
		return 0;
	plan->why_not_exact = strdup(reason);
	return plan->why_not_exact != NULL ? 0 : -ENOMEM;
}

/* Reasons that follow from the XML alone. NULL: none. */
static const char *refused_by_form(const struct domain_disk *disk)
{
	if (disk->transient)
		return "it is transient: the domain discards its changes";
	switch (disk->source.type) {
	case SOURCE_FILE:
	case SOURCE_BLOCK:
	case SOURCE_VOLUME:
		break;
	case SOURCE_NETWORK:
		return "it is a network disk, not a file or block "
		       "device on this host";
	case SOURCE_DIR:
		return "it is a directory shown as a FAT disk; back "
		       "up the directory as files";
	case SOURCE_NVME:
		return "it is an NVMe device passed through to the guest";
	case SOURCE_VHOSTUSER:
		return "it is served by another process (vhost-user)";
	case SOURCE_VHOSTVDPA:
		return "it is a vDPA device of the host";
	default:
		return "this version does not know its type of source";
	}
	return NULL;
}

/* 0: no image of it has one; else as refuse(), *REFUSED set. */
static int refuse_data_store(struct disk_plan *plan, bool *refused)
{
	const struct disk_source *source = &plan->disk->source;
	char shown[256], text[512];
	while (source != NULL && source->data_store == NULL)
		source = source->backing;
	*refused = source != NULL;
	if (source == NULL)
		return 0;
	name_display(shown, sizeof(shown), source->data_store);
	snprintf(text, sizeof(text),
			"one of its images keeps its data in another file (the "
			"<dataStore>%s%s), which amberfs does not support; use "
			"qemu-img convert to make it one file",
			*shown != '\0' ? " " : "", shown);
	plan->unsupported = true;
	return refuse(plan, text, true);
}

static int refuse_encrypted(struct disk_plan *plan)
{
	for (unsigned i = 0; i < plan->chain.count; i++)
		if (plan->chain.files[i].encrypted) {
			plan->unsupported = true;
			return refuse(plan,
					"it is encrypted and only libvirt has "
					"the key; --exact stores the image "
					"files as they are",
					false);
		}
	return 0;
}

static int plan_present(struct disk_plan *plan, struct connection *conn,
		unsigned flags)
{
	const char *reason = refused_by_form(plan->disk);
	int err;
	plan->unsupported = reason != NULL;
	if (reason != NULL)
		return refuse(plan, reason, true);
	bool refused;
	err = refuse_data_store(plan, &refused);
	if (err != 0 || refused)
		return err;
	err = chain_resolve(&plan->chain, &plan->disk->source, conn, flags);
	if (err == -ENOMEM)
		return err;
	if (err != 0)
		return refuse(plan, error_text(err), true);
	plan->plain = chain_is_plain(&plan->chain);
	return refuse_encrypted(plan);
}

int disk_plan_make(struct disk_plan *plan, const struct domain_disk *disk,
		struct connection *conn, unsigned flags)
{
	int err;
	memset(plan, 0, sizeof(*plan));
	plan->disk = disk;
	plan->target = disk->target;
	plan->removable = disk->device == DEVICE_CDROM
			|| disk->device == DEVICE_FLOPPY;
	plan->empty = !disk->source.present;
	if (plan->empty)
		err = refuse(plan, "there is no medium in it", true);
	else
		err = plan_present(plan, conn, flags);
	if (err != 0)
		disk_plan_clear(plan);
	return err;
}

void disk_plan_clear(struct disk_plan *plan)
{
	free(plan->why_not);
	free(plan->why_not_exact);
	chain_clear(&plan->chain);
	memset(plan, 0, sizeof(*plan));
}
