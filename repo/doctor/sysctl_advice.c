/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sysctl_advice.h"

#include <stdio.h>
#include <stdlib.h>

#define FILE_FOR_GOOD "/etc/sysctl.d/90-amberfs.conf"

void sysctl_advice(struct doctor *doctor, const char *name, const char *value)
{
	doctor_command(doctor, "sysctl -w %s=%s", name, value);
	doctor_command(doctor, "echo '%s = %s' >>" FILE_FOR_GOOD, name, value);
}

long sysctl_advice_number(const char *name)
{
	char path[256], line[32] = "";
	int n = snprintf(path, sizeof(path), "/proc/sys/%s", name);
	for (int i = sizeof("/proc/sys"); i < n; i++)
		if (path[i] == '.')
			path[i] = '/';
	FILE *f = fopen(path, "re");
	if (f == NULL)
		return 0;
	long value = fgets(line, sizeof(line), f) != NULL
			? strtol(line, NULL, 10)
			: 0;
	fclose(f);
	return value;
}
