/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Starting, watching and stopping a guest that is only ours. */
#include "transient_guest.h"

#include <errno.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/units.h"

#define AGENT_SECONDS 3
#define SCREEN_MAX (64 * MIB)
#define READ_SIZE ((size_t)256 << 10)

struct transient_guest {
	virConnectPtr connection;
	virDomainPtr domain;
};

/* The kernel's estimate of the available memory; UINT64_MAX: unknown. */
static uint64_t memory_to_spare(void)
{
	static const char label[] = "MemAvailable:";
	FILE *f = fopen("/proc/meminfo", "re");
	uint64_t bytes = UINT64_MAX;
	char line[128];
	while (f != NULL && bytes == UINT64_MAX
			&& fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, label, sizeof(label) - 1) == 0)
			bytes = strtoull(line + sizeof(label) - 1, NULL, 10)
					* KIB;
	if (f != NULL)
		fclose(f);
	return bytes;
}

/* It is still paused, so it has not touched its memory yet. */
static int check_memory(struct transient_guest *guest)
{
	uint64_t spare = memory_to_spare();
	char want[SIZE_TEXT_MAX];
	char have[SIZE_TEXT_MAX];
	virDomainInfo info;
	if (virDomainGetInfo(guest->domain, &info) < 0)
		return connection_fail(-EIO,
				"cannot get the guest's memory size from "
				"libvirt");
	if ((uint64_t)info.maxMem * KIB <= spare)
		return 0;
	return fail(-ENOMEM,
			"it needs %s of memory and this host has %s available: "
			"give it less with --memory, or prove it on another "
			"host",
			size_format(want, (uint64_t)info.maxMem * KIB),
			size_format(have, spare));
}

static int let_run(struct transient_guest *guest)
{
	int err = check_memory(guest);
	if (err == 0 && virDomainResume(guest->domain) < 0)
		err = connection_fail(-EIO, "libvirt cannot start it");
	/* An agent that hangs must not block us. Older libvirt can't set
	 * this. */
	virDomainAgentSetResponseTimeout(guest->domain, AGENT_SECONDS, 0);
	return err;
}

int transient_guest_start(struct transient_guest **out, struct connection *conn,
		const char *xml)
{
	struct transient_guest *guest = calloc(1, sizeof(*guest));
	struct error_copy why;
	int err = 0;
	if (guest == NULL)
		return -ENOMEM;
	guest->connection = connection_handle(conn);
	guest->domain = virDomainCreateXML(guest->connection, xml,
			VIR_DOMAIN_START_AUTODESTROY | VIR_DOMAIN_START_PAUSED);
	if (guest->domain == NULL) {
		free(guest);
		return connection_fail(-EIO, "libvirt cannot start it");
	}
	err = let_run(guest);
	if (err != 0) {
		error_save(&why, err);
		transient_guest_end(guest);
		return error_load(&why);
	}
	*out = guest;
	return 0;
}

static int destroy(virDomainPtr d)
{
	if (virDomainDestroy(d) == 0)
		return 0;
	switch (virGetLastErrorCode()) {
	case VIR_ERR_NO_DOMAIN:
	case VIR_ERR_OPERATION_INVALID: /* it is off */
		return 0;
	default:
		return connection_fail(-EIO, "libvirt cannot stop the guest %s",
				virDomainGetName(d));
	}
}

int transient_guest_end(struct transient_guest *guest)
{
	int err = 0;
	if (guest == NULL)
		return 0;
	err = destroy(guest->domain);
	virDomainFree(guest->domain);
	free(guest);
	return err;
}

static const char *stuck(int state, int reason)
{
	if (state == VIR_DOMAIN_CRASHED)
		return "it crashed";
	if (state != VIR_DOMAIN_PAUSED)
		return NULL;
	switch (reason) {
	case VIR_DOMAIN_PAUSED_IOERROR:
		return "it was paused by a disk I/O error (is the "
		       "repository damaged, or the file system of its "
		       "overlay full?)";
	case VIR_DOMAIN_PAUSED_CRASHED:
		return "it crashed";
	case VIR_DOMAIN_PAUSED_WATCHDOG:
		return "its watchdog device paused it";
	case VIR_DOMAIN_PAUSED_USER:
		return "another client paused it";
	default:
		return NULL;
	}
}

int transient_guest_state(struct transient_guest *guest, const char **why)
{
	int state = 0;
	int reason = 0;
	if (virDomainGetState(guest->domain, &state, &reason, 0) < 0) {
		if (virGetLastErrorCode() == VIR_ERR_NO_DOMAIN)
			return GUEST_ENDED;
		return connection_fail(-EIO,
				"cannot get the guest's state from libvirt");
	}
	if (state == VIR_DOMAIN_SHUTOFF)
		return GUEST_ENDED;
	*why = stuck(state, reason);
	return *why != NULL ? GUEST_STUCK : GUEST_RUNS;
}

int transient_guest_agent(struct transient_guest *guest)
{
	long long seconds = 0;
	unsigned nseconds = 0;
	if (virDomainGetTime(guest->domain, &seconds, &nseconds, 0) == 0)
		return 1;
	switch (virGetLastErrorCode()) {
	case VIR_ERR_ARGUMENT_UNSUPPORTED: /* not configured */
	case VIR_ERR_CONFIG_UNSUPPORTED:
	case VIR_ERR_NO_SUPPORT:
		return -ENOTSUP;
	default:
		return 0;
	}
}

/* --- the screen --- */

struct growing {
	uint8_t *data;
	size_t len, room;
};

static int grow(struct growing *growing)
{
	uint8_t *more = NULL;
	if (growing->room - growing->len >= READ_SIZE)
		return 0;
	if (growing->room >= SCREEN_MAX)
		return -ENODATA;
	more = realloc(growing->data, growing->room * 2 + READ_SIZE);
	if (more == NULL)
		return -ENOMEM;
	growing->data = more;
	growing->room = growing->room * 2 + READ_SIZE;
	return 0;
}

static int receive(virStreamPtr stream, struct growing *growing)
{
	for (;;) {
		int n = grow(growing);
		if (n < 0)
			return n;
		n = virStreamRecv(stream, (char *)growing->data + growing->len,
				READ_SIZE);
		if (n == 0)
			return virStreamFinish(stream) == 0 ? 0 : -ENODATA;
		if (n < 0) {
			virStreamAbort(stream);
			return -ENODATA;
		}
		growing->len += (size_t)n;
	}
}

int transient_guest_screen(struct transient_guest *guest, uint8_t **file,
		size_t *len)
{
	struct growing got = { .data = NULL };
	virStreamPtr stream = virStreamNew(guest->connection, 0);
	char *type = NULL;
	int err = -ENODATA;
	if (stream == NULL)
		return -ENODATA;
	type = virDomainScreenshot(guest->domain, stream, 0, 0);
	if (type != NULL)
		err = receive(stream, &got);
	free(type);
	virStreamFree(stream);
	if (err != 0) {
		free(got.data);
		return err;
	}
	*file = got.data;
	*len = got.len;
	return 0;
}

/* --- reading --- */

uint64_t transient_guest_read(struct transient_guest *guest)
{
	virDomainBlockStatsStruct st;
	/* The empty name: all disks together. */
	if (virDomainBlockStats(guest->domain, "", &st, sizeof(st)) < 0
			|| st.rd_bytes < 0)
		return 0;
	return (uint64_t)st.rd_bytes;
}
