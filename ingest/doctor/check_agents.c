/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether the agents of running guests answer, who freeze their filesystems for
 * the moment of a backup. */
#include <string.h>

#include "doctor_libvirt.h"
#include "ingest/libvirt/domain_agent.h"
#include "ingest/live/live_guest.h"
#include "repo/base/error.h"

static void report_missing(struct doctor *doctor, const char *name)
{
	char quoted[DOCTOR_QUOTE_MAX];
	doctor_found(doctor, DOCTOR_WARNING, name,
			"it has no channel to a guest agent");
	doctor_means(doctor,
			"Its filesystems are not frozen for backups, which are "
			"as after a power cut. This adds the channel from the next "
			"start on; the guest needs the package qemu-guest-agent.");
	doctor_command(doctor,
			"echo \"<channel type='unix'><target type='virtio' "
			"name='org.qemu.guest_agent.0'/></channel>\" | virsh "
			"attach-device %s /dev/stdin --config",
			doctor_quote(quoted, name));
}

static void check_agent(struct doctor *doctor, const char *uri,
		const struct listed_domain *domain)
{
	const char *name = domain->facts.name;
	struct live_guest *guest;
	if (domain->xml == NULL || !domain_agent_has_channel(domain->xml)) {
		report_missing(doctor, name);
		return;
	}
	int err = live_guest_open(&guest, uri, domain->facts.uuid);
	if (err != 0) {
		doctor_found(doctor, DOCTOR_WARNING, name,
				"its guest agent can't be asked: %s",
				error_text(err));
		doctor_means(doctor,
				"Running guests are backed up by root, or "
				"by a user of the group libvirt.");
		return;
	}
	if (live_guest_agent(guest)) {
		doctor_found(doctor, DOCTOR_OK, name,
				"its guest agent answers");
	} else {
		doctor_found(doctor, DOCTOR_WARNING, name, "%s",
				error_text(-1));
		doctor_means(doctor,
				"Its filesystems are not frozen for backups, "
				"which are as after a power cut. In the guest:");
		doctor_command(doctor, "apt-get install qemu-guest-agent");
	}
	live_guest_close(guest);
}

void check_agents(struct doctor *doctor)
{
	const struct doctor_libvirt *shared = doctor->context;
	if (!shared->listed)
		return;
	for (unsigned i = 0; i < shared->listing.count; i++) {
		const struct listed_domain *one = &shared->listing.domains[i];
		if (strcmp(one->facts.state, "running") == 0)
			check_agent(doctor, connection_uri(shared->conn), one);
	}
}
