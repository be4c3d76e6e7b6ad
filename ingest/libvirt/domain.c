/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What libvirt knows about domains, in plain types. Read-only. */
#include "domain.h"

#include <errno.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/error.h"
#include "repo/format/name.h"

struct domain {
	virDomainPtr handle;
	char *name; /* a copy: virDomainGetName clears the last error */
};

/* Indexed by libvirt's numbers, worded as in virsh (which says "idle" for
 * blocked). */
static const char *const state_names[] = {
	[VIR_DOMAIN_NOSTATE] = "no state",
	[VIR_DOMAIN_RUNNING] = "running",
	[VIR_DOMAIN_BLOCKED] = "blocked",
	[VIR_DOMAIN_PAUSED] = "paused",
	[VIR_DOMAIN_SHUTDOWN] = "in shutdown",
	[VIR_DOMAIN_SHUTOFF] = "shut off",
	[VIR_DOMAIN_CRASHED] = "crashed",
	[VIR_DOMAIN_PMSUSPENDED] = "pmsuspended",
};

static const char *const no_reasons[] = { "unknown" };

static const char *const running_reasons[] = {
	[VIR_DOMAIN_RUNNING_UNKNOWN] = "unknown",
	[VIR_DOMAIN_RUNNING_BOOTED] = "booted",
	[VIR_DOMAIN_RUNNING_MIGRATED] = "migrated",
	[VIR_DOMAIN_RUNNING_RESTORED] = "restored",
	[VIR_DOMAIN_RUNNING_FROM_SNAPSHOT] = "from snapshot",
	[VIR_DOMAIN_RUNNING_UNPAUSED] = "unpaused",
	[VIR_DOMAIN_RUNNING_MIGRATION_CANCELED] = "migration canceled",
	[VIR_DOMAIN_RUNNING_SAVE_CANCELED] = "save canceled",
	[VIR_DOMAIN_RUNNING_WAKEUP] = "event wakeup",
	[VIR_DOMAIN_RUNNING_CRASHED] = "crashed",
	[VIR_DOMAIN_RUNNING_POSTCOPY] = "post-copy",
	[VIR_DOMAIN_RUNNING_POSTCOPY_FAILED] = "post-copy failed",
};

static const char *const paused_reasons[] = {
	[VIR_DOMAIN_PAUSED_UNKNOWN] = "unknown",
	[VIR_DOMAIN_PAUSED_USER] = "user",
	[VIR_DOMAIN_PAUSED_MIGRATION] = "migrating",
	[VIR_DOMAIN_PAUSED_SAVE] = "saving",
	[VIR_DOMAIN_PAUSED_DUMP] = "dumping",
	[VIR_DOMAIN_PAUSED_IOERROR] = "I/O error",
	[VIR_DOMAIN_PAUSED_WATCHDOG] = "watchdog",
	[VIR_DOMAIN_PAUSED_FROM_SNAPSHOT] = "from snapshot",
	[VIR_DOMAIN_PAUSED_SHUTTING_DOWN] = "shutting down",
	[VIR_DOMAIN_PAUSED_SNAPSHOT] = "creating snapshot",
	[VIR_DOMAIN_PAUSED_CRASHED] = "crashed",
	[VIR_DOMAIN_PAUSED_STARTING_UP] = "starting up",
	[VIR_DOMAIN_PAUSED_POSTCOPY] = "post-copy",
	[VIR_DOMAIN_PAUSED_POSTCOPY_FAILED] = "post-copy failed",
};

static const char *const shutdown_reasons[] = {
	[VIR_DOMAIN_SHUTDOWN_UNKNOWN] = "unknown",
	[VIR_DOMAIN_SHUTDOWN_USER] = "user",
};

static const char *const shutoff_reasons[] = {
	[VIR_DOMAIN_SHUTOFF_UNKNOWN] = "unknown",
	[VIR_DOMAIN_SHUTOFF_SHUTDOWN] = "shutdown",
	[VIR_DOMAIN_SHUTOFF_DESTROYED] = "destroyed",
	[VIR_DOMAIN_SHUTOFF_CRASHED] = "crashed",
	[VIR_DOMAIN_SHUTOFF_MIGRATED] = "migrated",
	[VIR_DOMAIN_SHUTOFF_SAVED] = "saved",
	[VIR_DOMAIN_SHUTOFF_FAILED] = "failed",
	[VIR_DOMAIN_SHUTOFF_FROM_SNAPSHOT] = "from snapshot",
	[VIR_DOMAIN_SHUTOFF_DAEMON] = "daemon",
};

