/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names for libvirt's jobs. */
#include "domain_job.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <string.h>

char *domain_job_backup_xml(struct domain *domain)
{
	return virDomainBackupGetXMLDesc(domain_handle(domain), 0);
}

static const char *operation_name(int operation)
{
	switch (operation) {
	case VIR_DOMAIN_JOB_OPERATION_START:
		return "its start";
	case VIR_DOMAIN_JOB_OPERATION_SAVE:
		return "a save of its memory";
	case VIR_DOMAIN_JOB_OPERATION_RESTORE:
		return "a restore of its memory";
	case VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN:
	case VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT:
		return "a migration";
	case VIR_DOMAIN_JOB_OPERATION_SNAPSHOT:
	case VIR_DOMAIN_JOB_OPERATION_SNAPSHOT_REVERT:
	case VIR_DOMAIN_JOB_OPERATION_SNAPSHOT_DELETE:
		return "a libvirt snapshot";
	case VIR_DOMAIN_JOB_OPERATION_DUMP:
		return "a dump of its memory";
	case VIR_DOMAIN_JOB_OPERATION_BACKUP:
		return "a backup job";
	default:
		return "a libvirt job";
	}
}

const char *domain_job_operation(struct domain *domain)
{
	virTypedParameterPtr params = NULL;
	int type = VIR_DOMAIN_JOB_NONE, count = 0, operation = 0;
	if (virDomainGetJobStats(domain_handle(domain), &type, &params, &count,
			    0)
			< 0)
		return NULL;
	virTypedParamsGetInt(params, count, VIR_DOMAIN_JOB_OPERATION,
			&operation);
	virTypedParamsFree(params, count);
	return type == VIR_DOMAIN_JOB_NONE ? NULL : operation_name(operation);
}

const char *domain_job_pause(struct domain *domain)
{
	int state = 0, reason = 0;
	if (virDomainGetState(domain_handle(domain), &state, &reason, 0) < 0
			|| state != VIR_DOMAIN_PAUSED)
		return NULL;
	switch (reason) {
	case VIR_DOMAIN_PAUSED_MIGRATION:
	case VIR_DOMAIN_PAUSED_POSTCOPY:
	case VIR_DOMAIN_PAUSED_POSTCOPY_FAILED:
		return "a migration";
	case VIR_DOMAIN_PAUSED_SAVE:
		return "a save of its memory";
	case VIR_DOMAIN_PAUSED_DUMP:
		return "a dump of its memory";
	case VIR_DOMAIN_PAUSED_STARTING_UP:
		return "its start";
	default:
		return NULL;
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

const char *domain_job_block(struct domain *domain, const char *target)
{
	virDomainBlockJobInfo info = { .type = 0 };
	if (virDomainGetBlockJobInfo(domain_handle(domain), target, &info, 0)
			!= 1)
		return NULL;
	return block_job_name(info.type);
}

enum domain_control domain_job_control(struct domain *domain)
{
	virDomainControlInfo info = { .state = 0 };
	if (virDomainGetControlInfo(domain_handle(domain), &info, 0) < 0)
		return DOMAIN_CONTROL_FREE;
	switch (info.state) {
	case VIR_DOMAIN_CONTROL_OK:
		return DOMAIN_CONTROL_FREE;
	case VIR_DOMAIN_CONTROL_ERROR:
		return DOMAIN_CONTROL_ERROR;
	default:
		return DOMAIN_CONTROL_BUSY;
	}
}
