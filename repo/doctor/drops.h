/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How many packets the reverse-path filter has dropped since the host was
 * started, by the kernel's own counts. */
#ifndef AMBERFS_DOCTOR_DROPS_H
#define AMBERFS_DOCTOR_DROPS_H

#include <stdint.h>

/*
 * IPReversePathFilter of /proc/net/netstat is of this network namespace, but
 * some kernels (6.18) leave it at 0 while packets are dropped. in_martian_src of
 * /proc/net/stat/rt_cache counts them there, of the whole host, with other
 * packets whose sender can't be true.
 */
struct drops {
	uint64_t filter, martian;
};
void drops_read(struct drops *out);

/* The packets dropped between the two: the larger of both counts. */
uint64_t drops_between(const struct drops *before, const struct drops *after);

#endif
