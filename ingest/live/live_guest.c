/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libvirt calls for the backup of a running domain, and what their errors mean.
 *
 * What one must know:
 * - FSThaw, like any call, resets the error of the previous one.
 * - AbortJob returns before the job is gone.
 * - Once an agent has answered, libvirt sends commands without checking that it
 *   is still there, and by default waits for the reply forever. So the wait is
 *   limited, a harmless command is sent first, and a freeze without a timely
 *   reply may still happen. libvirt keeps the limit per domain: it is reset to
 *   the default.
 */
#include "live_guest.h"

#include <errno.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ingest/libvirt/domain.h"
#include "job_xml.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/printable.h"
#include "repo/base/units.h"

#define POLL_NS 20000000
#define THAW_AGAIN_NS 250000000
#define AGENT_SECONDS 10 /* for a reply from the agent */

/* Errors missing in the headers of libvirt 9.0. */
#define AGENT_COMMAND_TIMEOUT 112
#define AGENT_COMMAND_FAILED 113

struct live_guest {
	char *uri, uuid[DOMAIN_UUID_MAX];
	struct connection *connection;
	struct domain *domain;
	bool found_thawed;
};

static void nap(long ns)
{
	struct timespec t = { .tv_nsec = ns };
	nanosleep(&t, NULL);
}

static void hang_up(struct live_guest *guest)
{
	domain_free(guest->domain);
	connection_close(guest->connection);
	guest->domain = NULL;
	guest->connection = NULL;
}

static int dial(struct live_guest *guest)
{
	int err = connection_open(&guest->connection, guest->uri,
			CONNECTION_SECRETS);
	if (err == 0 && !connection_writable(guest->connection))
		err = fail(-EPERM,
				"libvirt at %s allows this user read-only "
				"access",
				guest->uri);
	if (err == 0)
		err = domain_find(&guest->domain, guest->connection,
				guest->uuid);
	if (err != 0)
		hang_up(guest);
	return err;
}

int live_guest_open(struct live_guest **out, const char *uri, const char *uuid)
{
	struct live_guest *guest = calloc(1, sizeof(*guest));
	int err;
	if (guest == NULL)
		return -ENOMEM;
	guest->uri = strdup(uri);
	snprintf(guest->uuid, sizeof(guest->uuid), "%s", uuid);
	err = guest->uri != NULL ? dial(guest) : -ENOMEM;
	if (err != 0) {
		live_guest_close(guest);
		return err;
	}
	*out = guest;
	return 0;
}

void live_guest_close(struct live_guest *guest)
{
	if (guest == NULL)
		return;
	hang_up(guest);
	free(guest->uri);
	free(guest);
}

/* libvirt's handle, through a new connection if the old one is dead. NULL with
 * a text: libvirtd or the domain is gone. */
static virDomainPtr handle(struct live_guest *guest)
{
	if (guest->connection != NULL
			&& virConnectIsAlive(
					   connection_handle(guest->connection))
					!= 1)
		hang_up(guest);
	if (guest->connection == NULL && dial(guest) != 0)
		return NULL;
	return domain_handle(guest->domain);
}

bool live_guest_active(struct live_guest *guest)
{
	virDomainPtr d = handle(guest);
	return d != NULL && virDomainIsActive(d) == 1;
}

int live_guest_id(struct live_guest *guest)
{
	virDomainPtr d = handle(guest);
	virDomainPtr now = d != NULL ? virDomainLookupByUUIDString(
					   connection_handle(guest->connection),
					   guest->uuid)
				     : NULL;
	unsigned id = now != NULL ? virDomainGetID(now) : (unsigned)-1;
	if (now != NULL)
		virDomainFree(now);
	return id == (unsigned)-1 ? -1 : (int)id;
}

/* --- freezing --- */

static bool last_error_has(const char *words)
{
	const char *text = virGetLastErrorMessage();
	return text != NULL && strstr(text, words) != NULL;
}

static void forget_timeout(virDomainPtr d)
{
	virDomainAgentSetResponseTimeout(d,
			VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK, 0);
}

static bool agent_is_silent(void)
{
	int code = virGetLastErrorCode();
	return code == VIR_ERR_AGENT_UNRESPONSIVE
			|| code == VIR_ERR_AGENT_UNSYNCED
			|| code == VIR_ERR_OPERATION_TIMEOUT /* in use */
			|| code == AGENT_COMMAND_TIMEOUT;
}

/* Any reply will do, even that the command is unknown. */
static bool agent_answers(virDomainPtr d)
{
	long long seconds = 0;
	unsigned ns = 0;
	if (virDomainAgentSetResponseTimeout(d, AGENT_SECONDS, 0) == 0
			&& (virDomainGetTime(d, &seconds, &ns, 0) == 0
					|| !agent_is_silent()))
		return true;
	connection_fail(-EIO, "the guest agent does not answer");
	return false;
}

