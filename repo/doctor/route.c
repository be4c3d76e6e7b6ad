/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One request RTM_GETROUTE and its answer, as `ip route get` does it. */
#include "route.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <string.h>

struct question {
	const union address *to, *from; /* FROM may be NULL */
	unsigned interface; /* that it arrives on; 0: sent from here */
};

static const void *bytes_of(const union address *address, uint8_t *bits)
{
	bool v4 = address->any.sa_family == AF_INET;
	*bits = v4 ? 32 : 128;
	return v4 ? (const void *)&address->v4.sin_addr
		  : (const void *)&address->v6.sin6_addr;
}

const char *address_format(char out[ADDRESS_TEXT_MAX],
		const union address *address)
{
	uint8_t bits;
	const void *bytes = bytes_of(address, &bits);
	if (inet_ntop(address->any.sa_family, bytes, out, ADDRESS_TEXT_MAX)
			== NULL)
		strcpy(out, "?");
	return out;
}

static void put_address(struct nlmsghdr *message, uint16_t type,
		const union address *address, uint8_t *bits)
{
	const void *bytes = bytes_of(address, bits);
	mnl_attr_put(message, type, *bits / 8, bytes);
}

static void ask(struct nlmsghdr *message, const struct question *question)
{
	message->nlmsg_type = RTM_GETROUTE;
	message->nlmsg_flags = NLM_F_REQUEST;
	message->nlmsg_seq = 1;
	struct rtmsg *route =
			mnl_nlmsg_put_extra_header(message, sizeof(*route));
	route->rtm_family = (uint8_t)question->to->any.sa_family;
	put_address(message, RTA_DST, question->to, &route->rtm_dst_len);
	if (question->from != NULL)
		put_address(message, RTA_SRC, question->from,
				&route->rtm_src_len);
	if (question->interface != 0)
		mnl_attr_put_u32(message, RTA_IIF, question->interface);
}

static bool take_address(union address *out, uint8_t family,
		const struct nlattr *attribute)
{
	size_t len = family == AF_INET ? 4 : 16;
	if (mnl_attr_get_payload_len(attribute) != len)
		return false;
	memset(out, 0, sizeof(*out));
	out->any.sa_family = family;
	memcpy(family == AF_INET ? (void *)&out->v4.sin_addr
				 : (void *)&out->v6.sin6_addr,
			mnl_attr_get_payload(attribute), len);
	return true;
}

static void take_metrics(struct route *out, const struct nlattr *nest)
{
	const struct nlattr *attribute;
	mnl_attr_for_each_nested(attribute,
			nest) if (mnl_attr_get_type(attribute) == RTAX_MTU
			&& mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0)
			out->mtu = mnl_attr_get_u32(attribute);
}

static int take(const struct nlmsghdr *message, void *ctx)
{
	struct route *out = ctx;
	const struct rtmsg *route = mnl_nlmsg_get_payload(message);
	const struct nlattr *attribute;
	if (message->nlmsg_type != RTM_NEWROUTE
			|| mnl_nlmsg_get_payload_len(message) < sizeof(*route))
		return MNL_CB_OK;
	out->local = route->rtm_type == RTN_LOCAL;
	mnl_attr_for_each(attribute, message, sizeof(*route))
	{
		uint16_t type = mnl_attr_get_type(attribute);
		if (type == RTA_OIF
				&& mnl_attr_validate(attribute, MNL_TYPE_U32)
						>= 0)
			out->interface = mnl_attr_get_u32(attribute);
		else if (type == RTA_PREFSRC)
			out->has_source = take_address(&out->source,
					route->rtm_family, attribute);
		else if (type == RTA_GATEWAY)
			out->has_gateway = take_address(&out->gateway,
					route->rtm_family, attribute);
		else if (type == RTA_METRICS)
			take_metrics(out, attribute);
	}
	return MNL_CB_STOP;
}

static int exchange(struct mnl_socket *socket, const struct question *question,
		struct route *out)
{
	char buffer[8192] __attribute__((aligned(NLMSG_ALIGNTO))) = { 0 };
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	ask(message, question);
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0
			|| mnl_socket_sendto(socket, message,
					   message->nlmsg_len)
					< 0)
		return -errno;
	ssize_t n = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
	if (n < 0)
		return -errno;
	if (mnl_cb_run(buffer, (size_t)n, 1, mnl_socket_get_portid(socket),
			    take, out)
			< 0)
		return -errno;
	return 0;
}

static int get(const struct question *question, struct route *out)
{
	memset(out, 0, sizeof(*out));
	struct mnl_socket *socket =
			mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (socket == NULL)
		return -errno;
	int err = exchange(socket, question, out);
	mnl_socket_close(socket);
	return err;
}

int route_find(struct route *out, const union address *to)
{
	const struct question question = { .to = to };
	return get(&question, out);
}

bool route_drops(const union address *from, const union address *to,
		unsigned interface)
{
	struct route unused;
	const struct question question = { .to = to,
		.from = from,
		.interface = interface };
	int err = get(&question, &unused);
	/* Since Linux 6.14 the reason is not told any more. */
	return err == -EXDEV || err == -EINVAL;
}
