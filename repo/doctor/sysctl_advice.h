/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands that change a setting of the kernel now and at each start. */
#ifndef AMBERFS_DOCTOR_SYSCTL_ADVICE_H
#define AMBERFS_DOCTOR_SYSCTL_ADVICE_H

#include "doctor.h"

void sysctl_advice(struct doctor *doctor, const char *name, const char *value);

/* The number that the setting NAME has; 0: none. */
long sysctl_advice_number(const char *name);

#endif
