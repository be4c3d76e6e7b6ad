/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The kernel's own answers about ways through the network, over rtnetlink. Uses
 * libmnl: the small library below iproute2 and nftables, which does the packing
 * and checking of netlink messages and nothing else.
 */
#ifndef AMBERFS_DOCTOR_ROUTE_H
#define AMBERFS_DOCTOR_ROUTE_H

#include <netinet/in.h>
#include <stdbool.h>

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_storage storage;
};

#define ADDRESS_TEXT_MAX INET6_ADDRSTRLEN
/* Without the port. Returns OUT. */
const char *address_format(char out[ADDRESS_TEXT_MAX],
		const union address *address);

struct route {
	bool local;	    /* to this host itself */
	unsigned interface; /* index; 0: none */
	bool has_source, has_gateway;
	union address source, gateway;
	unsigned mtu; /* of the route, if one was set or found; 0: none */
};

/* The way of packets from here to TO. 0, -ENETUNREACH, -EHOSTUNREACH …; no
 * text. */
int route_find(struct route *out, const union address *to);

/* Whether a packet FROM that host that arrives for TO, an address of ours, on
 * INTERFACE would be dropped by the reverse-path filter. (The kernel counts such
 * a question as if the packet had come.) */
bool route_drops(const union address *from, const union address *to,
		unsigned interface);

#endif
