/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "doctor_libvirt.h"

static const struct doctor_check libvirt_checks[] = {
	{ "Libvirt", "connection", check_connection },
	{ "Libvirt", "versions", check_versions },
	{ "Libvirt", "apparmor", check_apparmor },
	{ NULL, NULL, NULL },
};

/* They open images, which may lie on the network. */
static const struct doctor_check guest_checks[] = {
	{ "Guests", "disks", check_disks },
	{ "Guests", "agents", check_agents },
	{ "Guests", "scratch", check_scratch },
	{ NULL, NULL, NULL },
};

int doctor_libvirt_main(int argc, char **argv)
{
	struct doctor_libvirt shared = { .conn = NULL };
	const struct doctor_more more = { .host = libvirt_checks,
		.guests = guest_checks,
		.context = &shared };
	int status = doctor_main(argc, argv, &more);
	if (shared.listed)
		listing_clear(&shared.listing);
	connection_close(shared.conn);
	return status;
}
