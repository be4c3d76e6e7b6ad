/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether a host answers, and how large a packet to it may be. Packets of no
 * consequence: a connection that is given up at once, and datagrams to a port
 * where nobody listens. Any answer will do, a refusal too. */
#ifndef AMBERFS_DOCTOR_PROBE_H
#define AMBERFS_DOCTOR_PROBE_H

#include "route.h"

enum probe_answer {
	PROBE_SILENT,
	PROBE_REFUSED, /* it answers, but nothing listens on that port */
	PROBE_ANSWERED,
	PROBE_UNREACHABLE, /* a router on the way says so */
};
/* Waits 3 s at most. */
enum probe_answer probe_tcp(const union address *to, unsigned port);

enum probe_size {
	PROBE_SIZE_UNKNOWN, /* it does not answer to datagrams at all */
	PROBE_SIZE_PASSES,
	PROBE_SIZE_SMALLER,  /* the way takes *FOUND bytes; senders are told */
	PROBE_SIZE_VANISHES, /* larger packets get lost without a word */
};
/* Whether packets of MTU bytes arrive. Waits 4 s at most. */
enum probe_size probe_size(const union address *to, unsigned mtu,
		unsigned *found);

#endif
