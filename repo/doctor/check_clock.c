/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether somebody keeps the clock right, as the kernel was told. */
#include <sys/timex.h>
#include <unistd.h>

#include "checks.h"

void check_clock(struct doctor *doctor)
{
	struct timex now = { .modes = 0 };
	int state = adjtimex(&now);
	if (state >= 0 && state != TIME_ERROR
			&& (now.status & STA_UNSYNC) == 0) {
		doctor_found(doctor, DOCTOR_OK, "clock",
				"is synchronised with other clocks");
		return;
	}
	doctor_found(doctor, DOCTOR_WARNING, "clock",
			"is not synchronised with other clocks");
	doctor_means(doctor,
			"Snapshots are named by the time, and rotation, pins "
			"and minimum ages count by it.");
	if (access("/usr/sbin/chronyd", X_OK) == 0)
		doctor_command(doctor, "systemctl enable --now chrony");
	else if (access("/lib/systemd/systemd-timesyncd", X_OK) == 0)
		doctor_command(doctor, "timedatectl set-ntp true");
	else
		doctor_command(doctor, "apt-get install systemd-timesyncd");
}
