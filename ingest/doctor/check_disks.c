/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which disks of guests can't be backed up, and which are read in full each
 * time although they need not be: as `amberfs domains` lists them. */
#include <stdio.h>
#include <string.h>

#include "doctor_libvirt.h"
#include "repo/base/error.h"
#include "repo/base/units.h"

static bool is_old_qcow2(const struct chain_file *image)
{
	const json_t *all = json_object_get(image->info, "format-specific");
	const char *compat = json_string_value(
			json_object_get(json_object_get(all, "data"),
					"compat"));
	return strcmp(image->format, "qcow2") == 0
			&& (compat == NULL || strcmp(compat, "0.10") == 0);
}

static void advise(struct doctor *doctor, const struct listed_domain *domain,
		const struct chain_file *image)
{
	char name[DOCTOR_QUOTE_MAX], path[DOCTOR_QUOTE_MAX];
	doctor_quote(name, domain->facts.name);
	doctor_quote(path, image->path);
	if (is_old_qcow2(image)) {
		doctor_means(doctor,
				"All of it is read in each backup of the "
				"running guest. While the guest is shut off:");
		doctor_command(doctor,
				"qemu-img amend -f qcow2 -o compat=1.1 "
				"%s",
				path);
	} else if (strcmp(image->format, "raw") == 0 && !image->block_device) {
		doctor_means(doctor,
				"All of it is read in each backup of the "
				"running guest; only new data is stored. A "
				"qcow2 image is read by its changes. While the "
				"guest is shut off (then change type and file "
				"of the disk):");
		doctor_command(doctor,
				"qemu-img convert -p -f raw -O qcow2 %s "
				"%s.qcow2",
				path, path);
		doctor_command(doctor, "virsh edit %s", name);
	} else {
		doctor_means(doctor,
				"All of it is read in each backup of the "
				"running guest; only new data is stored.");
	}
}

/* What can be changed is a warning. */
static bool can_be_mended(const struct chain *chain)
{
	const struct chain_file *image = &chain->files[0];
	return chain->count > 0
			&& (is_old_qcow2(image)
					|| (strcmp(image->format, "raw") == 0
							&& !image->block_device));
}

/* True if something was said. */
static bool check_disk(struct doctor *doctor,
		const struct listed_domain *domain,
		const struct listed_disk *disk)
{
	const struct disk_plan *plan = &disk->plan;
	char object[512];
	if (plan->empty || plan->removable)
		return false;
	snprintf(object, sizeof(object), "%s: %s", domain->facts.name,
			plan->target);
	if (disk->why_not != NULL) {
		doctor_found(doctor,
				plan->unsupported ? DOCTOR_WARNING
						  : DOCTOR_FAILURE,
				object, "can't be backed up: %s",
				disk->why_not);
		doctor_means(doctor,
				plan->unsupported ? "Backups are without it."
						  : "Backups are incomplete.");
		return true;
	}
	if (disk->why_full == NULL)
		return false;
	bool mend = can_be_mended(&plan->chain);
	doctor_found(doctor, mend ? DOCTOR_WARNING : DOCTOR_OK, object,
			"can be backed up, but not by its changes: %s",
			disk->why_full);
	if (plan->chain.count > 0)
		advise(doctor, domain, &plan->chain.files[0]);
	return true;
}

static void check_domain(struct doctor *doctor,
		const struct listed_domain *domain)
{
	char disks[COUNT_TEXT_MAX];
	unsigned said = 0, well = 0;
	if (domain->problem != NULL) {
		doctor_found(doctor, DOCTOR_FAILURE, domain->facts.name,
				"its disks can't be listed: %s",
				domain->problem);
		return;
	}
	for (unsigned i = 0; i < domain->disk_count; i++) {
		const struct listed_disk *disk = &domain->disks[i];
		bool spoke = check_disk(doctor, domain, disk);
		said += spoke;
		well += !spoke && !disk->plan.empty && !disk->plan.removable;
	}
	if (well > 0)
		doctor_found(doctor, DOCTOR_OK, domain->facts.name,
				"%s can be backed up, by what has changed",
				count_format(disks, well, "disk"));
	else if (said == 0)
		doctor_found(doctor, DOCTOR_OK, domain->facts.name,
				"it has no disks");
}

void check_disks(struct doctor *doctor)
{
	struct doctor_libvirt *shared = doctor->context;
	if (shared->conn == NULL)
		return;
	int err = listing_make(&shared->listing, shared->conn);
	if (err != 0) {
		doctor_found(doctor, DOCTOR_FAILURE, "guests",
				"they can't be listed: %s", error_text(err));
		return;
	}
	shared->listed = true;
	if (shared->listing.count == 0)
		doctor_found(doctor, DOCTOR_OK, "guests",
				"libvirt has none here");
	for (unsigned i = 0; i < shared->listing.count; i++)
		check_domain(doctor, &shared->listing.domains[i]);
}
