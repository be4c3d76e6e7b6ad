/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The checks that need no libvirt. Each is in check_*.c of its name. */
#ifndef AMBERFS_DOCTOR_CHECKS_H
#define AMBERFS_DOCTOR_CHECKS_H

#include "doctor.h"

/* In the order in which they run. The network comes before what lies behind it:
 * a share that does not answer stops whoever looks at its files. */
extern const struct doctor_check doctor_host_checks[], doctor_network_checks[],
		doctor_repository_checks[];

/* Host */
void check_fuse(struct doctor *doctor);
void check_allow_other(struct doctor *doctor);
void check_clock(struct doctor *doctor);
void check_memory_lock(struct doctor *doctor);
void check_lvm(struct doctor *doctor);

/* Network */
void check_filter(struct doctor *doctor);
void check_peers(struct doctor *doctor);
void check_drops(struct doctor *doctor);

/* Repository */
void check_open(struct doctor *doctor);
void check_key_file(struct doctor *doctor);
void check_key_slots(struct doctor *doctor);
void check_place(struct doctor *doctor);
void check_space(struct doctor *doctor);
void check_index(struct doctor *doctor);

#endif
