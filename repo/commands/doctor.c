/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `amberfs doctor` where there is no libvirt. With it, amberfs-ingest does the
 * same and more (ingest/doctor/). */
#include "repo/doctor/doctor.h"
#include "command.h"

int command_doctor(int argc, char **argv)
{
	return doctor_main(argc, argv, NULL);
}
