/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "interfaces.h"

#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "repo/base/cleanup.h"

int interfaces_setting(const char *name, const char *key, int fallback)
{
	char path[128], line[32];
	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/%s", name,
			key);
	FILE *f = fopen(path, "re");
	if (f == NULL)
		return fallback;
	int value = fgets(line, sizeof(line), f) != NULL
			? (int)strtol(line, NULL, 10)
			: fallback;
	fclose(f);
	return value;
}

const char *interfaces_sysctl(char out[SETTING_NAME_MAX], const char *name,
		const char *key)
{
	char dot = strchr(name, '.') != NULL ? '/' : '.';
	snprintf(out, SETTING_NAME_MAX, "net%cipv4%cconf%c%s%c%s", dot, dot,
			dot, name, dot, key);
	return out;
}

unsigned interfaces_mtu(unsigned index)
{
	struct ifreq request = { .ifr_mtu = 0 };
	CLEANUP_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || if_indextoname(index, request.ifr_name) == NULL
			|| ioctl(fd, SIOCGIFMTU, &request) < 0)
		return 0;
	return (unsigned)request.ifr_mtu;
}

static bool is_known(const struct interfaces *list, const char *name)
{
	for (unsigned i = 0; i < list->count; i++)
		if (strcmp(list->items[i].name, name) == 0)
			return true;
	return false;
}

static void add(struct interfaces *out, const char *name)
{
	struct interface *one = &out->items[out->count];
	int all = interfaces_setting("all", "rp_filter", 0);
	int own = interfaces_setting(name, "rp_filter", 0);
	int effective = own > all ? own : all;
	snprintf(one->name, sizeof(one->name), "%s", name);
	one->index = if_nametoindex(name);
	one->filter = effective == 1	 ? FILTER_STRICT
			: effective == 2 ? FILTER_LOOSE
					 : FILTER_OFF;
	one->mtu = interfaces_mtu(one->index);
	out->count += one->index != 0;
}

void interfaces_read(struct interfaces *out)
{
	struct ifaddrs *list = NULL;
	memset(out, 0, sizeof(*out));
	if (getifaddrs(&list) < 0)
		return;
	for (const struct ifaddrs *one = list; one != NULL;
			one = one->ifa_next) {
		const unsigned up = one->ifa_flags & (IFF_UP | IFF_LOOPBACK);
		if (one->ifa_addr == NULL || up != IFF_UP
				|| one->ifa_addr->sa_family != AF_INET
				|| out->count == INTERFACES_MAX)
			continue;
		/* An alias has the name "eth0:1". */
		char name[IF_NAMESIZE];
		snprintf(name, sizeof(name), "%.*s",
				(int)strcspn(one->ifa_name, ":"),
				one->ifa_name);
		if (!is_known(out, name))
			add(out, name);
	}
	freeifaddrs(list);
}
