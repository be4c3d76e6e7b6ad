/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who else is at work on a domain. BackupBegin would wait half a minute for
 * them, which must not happen to a frozen guest, and then not say who it was.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/printable.h"
#include "ingest/libvirt/domain_xml.h"
#include "live_job.h"
#include "job_xml.h"
#include "scratch.h"

/* An ordinary call of somebody's may use the domain for a moment. */
#define MOMENT_TRIES 50
#define MOMENT_NS 20000000

static int answer(char **who, const char *text)
{
	*who = strdup(text);
	return *who ? 0 : -ENOMEM;
}

static int backup_job(virDomainPtr d, char **who)
{
	CLEANUP_FREE char *xml = virDomainBackupGetXMLDesc(d, 0);
	CLEANUP_FREE char *socket = NULL;
	char shown[256];

	if (!xml)
		return 0;
	if (job_xml_socket(&socket, xml) != 0 || !socket ||
			!scratch_is_socket(socket))
		return answer(who, "a backup job that amberfs did not start");
	if (asprintf(who, "another backup by amberfs (%s)",
			    printable(shown, sizeof(shown), socket)) < 0) {
		*who = NULL;
		return -ENOMEM;
	}
	return 0;
}

static const char *operation_name(int operation)
{
	switch (operation) {
	case VIR_DOMAIN_JOB_OPERATION_START:
		return "its start";
	case VIR_DOMAIN_JOB_OPERATION_SAVE:
		return "the saving of its memory";
	case VIR_DOMAIN_JOB_OPERATION_RESTORE:
		return "the restoring of its memory";
	case VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN:
	case VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT:
		return "a migration";
	case VIR_DOMAIN_JOB_OPERATION_SNAPSHOT:
	case VIR_DOMAIN_JOB_OPERATION_SNAPSHOT_REVERT:
	case VIR_DOMAIN_JOB_OPERATION_SNAPSHOT_DELETE:
		return "a snapshot of libvirt's";
	case VIR_DOMAIN_JOB_OPERATION_DUMP:
		return "a dump of its memory";
	case VIR_DOMAIN_JOB_OPERATION_BACKUP:
		return "a backup job";
	default:
		return "a job of libvirt's";
	}
}

static int background_job(virDomainPtr d, char **who)
{
	virTypedParameterPtr params = NULL;
	int type = VIR_DOMAIN_JOB_NONE, count = 0, operation = 0;

	if (virDomainGetJobStats(d, &type, &params, &count, 0) < 0)
		return 0;
	virTypedParamsGetInt(params, count, VIR_DOMAIN_JOB_OPERATION,
			&operation);
	virTypedParamsFree(params, count);
	if (type == VIR_DOMAIN_JOB_NONE)
		return 0;
	return answer(who, operation_name(operation));
}

/* The host that a migration comes to has no job to show. */
static int state_of(virDomainPtr d, char **who)
{
	int state = 0, reason = 0;

	if (virDomainGetState(d, &state, &reason, 0) < 0 ||
			state != VIR_DOMAIN_PAUSED)
		return 0;
	switch (reason) {
	case VIR_DOMAIN_PAUSED_MIGRATION:
	case VIR_DOMAIN_PAUSED_POSTCOPY:
	case VIR_DOMAIN_PAUSED_POSTCOPY_FAILED:
		return answer(who, "a migration");
	case VIR_DOMAIN_PAUSED_SAVE:
		return answer(who, "the saving of its memory");
	case VIR_DOMAIN_PAUSED_DUMP:
		return answer(who, "a dump of its memory");
	case VIR_DOMAIN_PAUSED_STARTING_UP:
		return answer(who, "its start");
	default:
		return 0;
	}
}

static const char *block_job_name(int type)
{
	switch (type) {
	case VIR_DOMAIN_BLOCK_JOB_TYPE_PULL:
		return "a block pull";
	case VIR_DOMAIN_BLOCK_JOB_TYPE_COPY:
		return "a block copy";
	case VIR_DOMAIN_BLOCK_JOB_TYPE_COMMIT:
	case VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT:
		return "a block commit";
	case VIR_DOMAIN_BLOCK_JOB_TYPE_BACKUP:
		return "a backup job";
	default:
		return "a block job";
	}
}

static int block_job(virDomainPtr d, const char *target, char **who)
{
	virDomainBlockJobInfo info;
	char shown[64];

	memset(&info, 0, sizeof(info));
	if (virDomainGetBlockJobInfo(d, target, &info, 0) != 1)
		return 0;
	if (asprintf(who, "%s of the disk %s", block_job_name(info.type),
			    printable(shown, sizeof(shown), target)) < 0) {
		*who = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int block_jobs(struct domain *domain, char **who)
{
	CLEANUP_FREE char *xml = NULL;
	struct domain_xml *parsed = NULL;
	int err = domain_xml(domain, DOMAIN_XML_CURRENT, &xml);

	if (!err)
		err = disk_xml_parse(&parsed, xml, strlen(xml));
	for (unsigned i = 0; !err && !*who && i < parsed->disk_count; i++)
		if (parsed->disks[i].source.present)
			err = block_job(domain_handle(domain),
					parsed->disks[i].target, who);
	disk_xml_free(parsed);
	return err;
}

/* Unlike the other questions it does not wait for whoever is at work. */
static int control(virDomainPtr d, bool *is_free, char **who)
{
	virDomainControlInfo info;

	*is_free = true;
	memset(&info, 0, sizeof(info));
	if (virDomainGetControlInfo(d, &info, 0) < 0)
		return 0;
	if (info.state == VIR_DOMAIN_CONTROL_ERROR)
		return answer(who, "a qemu that does not answer libvirt (virsh "
				"domcontrol)");
	*is_free = info.state == VIR_DOMAIN_CONTROL_OK;
	return 0;
}

static int wait_a_moment(virDomainPtr d, bool *is_free, char **who)
{
	struct timespec nap = { .tv_nsec = MOMENT_NS };
	int err = 0;

	*is_free = false;
	for (int i = 0; i < MOMENT_TRIES && !err && !*who && !*is_free; i++) {
		if (i > 0)
			nanosleep(&nap, NULL);
		err = control(d, is_free, who);
	}
	return err;
}

int live_job_holder(struct connection *c, struct domain *domain, char **who)
{
	virDomainPtr d = domain_handle(domain);
	bool is_free = true;
	int err;

	(void)c;
	*who = NULL;
	if (virDomainIsActive(d) != 1)
		return 0;
	err = backup_job(d, who);
	if (!err && !*who)
		err = wait_a_moment(d, &is_free, who);
	if (!err && !*who)
		err = background_job(d, who);
	if (!err && !*who)
		err = state_of(d, who);
	if (!err && !*who && !is_free)
		err = answer(who, "an operation of libvirt's that does not end "
				"(virsh domcontrol)");
	if (!err && !*who)
		err = block_jobs(domain, who);
	return err;
}