bool live_guest_agent(struct live_guest *guest)
{
	virDomainPtr d = handle(guest);
	if (d == NULL)
		return false;
	bool answers = agent_answers(d);
	forget_timeout(d);
	return answers;
}

/* Why a freeze failed, and whether it may still happen. */
static enum freeze judge_freeze(void)
{
	connection_fail(-EIO, "the guest agent can't freeze the filesystems");
	switch ((int)virGetLastErrorCode()) {
	case VIR_ERR_INTERNAL_ERROR:
	case AGENT_COMMAND_FAILED:
		/* Not permitted, not possible, or frozen by somebody else, who
		 * must thaw it. */
		if (last_error_has("disabled") || last_error_has("not found")
				|| last_error_has("not been found"))
			return FREEZE_NOT;
		return FREEZE_MAYBE;
	case VIR_ERR_OPERATION_INVALID:
	case VIR_ERR_OPERATION_UNSUPPORTED:
	case VIR_ERR_ARGUMENT_UNSUPPORTED:
	case VIR_ERR_NO_SUPPORT:
	case VIR_ERR_NO_DOMAIN:
	case VIR_ERR_ACCESS_DENIED:
	case VIR_ERR_OPERATION_DENIED:
	case VIR_ERR_OPERATION_TIMEOUT: /* somebody else is using the agent */
		return FREEZE_NOT;
	default:
		return FREEZE_MAYBE;
	}
}

enum freeze live_guest_freeze(struct live_guest *guest, int seconds)
{
	virDomainPtr d = handle(guest);
	int n = -1;
	if (d == NULL)
		return FREEZE_NOT;
	if (!agent_answers(d)
			|| virDomainAgentSetResponseTimeout(d, seconds, 0)
					< 0) {
		forget_timeout(d);
		return FREEZE_SILENT;
	}
	n = virDomainFSFreeze(d, NULL, 0, 0);
	if (n > 0)
		return FREEZE_DONE;
	if (n == 0) {
		fail(-EIO, "the guest agent froze no filesystems");
		return FREEZE_MAYBE;
	}
	enum freeze result = judge_freeze();
	if (result == FREEZE_NOT)
		forget_timeout(d);
	return result;
}

/* Returns the number of filesystems, or -EAGAIN with a text: retry later. */
static int try_thaw(struct live_guest *guest)
{
	virDomainPtr d = handle(guest);
	int n;
	if (d == NULL)
		return -EAGAIN;
	/* Whoever was here before may have reset it. */
	virDomainAgentSetResponseTimeout(d, AGENT_SECONDS, 0);
	n = virDomainFSThaw(d, NULL, 0, 0);
	if (n >= 0)
		return n;
	connection_fail(-EIO, "cannot thaw the guest");
	/* If the domain is not running, nothing is frozen. */
	return virDomainIsActive(d) == 0 ? 0 : -EAGAIN;
}

int live_guest_thaw(struct live_guest *guest, double seconds)
{
	double end = monotonic_now() + seconds;
	virDomainPtr d;
	int n = try_thaw(guest);
	/* A failed call may have thawed it nevertheless. */
	guest->found_thawed = n == 0;
	while (n < 0 && monotonic_now() < end) {
		nap(THAW_AGAIN_NS);
		n = try_thaw(guest);
	}
	d = n < 0 ? NULL : handle(guest);
	if (d != NULL)
		forget_timeout(d);
	return n < 0 ? -EIO : 0;
}

bool live_guest_found_thawed(const struct live_guest *guest)
{
	return guest->found_thawed;
}

/* --- the backup job --- */

static bool checkpoint_is_to_blame(void)
{
	return last_error_has("qcow2 v2")
			|| last_error_has("Bitmap already exists")
			|| last_error_has("checkpoint")
			|| last_error_has("bitmap");
}

static int begin_error(bool with_checkpoint)
{
	switch (virGetLastErrorCode()) {
	case VIR_ERR_CHECKPOINT_INCONSISTENT:
	case VIR_ERR_NO_DOMAIN_CHECKPOINT:
	case VIR_ERR_INVALID_DOMAIN_CHECKPOINT:
		return -ESTALE;
	case VIR_ERR_NO_DOMAIN:
		return -ENOENT;
	case VIR_ERR_OPERATION_TIMEOUT:
		return -EBUSY;
	default:
		break;
	}
	if (last_error_has("blockjob") || last_error_has("another backup job")
			|| last_error_has("state change lock"))
		return -EBUSY;
	if (last_error_has("inactive domain")
			|| last_error_has("domain is not running"))
		return -ENOENT;
	return with_checkpoint && checkpoint_is_to_blame() ? -ENOTSUP : -EIO;
}

int live_guest_begin(struct live_guest *guest, const char *job,
		const char *checkpoint)
{
	virDomainPtr d = handle(guest);
	int err;
	if (d == NULL)
		return fail_within(-EIO, "libvirt");
	if (virDomainBackupBegin(d, job, checkpoint, 0) == 0)
		return 0;
	err = begin_error(checkpoint != NULL);
	connection_fail(err, "cannot start a backup job");
	if (err == -EIO && virDomainIsActive(d) == 0)
		err = -ENOENT;
	return err;
}

