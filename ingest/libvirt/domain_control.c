/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changing domains; see domain_control.h. */
#include "domain_control.h"

#include <errno.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "domain_paths.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/printable.h"

#define SHOWN 256

static int control_fail(const struct domain *domain, const char *what)
{
	char shown[SHOWN];
	return connection_fail(-EIO, "domain %s: %s",
			printable(shown, sizeof(shown), domain_name(domain)),
			what);
}

/* --- is it there --- */

static int found(virDomainPtr handle, const char *what)
{
	char shown[SHOWN];
	if (handle != NULL) {
		printable(shown, sizeof(shown), virDomainGetName(handle));
		virDomainFree(handle);
		return fail(-EEXIST,
				"libvirt already has a domain with that %s: %s",
				what, shown);
	}
	if (virGetLastErrorCode() == VIR_ERR_NO_DOMAIN)
		return 0;
	return connection_fail(-EIO, "cannot look up libvirt's domains");
}

int domain_control_absent(struct connection *conn, const char *name,
		const char *uuid)
{
	int err = found(virDomainLookupByName(connection_handle(conn), name),
			"name");
	if (err != 0)
		return err;
	if (uuid != NULL)
		err = found(virDomainLookupByUUIDString(connection_handle(conn),
					    uuid),
				"UUID");
	return err;
}

/* --- define, start, end --- */

int domain_control_define(struct connection *conn, const char *xml,
		struct domain **out)
{
	char uuid[VIR_UUID_STRING_BUFLEN] = "";
	virDomainPtr handle = virDomainDefineXML(connection_handle(conn), xml);
	if (handle == NULL)
		return connection_fail(-EIO, "libvirt rejected the definition");
	int err = virDomainGetUUIDString(handle, uuid);
	virDomainFree(handle);
	if (out == NULL)
		return 0;
	return err < 0 ? connection_fail(-EIO, "the domain just defined")
		       : domain_find(out, conn, uuid);
}

/* What define may have stored beside it is not removed: it is not ours. */
int domain_control_check(struct connection *conn, const char *xml)
{
	virDomainPtr handle = virDomainDefineXML(connection_handle(conn), xml);
	if (handle == NULL)
		return connection_fail(-EIO, "libvirt rejected the definition");
	int err = virDomainUndefineFlags(handle,
			VIR_DOMAIN_UNDEFINE_KEEP_NVRAM);
	if (err < 0)
		err = connection_fail(-EIO,
				"cannot undefine what was defined as a check");
	virDomainFree(handle);
	return err;
}

int domain_control_start(struct domain *domain)
{
	if (virDomainCreate(domain_handle(domain)) < 0)
		return control_fail(domain, "cannot start it");
	return 0;
}

bool domain_control_is_active(struct domain *domain)
{
	return virDomainIsActive(domain_handle(domain)) == 1;
}

int domain_control_destroy(struct domain *domain)
{
	if (virDomainDestroy(domain_handle(domain)) < 0
			&& domain_control_is_active(domain))
		return control_fail(domain, "cannot stop it");
	return 0;
}

int domain_control_undefine(struct domain *domain)
{
	const unsigned flags = VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
			| VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
			| VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
			| VIR_DOMAIN_UNDEFINE_KEEP_NVRAM;
	/* A transient domain is gone once it has ended. */
	if (virDomainIsPersistent(domain_handle(domain)) != 1)
		return 0;
	if (virDomainUndefineFlags(domain_handle(domain), flags) < 0)
		return control_fail(domain, "cannot undefine it");
	return 0;
}

/* --- who uses a directory --- */

int domain_control_uses(struct domain *domain, const char *directory)
{
	static const enum domain_xml_kind kinds[] = { DOMAIN_XML_CURRENT,
		DOMAIN_XML_INACTIVE };
	bool uses = false;
	for (size_t i = 0; !uses && i < 2; i++) {
		CLEANUP_DOMAIN_XML struct domain_xml *xml = NULL;
		int err = domain_get_xml(domain, kinds[i], &xml);
		if (err == -ENOENT)
			return 0; /* undefined meanwhile */
		if (err < 0)
			return err;
		uses = domain_paths_below(xml->doc, directory);
	}
	return uses;
}

int domain_control_users(struct connection *conn, const char *directory,
		struct domain ***out, unsigned *count)
{
	struct domain **list = NULL;
	unsigned n = 0, kept = 0;
	int e = domain_list(conn, &list, &n);
	if (e < 0)
		return e;
	for (unsigned i = 0; i < n; i++) {
		struct domain *domain = list[i];
		int r = e < 0 ? 0 : domain_control_uses(domain, directory);
		list[i] = NULL;
		if (r < 0)
			e = r;
		if (r == 1)
			list[kept++] = domain;
		else
			domain_free(domain);
	}
	if (e < 0) {
		domain_list_free(list, kept);
		return e;
	}
	*out = list;
	*count = kept;
	return 0;
}

/* --- pulling --- */

int domain_control_pull(struct domain *domain, const char *target)
{
	if (virDomainBlockPull(domain_handle(domain), target, 0, 0) < 0) {
		char what[SHOWN], shown[64];
		snprintf(what, sizeof(what),
				"cannot start a block pull of disk %s",
				printable(shown, sizeof(shown), target));
		return control_fail(domain, what);
	}
	return 0;
}

int domain_control_pull_progress(struct domain *domain, const char *target,
		uint64_t *done, uint64_t *total)
{
	virDomainBlockJobInfo info = { .cur = 0 };
	int err = virDomainGetBlockJobInfo(domain_handle(domain), target, &info,
			0);
	if (err < 0)
		return control_fail(domain,
				"cannot get the progress of the block pull");
	*done = info.cur;
	*total = info.end;
	return err;
}

int domain_control_pause(struct domain *domain)
{
	if (virDomainSuspend(domain_handle(domain)) < 0)
		return control_fail(domain, "cannot pause it");
	return 0;
}

int domain_control_resume(struct domain *domain)
{
	if (virDomainResume(domain_handle(domain)) < 0)
		return control_fail(domain,
				"it is paused and cannot be resumed; run "
				"'virsh resume'");
	return 0;
}
