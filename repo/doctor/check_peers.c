/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The way to each host that backups depend on. It is tried, and the kernel is
 * asked for the route. Where no answer comes while the reverse-path filter drops
 * packets, the kernel is asked of each interface with a strict filter whether
 * it would take a packet of that host: only the way back is in doubt then, and
 * by which interface it leads can't be seen from here.
 */
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "checks.h"
#include "drops.h"
#include "interfaces.h"
#include "peers.h"
#include "probe.h"
#include "repo/base/units.h"
#include "sysctl_advice.h"

#define TEST_ADDRESS 0xC0000201 /* 192.0.2.1, in use nowhere (RFC 5737) */

struct way {
	struct peer peer;
	union address address;
	char text[ADDRESS_TEXT_MAX]; /* of the address */
	char object[512];	     /* of the findings */
	struct route route;
	char interface[IF_NAMESIZE]; /* that packets leave by */
	enum probe_answer answer;
	uint64_t dropped; /* packets, during the probe */
};

/* --- a way that works --- */

static void report_vanishing(struct doctor *doctor, const struct way *way,
		unsigned mtu)
{
	bool probing = sysctl_advice_number("net.ipv4.tcp_mtu_probing") > 0;
	doctor_found(doctor, probing ? DOCTOR_OK : DOCTOR_WARNING, way->object,
			"packets of %u bytes, the size that %s takes, get lost "
			"on the way without a word; small ones arrive%s",
			mtu, way->interface,
			probing ? "; tcp_mtu_probing finds smaller ones" : "");
	if (probing)
		return;
	doctor_means(doctor,
			"Transfers stop after the first bytes. This makes TCP "
			"find a size that arrives:");
	sysctl_advice(doctor, "net.ipv4.tcp_mtu_probing", "1");
}

static void report_answer(struct doctor *doctor, const struct way *way)
{
	char source[ADDRESS_TEXT_MAX] = "?", size[160] = "";
	unsigned found = 0, mtu = way->route.mtu;
	if (mtu == 0)
		mtu = interfaces_mtu(way->route.interface);
	enum probe_size fits = probe_size(&way->address, mtu, &found);
	if (way->route.has_source)
		address_format(source, &way->route.source);
	if (fits == PROBE_SIZE_PASSES)
		snprintf(size, sizeof(size), "; packets of %u bytes arrive",
				mtu);
	else if (fits == PROBE_SIZE_SMALLER)
		snprintf(size, sizeof(size),
				"; the way takes packets of %u bytes (%s: %u)",
				found, way->interface, mtu);
	else if (fits == PROBE_SIZE_UNKNOWN)
		snprintf(size, sizeof(size),
				"; the packet size can't be checked, as it does "
				"not answer to datagrams");
	doctor_found(doctor, DOCTOR_OK, way->object,
			"answers (port %u%s); sent through %s as %s%s",
			way->peer.port,
			way->answer == PROBE_REFUSED ? ", where nothing listens"
						     : "",
			way->interface, source, size);
	if (fits == PROBE_SIZE_VANISHES)
		report_vanishing(doctor, way, mtu);
}

/* --- a way that does not --- */

/* The interfaces with a strict filter that drop what comes from there. */
static void find_suspects(const struct way *way, struct interfaces *list)
{
	unsigned n = 0;
	interfaces_read(list);
	for (unsigned i = 0; i < list->count; i++)
		if (list->items[i].filter == FILTER_STRICT
				&& list->items[i].index
						!= way->route.interface && route_drops(&way->address, &way->route.source, list->items[i].index))
			list->items[n++] = list->items[i];
	list->count = n;
}

static bool find_default(struct route *out)
{
	union address outside = {
		.v4 = { .sin_family = AF_INET,
				.sin_addr.s_addr = htonl(TEST_ADDRESS) }
	};
	return route_find(out, &outside) == 0 && out->has_gateway;
}

static void advise(struct doctor *doctor, const struct way *way,
		const struct interface *suspect)
{
	struct route outside;
	char name[SETTING_NAME_MAX], gateway[ADDRESS_TEXT_MAX];
	if (find_default(&outside) && outside.interface == suspect->index) {
		doctor_means(doctor,
				"%s has the default route. If it faces the "
				"internet, a loose filter there would take "
				"packets with forged senders (RFC 3704), so "
				"send through it, too, and see that this route "
				"is set at each start.",
				suspect->name);
		doctor_command(doctor, "ip route replace %s via %s dev %s",
				way->text,
				address_format(gateway, &outside.gateway),
				suspect->name);
		return;
	}
	doctor_means(doctor,
			"A loose filter takes them: it drops only what comes "
			"from hosts that no interface leads to. Not for an "
			"interface that faces the internet (RFC 3704): change "
			"the routes there, so that both directions use one "
			"interface.");
	sysctl_advice(doctor,
			interfaces_sysctl(name, suspect->name, "rp_filter"),
			"2");
}