static const char *const crashed_reasons[] = {
	[VIR_DOMAIN_CRASHED_UNKNOWN] = "unknown",
	[VIR_DOMAIN_CRASHED_PANICKED] = "panicked",
};

#define TABLE(t)                                                               \
	{                                                                      \
		t, sizeof(t) / sizeof((t)[0])                                  \
	}
static const struct {
	const char *const *names;
	size_t count;
} reasons[] = {
	[VIR_DOMAIN_NOSTATE] = TABLE(no_reasons),
	[VIR_DOMAIN_RUNNING] = TABLE(running_reasons),
	[VIR_DOMAIN_BLOCKED] = TABLE(no_reasons),
	[VIR_DOMAIN_PAUSED] = TABLE(paused_reasons),
	[VIR_DOMAIN_SHUTDOWN] = TABLE(shutdown_reasons),
	[VIR_DOMAIN_SHUTOFF] = TABLE(shutoff_reasons),
	[VIR_DOMAIN_CRASHED] = TABLE(crashed_reasons),
	[VIR_DOMAIN_PMSUSPENDED] = TABLE(no_reasons),
};
#define STATES (ARRAY_SIZE(reasons))

/* A newer libvirt may have states and reasons that are unknown here. */
const char *domain_state_name(int state)
{
	if (state < 0 || (size_t)state >= STATES)
		return "unknown state";
	return state_names[state];
}

const char *domain_reason_name(int state, int reason)
{
	if (state < 0 || (size_t)state >= STATES || reason < 0
			|| (size_t)reason >= reasons[state].count)
		return "unknown";
	return reasons[state].names[reason];
}

static int domain_error(void)
{
	switch (virGetLastErrorCode()) {
	case VIR_ERR_NO_DOMAIN:
		return -ENOENT;
	case VIR_ERR_OPERATION_DENIED:
	case VIR_ERR_ACCESS_DENIED:
	case VIR_ERR_AUTH_FAILED:
		return -EPERM;
	default:
		return -EIO;
	}
}

static int domain_fail(const struct domain *domain, const char *what)
{
	char shown[256];
	name_display(shown, sizeof(shown), domain_name(domain));
	return connection_fail(domain_error(), "domain %s: %s", shown, what);
}

static int by_name(const void *a, const void *b)
{
	struct domain *const *x = a;
	struct domain *const *y = b;
	return strcmp(domain_name(*x), domain_name(*y));
}

/* Takes over the handle. NULL without memory. */
static struct domain *domain_make(virDomainPtr handle)
{
	struct domain *domain = calloc(1, sizeof(*domain));
	const char *name = virDomainGetName(handle);
	if (domain != NULL)
		domain->name = strdup(name != NULL ? name : "");
	if (domain == NULL || domain->name == NULL) {
		free(domain);
		virDomainFree(handle);
		return NULL;
	}
	domain->handle = handle;
	return domain;
}

int domain_list(struct connection *conn, struct domain ***out, unsigned *count)
{
	virDomainPtr *handles = NULL;
	struct domain **list;
	int n = virConnectListAllDomains(connection_handle(conn), &handles, 0);
	int made = 0;
	if (n < 0)
		return connection_fail(-EIO, "cannot list libvirt's domains");
	list = calloc((size_t)n + 1, sizeof(struct domain *));
	for (int i = 0; i < n; i++) {
		struct domain *domain =
				list != NULL ? domain_make(handles[i]) : NULL;
		if (domain != NULL)
			list[made++] = domain;
		else if (list == NULL)
			virDomainFree(handles[i]);
	}
	free(handles);
	if (list == NULL || made < n) {
		domain_list_free(list, (unsigned)made);
		return -ENOMEM;
	}
	qsort(list, (size_t)n, sizeof(struct domain *), by_name);
	*out = list;
	*count = (unsigned)n;
	return 0;
}

void domain_list_free(struct domain **list, unsigned count)
{
	for (unsigned i = 0; list != NULL && i < count; i++)
		domain_free(list[i]);
	free(list);
}

