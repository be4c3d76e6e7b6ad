/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether libvirt and qemu are able to back up running guests, by what has
 * changed since the last time alone. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "doctor_libvirt.h"
#include "repo/base/bytes.h"

#define VERSION_MAX 32

static const char *version(char out[VERSION_MAX], unsigned long number)
{
	snprintf(out, VERSION_MAX, "%lu.%lu.%lu", number / 1000000,
			number / 1000 % 1000, number % 1000);
	return number != 0 ? out : "unknown";
}

/* With modular daemons, storage pools and secrets have ones of their own. */
static void check_daemons(struct doctor *doctor)
{
	static const struct {
		const char *name, *purpose;
	} daemons[] = {
		{ "virtstoraged", "disks that are volumes of storage pools" },
		{ "virtsecretd", "encrypted disks" },
	};
	char socket[64];
	for (size_t i = 0; i < ARRAY_SIZE(daemons); i++) {
		snprintf(socket, sizeof(socket), "/run/libvirt/%s-sock",
				daemons[i].name);
		if (access(socket, F_OK) == 0)
			continue;
		doctor_found(doctor, DOCTOR_WARNING, daemons[i].name,
				"virtqemud runs, but not this daemon");
		doctor_means(doctor, "It is needed to back up %s.",
				daemons[i].purpose);
		doctor_command(doctor, "systemctl enable --now %s.socket",
				daemons[i].name);
	}
}

void check_versions(struct doctor *doctor)
{
	const struct doctor_libvirt *shared = doctor->context;
	struct connection_features features;
	char libvirt[VERSION_MAX], qemu[VERSION_MAX], text[128];
	if (shared->conn == NULL)
		return;
	connection_features(shared->conn, &features);
	bool system = strstr(connection_uri(shared->conn), "/system") != NULL;
	snprintf(text, sizeof(text), "libvirt %s%s, qemu %s",
			version(libvirt, features.libvirt),
			!system ? ""
					: features.modular
					? " (modular daemons)"
					: " (libvirtd)",
			version(qemu, features.qemu));
	if (features.incremental) {
		doctor_found(doctor, DOCTOR_OK, text,
				"running guests can be backed up, changes "
				"alone after the first time");
	} else {
		doctor_found(doctor, DOCTOR_FAILURE, text,
				"running guests can't be backed up, which "
				"needs libvirt 7.6 and qemu 6.1");
		doctor_means(doctor, "Guests that are shut off can be.");
		doctor_command(doctor,
				"apt-get install --only-upgrade "
				"libvirt-daemon qemu-system-x86");
	}
	if (system && features.modular)
		check_daemons(doctor);
}
