/* SPDX-License-Identifier: GPL-3.0-or-later */
/* This host's network interfaces, and the filter of each that drops packets
 * whose sender would not be answered through it (RFC 3704). */
#ifndef AMBERFS_DOCTOR_INTERFACES_H
#define AMBERFS_DOCTOR_INTERFACES_H

#include <net/if.h>
#include <stdbool.h>

#define INTERFACES_MAX 256u

enum filter_mode { FILTER_OFF, FILTER_STRICT, FILTER_LOOSE, FILTER_MODES };

struct interface {
	char name[IF_NAMESIZE];
	unsigned index;
	enum filter_mode
			filter; /* in effect: the larger of all's and its own */
	unsigned mtu;
};

/* Those that are up and have an IPv4 address, without lo. */
struct interfaces {
	unsigned count;
	struct interface items[INTERFACES_MAX];
};
void interfaces_read(struct interfaces *out);

/* "0" or the like; DEFAULT if there is no such setting. NAME: an interface,
 * "all"; KEY: of net.ipv4.conf. */
int interfaces_setting(const char *name, const char *key, int fallback);

/* The setting's name for sysctl(8), in which the dots of an interface's name
 * would be taken for others. Returns OUT. */
#define SETTING_NAME_MAX 96
const char *interfaces_sysctl(char out[SETTING_NAME_MAX], const char *name,
		const char *key);

/* 0: unknown. */
unsigned interfaces_mtu(unsigned index);

#endif
