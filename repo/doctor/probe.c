/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "repo/base/cleanup.h"

#define TCP_MS 3000
#define UDP_MS 1000
#define UDP_PORT 33434 /* of traceroute, where nobody listens */
#define UDP_TRIES 2

static union address at_port(const union address *to, unsigned port,
		socklen_t *len)
{
	union address out = *to;
	bool v4 = to->any.sa_family == AF_INET;
	if (v4)
		out.v4.sin_port = htons((uint16_t)port);
	else
		out.v6.sin6_port = htons((uint16_t)port);
	*len = v4 ? sizeof(out.v4) : sizeof(out.v6);
	return out;
}

static int error_of(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	return err;
}

static enum probe_answer meaning(int err)
{
	switch (err) {
	case 0:
		return PROBE_ANSWERED;
	case ECONNREFUSED:
	case ECONNRESET:
		return PROBE_REFUSED;
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EACCES:
		return PROBE_UNREACHABLE;
	default:
		return PROBE_SILENT;
	}
}

enum probe_answer probe_tcp(const union address *to, unsigned port)
{
	socklen_t len;
	union address there = at_port(to, port, &len);
	CLEANUP_FD int fd = socket(to->any.sa_family,
			SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return PROBE_SILENT;
	if (connect(fd, &there.any, len) == 0)
		return PROBE_ANSWERED;
	if (errno != EINPROGRESS)
		return meaning(errno);
	struct pollfd wait = { .fd = fd, .events = POLLOUT };
	if (poll(&wait, 1, TCP_MS) <= 0)
		return PROBE_SILENT;
	return meaning(error_of(fd));
}

/* Sends SIZE bytes; true: the other end says that nobody listens. */
static bool is_refused(int fd, size_t size)
{
	static const char zeros[65536];
	for (int i = 0; i < UDP_TRIES; i++) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		if (send(fd, zeros, size, 0) < 0)
			return errno == ECONNREFUSED;
		if (poll(&wait, 1, UDP_MS) > 0)
			return error_of(fd) == ECONNREFUSED;
	}
	return false;
}

static unsigned known_mtu(int fd, bool v4)
{
	int mtu = 0;
	socklen_t len = sizeof(mtu);
	if (getsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6,
			    v4 ? IP_MTU : IPV6_MTU, &mtu, &len)
			< 0)
		return 0;
	return (unsigned)mtu;
}

static int open_udp(const union address *to, bool v4)
{
	socklen_t len;
	union address there = at_port(to, UDP_PORT, &len);
	int discover = v4 ? IP_PMTUDISC_DO : IPV6_PMTUDISC_DO;
	CLEANUP_FD int fd =
			socket(to->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, &there.any, len) < 0
			|| setsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6,
					   v4 ? IP_MTU_DISCOVER
					      : IPV6_MTU_DISCOVER,
					   &discover, sizeof(discover))
					< 0)
		return -1;
	return take_fd(&fd);
}

enum probe_size probe_size(const union address *to, unsigned mtu,
		unsigned *found)
{
	bool v4 = to->any.sa_family == AF_INET;
	unsigned headers = (v4 ? 20 : 40) + 8;
	CLEANUP_FD int fd = open_udp(to, v4);
	if (fd < 0 || mtu <= headers || mtu > 65000 || !is_refused(fd, 1))
		return PROBE_SIZE_UNKNOWN;
	bool passes = is_refused(fd, mtu - headers);
	*found = known_mtu(fd, v4);
	if (passes)
		return PROBE_SIZE_PASSES;
	/* A router has told, and the kernel took note. */
	if (*found != 0 && *found < mtu)
		return PROBE_SIZE_SMALLER;
	return PROBE_SIZE_VANISHES;
}
