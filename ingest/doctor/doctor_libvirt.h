/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `amberfs doctor` on a host with libvirt: the checks of repo/doctor/, and those
 * of libvirt and its guests, which are in check_*.c here. */
#ifndef AMBERFS_INGEST_DOCTOR_DOCTOR_LIBVIRT_H
#define AMBERFS_INGEST_DOCTOR_DOCTOR_LIBVIRT_H

#include "ingest/commands/listing.h"
#include "ingest/libvirt/connection.h"
#include "repo/doctor/doctor.h"

/* What they share; doctor->context. */
struct doctor_libvirt {
	struct connection *conn; /* NULL: there is none; checks then say
				    nothing more */
	bool listed;
	struct listing listing; /* of all domains, if listed */
};

int doctor_libvirt_main(int argc, char **argv);

/* Libvirt */
void check_connection(struct doctor *doctor);
void check_versions(struct doctor *doctor);
void check_apparmor(struct doctor *doctor);

/* Guests */
void check_disks(struct doctor *doctor);
void check_agents(struct doctor *doctor);
void check_scratch(struct doctor *doctor);

#endif