static void report_dropped(struct doctor *doctor, const struct way *way,
		const struct interface *suspect)
{
	char packets[COUNT_TEXT_MAX];
	doctor_found(doctor, DOCTOR_FAILURE, way->object,
			"no answer to what is sent through %s, while the "
			"kernel dropped %s: answers that arrive on %s are "
			"dropped by the strict reverse-path filter there, as "
			"the way to %s is not through %s",
			way->interface,
			count_format(packets, way->dropped, "packet"),
			suspect->name, way->text, suspect->name);
	advise(doctor, way, suspect);
}

static void report_silence(struct doctor *doctor, const struct way *way)
{
	doctor_found(doctor, DOCTOR_WARNING, way->object,
			"no answer on port %u to what is sent through %s",
			way->peer.port, way->interface);
	doctor_means(doctor,
			"It is off, or a firewall in between drops packets; "
			"the kernel here dropped none by its reverse-path "
			"filter. Another port can be tried with --peer "
			"HOST:PORT.");
}

static void report_no_answer(struct doctor *doctor, const struct way *way)
{
	static struct interfaces suspects;
	suspects.count = 0;
	if (way->dropped > 0 && way->address.any.sa_family == AF_INET
			&& way->route.has_source)
		find_suspects(way, &suspects);
	for (unsigned i = 0; i < suspects.count; i++)
		report_dropped(doctor, way, &suspects.items[i]);
	if (suspects.count == 0)
		report_silence(doctor, way);
}

/* --- one after the other --- */

static void try_way(struct doctor *doctor, struct way *way)
{
	struct drops before, after;
	int err = route_find(&way->route, &way->address);
	if (err < 0) {
		doctor_found(doctor, DOCTOR_FAILURE, way->object,
				"there is no route to it: %s", strerror(-err));
		doctor_means(doctor, "It can't be reached from this host.");
		return;
	}
	if (way->route.local) {
		doctor_found(doctor, DOCTOR_OK, way->object,
				"is this host itself");
		return;
	}
	if (if_indextoname(way->route.interface, way->interface) == NULL)
		snprintf(way->interface, sizeof(way->interface), "?");
	drops_read(&before);
	way->answer = probe_tcp(&way->address, way->peer.port);
	drops_read(&after);
	way->dropped = drops_between(&before, &after);
	if (way->answer == PROBE_SILENT)
		report_no_answer(doctor, way);
	else if (way->answer == PROBE_UNREACHABLE)
		doctor_found(doctor, DOCTOR_FAILURE, way->object,
				"a router or firewall on the way through %s "
				"says that it can't be reached",
				way->interface);
	else
		report_answer(doctor, way);
}

/* Each address that is of use once. */
static void try_peer(struct doctor *doctor, const struct peer *peer)
{
	struct addrinfo *list = NULL;
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_ADDRCONFIG };
	struct way way = { .peer = *peer };
	int err = getaddrinfo(peer->host, NULL, &hints, &list);
	if (err != 0) {
		snprintf(way.object, sizeof(way.object), "way to %s (%s)",
				peer->host, peer->why);
		doctor_found(doctor, DOCTOR_FAILURE, way.object,
				"its name can't be resolved: %s",
				gai_strerror(err));
		doctor_means(doctor,
				"It can't be reached by this name; see "
				"/etc/hosts and /etc/resolv.conf.");
		return;
	}
	for (const struct addrinfo *one = list; one != NULL;
			one = one->ai_next) {
		memset(&way.address, 0, sizeof(way.address));
		memcpy(&way.address, one->ai_addr, one->ai_addrlen);
		address_format(way.text, &way.address);
		bool named = strcmp(way.text, peer->host) != 0;
		snprintf(way.object, sizeof(way.object), "way to %s%s%s (%s)",
				named ? peer->host : "", named ? ", " : "",
				way.text, peer->why);
		try_way(doctor, &way);
	}
	freeaddrinfo(list);
}

void check_peers(struct doctor *doctor)
{
	struct peer peer;
	for (size_t i = 0; peers_next(doctor, &i, &peer);)
		try_peer(doctor, &peer);
	if (json_array_size(doctor->peers) == 0)
		doctor_found(doctor, DOCTOR_OK, "other hosts",
				"none is needed by what is known here; --peer "
				"HOST checks the way to one");
}
