/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Finds out who else is working on a domain. BackupBegin would wait half a
 * minute for them, which must not happen while the guest is frozen, and would
 * not say who it was.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ingest/libvirt/domain_control.h"
#include "ingest/libvirt/domain_job.h"
#include "ingest/libvirt/domain_xml.h"
#include "job_xml.h"
#include "live_job.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/printable.h"
#include "scratch.h"

/* An ordinary call of another client may hold the domain for a moment. */
#define MOMENT_TRIES 50
#define MOMENT_NS 20000000

/* TEXT may be NULL: nobody. */
static int answer(char **who, const char *text)
{
	*who = text != NULL ? strdup(text) : NULL;
	return text == NULL || *who != NULL ? 0 : -ENOMEM;
}

static int backup_job(struct domain *domain, char **who)
{
	CLEANUP_FREE char *xml = domain_job_backup_xml(domain);
	CLEANUP_FREE char *file = NULL;
	char shown[256];
	if (xml == NULL)
		return 0;
	if (job_xml_scratch(&file, xml) != 0 || file == NULL
			|| !scratch_is_inner(file))
		return answer(who, "a backup job that amberfs did not start");
	if (asprintf(who, "another backup by amberfs (%s)",
			    printable(shown, sizeof(shown), file))
			< 0) {
		*who = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int block_job(struct domain *domain, const char *target, char **who)
{
	const char *job = domain_job_block(domain, target);
	char shown[64];
	if (job == NULL)
		return 0;
	if (asprintf(who, "%s of disk %s", job,
			    printable(shown, sizeof(shown), target))
			< 0) {
		*who = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int block_jobs(struct domain *domain, const struct domain_xml *xml,
		char **who)
{
	int err = 0;
	for (unsigned i = 0; err == 0 && *who == NULL && i < xml->disk_count;
			i++)
		if (xml->disks[i].source.present)
			err = block_job(domain, xml->disks[i].target, who);
	return err;
}

/* *IS_FREE: the domain has been released. */
static int wait_a_moment(struct domain *domain, bool *is_free, char **who)
{
	struct timespec nap = { .tv_nsec = MOMENT_NS };
	*is_free = false;
	for (int i = 0; i < MOMENT_TRIES; i++) {
		if (i > 0)
			nanosleep(&nap, NULL);
		switch (domain_job_control(domain)) {
		case DOMAIN_CONTROL_FREE:
			*is_free = true;
			return 0;
		case DOMAIN_CONTROL_ERROR:
			return answer(who,
					"a qemu that does not answer libvirt "
					"(see virsh domcontrol)");
		default:
			break;
		}
	}
	return 0;
}

int job_owner_find(struct domain *domain, const struct domain_xml *xml,
		char **who)
{
	bool is_free = true;
	int err;
	*who = NULL;
	if (!domain_control_is_active(domain))
		return 0;
	err = backup_job(domain, who);
	if (err != 0)
		return err;
	if (*who == NULL)
		err = wait_a_moment(domain, &is_free, who);
	if (err != 0)
		return err;
	if (*who == NULL)
		err = answer(who, domain_job_operation(domain));
	if (err != 0)
		return err;
	if (*who == NULL)
		err = answer(who, domain_job_pause(domain));
	if (err != 0)
		return err;
	if (*who == NULL && !is_free)
		err = answer(who,
				"a libvirt operation that does not end (see "
				"virsh domcontrol)");
	if (err != 0)
		return err;
	if (*who == NULL)
		err = block_jobs(domain, xml, who);
	return err;
}