int domain_find(struct domain **out, struct connection *conn, const char *name)
{
	virDomainPtr handle =
			virDomainLookupByName(connection_handle(conn), name);
	char shown[256];
	if (handle == NULL && strlen(name) == DOMAIN_UUID_MAX - 1)
		handle = virDomainLookupByUUIDString(connection_handle(conn),
				name);
	if (handle == NULL) {
		name_display(shown, sizeof(shown), name);
		if (virGetLastErrorCode() != VIR_ERR_NO_DOMAIN
				&& virGetLastErrorCode() != VIR_ERR_INVALID_ARG)
			return connection_fail(-EIO, "domain %s", shown);
		return fail(-ENOENT,
				"no domain %s at %s; `amberfs domains` lists "
				"all domains",
				shown, connection_uri(conn));
	}
	*out = domain_make(handle);
	return *out != NULL ? 0 : -ENOMEM;
}

void domain_free(struct domain *domain)
{
	if (domain == NULL)
		return;
	virDomainFree(domain->handle);
	free(domain->name);
	free(domain);
}

const char *domain_name(const struct domain *domain)
{
	return domain->name;
}

struct _virDomain *domain_handle(const struct domain *domain)
{
	return domain->handle;
}

static int read_state(struct domain *domain, struct domain_facts *out)
{
	int state, reason;
	if (virDomainGetState(domain->handle, &state, &reason, 0) < 0)
		return domain_fail(domain, "cannot get its state");
	out->state = domain_state_name(state);
	out->reason = domain_reason_name(state, reason);
	/* In any other state, even crashed, a process may hold the disks
	 * open. */
	out->shut_off = state == VIR_DOMAIN_SHUTOFF
			&& virDomainIsActive(domain->handle) == 0;
	return 0;
}

int domain_facts(struct domain *domain, struct domain_facts *out)
{
	virDomainInfo info;
	unsigned id;
	int autostart = 0, err;
	memset(out, 0, sizeof(*out));
	err = read_state(domain, out);
	if (err != 0)
		return err;
	if (virDomainGetInfo(domain->handle, &info) < 0)
		return domain_fail(domain, "cannot get information about it");
	out->name = strdup(domain_name(domain));
	if (out->name == NULL)
		return -ENOMEM;
	if (virDomainGetUUIDString(domain->handle, out->uuid) < 0)
		out->uuid[0] = '\0';
	id = virDomainGetID(domain->handle);
	out->id = id == (unsigned)-1 ? -1 : (int)id;
	out->os_type = virDomainGetOSType(domain->handle);
	out->max_memory = (uint64_t)info.maxMem * 1024;
	out->memory = (uint64_t)info.memory * 1024;
	out->vcpus = info.nrVirtCpu;
	out->cpu_ns = info.cpuTime;
	out->persistent = virDomainIsPersistent(domain->handle) == 1;
	out->autostart = virDomainGetAutostart(domain->handle, &autostart) == 0
			&& autostart != 0;
	out->managed_save =
			virDomainHasManagedSaveImage(domain->handle, 0) == 1;
	return 0;
}

void domain_facts_clear(struct domain_facts *facts)
{
	free(facts->name);
	free(facts->os_type);
	memset(facts, 0, sizeof(*facts));
}

int domain_get_xml(struct domain *domain, enum domain_xml_kind kind,
		struct domain_xml **out)
{
	unsigned flags = 0;
	char *text;
	int err;
	if (kind != DOMAIN_XML_CURRENT)
		flags |= VIR_DOMAIN_XML_INACTIVE;
	if (kind == DOMAIN_XML_SECURE)
		flags |= VIR_DOMAIN_XML_SECURE;
	text = virDomainGetXMLDesc(domain->handle, flags);
	if (text == NULL)
		return domain_fail(domain, "cannot get its XML");
	err = domain_xml_parse(out, text, strlen(text));
	free(text);
	return err;
}

int domain_disk_size(struct domain *domain, const char *target,
		uint64_t *capacity, uint64_t *allocation)
{
	virDomainBlockInfo info;
	if (virDomainGetBlockInfo(domain->handle, target, &info, 0) < 0)
		return domain_fail(domain, "cannot get the size of a disk");
	*capacity = info.capacity;
	*allocation = info.allocation;
	return 0;
}