/* Whether PATH lies in DIRECTORY. */
static bool is_below(const char *path, const char *directory)
{
	size_t len = strlen(directory);
	return path != NULL && strncmp(path, directory, len) == 0
			&& path[len] == '/';
}

static enum job_owner whose(const char *xml, const char *directory)
{
	CLEANUP_FREE char *file = NULL;
	if (job_xml_scratch(&file, xml) != 0)
		return JOB_FOREIGN;
	return is_below(file, directory) ? JOB_OURS : JOB_FOREIGN;
}

enum job_owner live_guest_job(struct live_guest *guest, const char *directory)
{
	virDomainPtr d = handle(guest);
	CLEANUP_FREE char *xml =
			d != NULL ? virDomainBackupGetXMLDesc(d, 0) : NULL;
	if (xml != NULL)
		return whose(xml, directory);
	if (d == NULL)
		return JOB_UNKNOWN;
	switch (virGetLastErrorCode()) {
	case VIR_ERR_NO_DOMAIN_BACKUP:
	case VIR_ERR_NO_DOMAIN:
	case VIR_ERR_OPERATION_INVALID:
		return JOB_NONE;
	default:
		break;
	}
	return virDomainIsActive(d) == 0 ? JOB_NONE : JOB_UNKNOWN;
}

/* libvirt forgets the job before it releases the domain. */
static bool is_free(struct live_guest *guest)
{
	virDomainPtr d = handle(guest);
	virDomainJobInfo info;
	if (d == NULL)
		return false;
	if (virDomainGetJobInfo(d, &info) == 0)
		return info.type == VIR_DOMAIN_JOB_NONE;
	return virDomainIsActive(d) == 0;
}

/* Aborts our job. 1: requested; 0: there is none (any more). */
static int ask_to_end(struct live_guest *guest, const char *directory)
{
	virDomainPtr d;
	switch (live_guest_job(guest, directory)) {
	case JOB_NONE:
	case JOB_FOREIGN:
		return 0;
	case JOB_UNKNOWN:
		return fail_within(-EIO,
				"checking whether the backup job has ended");
	default:
		break;
	}
	d = handle(guest);
	if (d != NULL && virDomainAbortJob(d) == 0)
		return 1;
	return d != NULL ? connection_fail(-EIO, "cannot end the backup job")
			 : -EIO;
}

int live_guest_end_job(struct live_guest *guest, const char *directory,
		double seconds)
{
	double end = monotonic_now() + seconds;
	int asked = 0;
	do {
		if (asked <= 0)
			asked = ask_to_end(guest, directory);
		if (asked == 0 || (asked > 0 && is_free(guest)))
			return 0;
		nap(POLL_NS);
	} while (monotonic_now() < end);
	if (asked < 0)
		return asked;
	return fail(-ETIMEDOUT,
			"the backup job does not end; try `virsh domjobabort`");
}

uint64_t live_guest_job_total(struct live_guest *guest)
{
	virDomainPtr d = handle(guest);
	virTypedParameterPtr params = NULL;
	int type = VIR_DOMAIN_JOB_NONE, count = 0;
	unsigned long long total = 0;
	if (d == NULL || virDomainGetJobStats(d, &type, &params, &count, 0) < 0)
		return 0;
	virTypedParamsGetULLong(params, count, VIR_DOMAIN_JOB_DISK_TEMP_TOTAL,
			&total);
	virTypedParamsFree(params, count);
	return total;
}

bool live_guest_job_failed(struct live_guest *guest)
{
	virDomainPtr d = handle(guest);
	virTypedParameterPtr params = NULL;
	int type = VIR_DOMAIN_JOB_NONE, count = 0, success = 1;
	const char *why = NULL;
	char shown[512];
	if (d == NULL
			|| virDomainGetJobStats(d, &type, &params, &count,
					   VIR_DOMAIN_JOB_STATS_COMPLETED
							   | VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED)
					< 0)
		return false;
	virTypedParamsGetBoolean(params, count, VIR_DOMAIN_JOB_SUCCESS,
			&success);
	virTypedParamsGetString(params, count, VIR_DOMAIN_JOB_ERRMSG, &why);
	if (type == VIR_DOMAIN_JOB_FAILED)
		success = 0;
	if (!success)
		fail(-EIO, "the backup job failed: %s",
				printable(shown, sizeof(shown),
						why != NULL ? why
							    : "no reason given"));
	virTypedParamsFree(params, count);
	return !success;
}

void live_guest_resume_io(struct live_guest *guest)
{
	virDomainPtr d = handle(guest);
	int state = 0, reason = 0;
	if (d != NULL && virDomainGetState(d, &state, &reason, 0) == 0
			&& state == VIR_DOMAIN_PAUSED
			&& reason == VIR_DOMAIN_PAUSED_IOERROR)
		virDomainResume(d);
}
