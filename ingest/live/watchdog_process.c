/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The watchdog itself. It waits for messages and for end of file, which means
 * the backup's death; meanwhile it checks the clock while the guest is frozen,
 * and the free space while the job runs.
 *
 * On the backup's death, in this order:
 *	0. cut off those who read from the job
 *	1. thaw, if the guest may be frozen: libvirt completes a freeze that was
 *	   requested, and the thaw comes after it (once; if the agent does not
 *	   answer, again after the job's end)
 *	2. end the job. libvirt completes a BackupBegin too: if one was under
 *	   way, wait a second for the job
 *	3. remove the directory, without which no job can start; wait for one
 *	   that slipped in
 */
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ingest/source/liveness_probe.h"
#include "live_guest.h"
#include "readers.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/options.h"
#include "repo/base/printable.h"
#include "repo/base/report.h"
#include "repo/base/units.h"
#include "watchdog.h"
#include "watchdog_protocol.h"

#define THAW_SECONDS 600.0     /* on the backup's death: how long to retry */
#define LATE_THAW_SECONDS 60.0 /* then it is said, and tried less often */
#define LATE_THAW_PAUSE 1.0
#define LATER_THAW_PAUSE 30.0
#define JOB_SECONDS 60.0
#define BEGIN_SECONDS 1.0
#define BEGIN_REST_SECONDS 3.0
#define LOOK_MS 50 /* interval of checking the free space */
/* For qemu to notice that the dead client's connections are gone: 7.2 hangs
 * forever if its NBD server is stopped during a connect. */
#define DISCONNECT_NS 200000000
#define ROOM_MAX (512 * MIB) /* left to the guest and others */
#define STALL_SECONDS 5.0    /* without an answer of qemu */

struct watch {
	int socket;
	struct scratch *scratch;
	struct live_guest *guest;
	char name[256]; /* of the domain, printable */

	bool may_be_frozen, beginning, running;
	bool thawed_late;
	double thaw_at; /* monotonic; < 0: never */
	double late_at; /* since when it is late; < 0: it has been said */
	uint64_t room;	/* bytes: with less free the job ends */
	struct readers readers;
	struct liveness_probe *probe; /* NULL: none while no job runs */
};

static void answer(struct watch *watch, enum watchdog_message word)
{
	char byte = (char)word;
	send(watch->socket, &byte, 1, MSG_NOSIGNAL);
}

/* --- the parts of its work --- */

static void say_frozen(const struct watch *watch, int err)
{
	report_error("domain %s MAY STILL BE FROZEN: %s; try: virsh domfsthaw "
		     "%s",
			watch->name, error_text(err), watch->name);
}

static int thaw(struct watch *watch, double seconds)
{
	int err = live_guest_thaw(watch->guest, seconds);
	watch->thaw_at = -1;
	if (err != 0)
		say_frozen(watch, err);
	return err;
}

static void say_late(struct watch *watch, double now)
{
	watch->thawed_late = true;
	watch->late_at = now;
	report_warning("domain %s was frozen for too long and is being thawed",
			watch->name);
}

/* One try at a time: the job is to be watched meanwhile. may_be_frozen stays set:
 * a freeze may still happen after this, an hour late if a script in the guest
 * hangs for so long. */
static void thaw_late(struct watch *watch)
{
	double now = monotonic_now();
	if (!watch->thawed_late)
		say_late(watch, now);
	int err = live_guest_thaw(watch->guest, 0);
	watch->thaw_at = -1;
	if (err == 0)
		return;
	if (watch->late_at >= 0 && now - watch->late_at > LATE_THAW_SECONDS) {
		say_frozen(watch, err);
		watch->late_at = -1;
	}
	watch->thaw_at = monotonic_now()
			+ (watch->late_at < 0 ? LATER_THAW_PAUSE
					      : LATE_THAW_PAUSE);
}

/* qemu 7.2 does not notice at once that connections are gone. */
static void cut_off_readers(struct watch *watch)
{
	const struct timespec moment = { .tv_nsec = DISCONNECT_NS };
	if (readers_cut_off(&watch->readers))
		nanosleep(&moment, NULL);
}

static bool has_message(const struct watch *watch)
{
	struct pollfd p = { .fd = watch->socket, .events = POLLIN };
	return poll(&p, 1, 0) > 0;
}

/* qemu waits for its readers when the job is ended, but also when somebody
 * suspends the guest, takes a snapshot, ... */
static void look_at_qemu(struct watch *watch)
{
	double silence = liveness_probe_silence(watch->probe);
	if (silence >= 0 && silence < STALL_SECONDS)
		return;
	/* That the backup itself ends the job. */
	if (silence < 0 && has_message(watch))
		return;
	answer(watch, silence < 0 ? WATCHDOG_ENDED : WATCHDOG_STALLED);
	readers_cut_off(&watch->readers);
	liveness_probe_close(take_ptr(watch->probe));
	if (silence < 0)
		return;
	report_warning("domain %s stood still for %.0f s, as its backup did "
		       "not go on reading: disconnected the backup",
			watch->name, silence);
}

static void end_job_of_full(struct watch *watch)
{
	const char *directory = scratch_directory(watch->scratch);
	int err;
	/* First, so that the backup knows by the time its reads fail. */
	answer(watch, WATCHDOG_FULL);
	watch->running = false;
	cut_off_readers(watch);
	err = live_guest_end_job(watch->guest, directory, JOB_SECONDS);
	if (err != 0)
		report_error("domain %s: %s is running out of space: %s",
				watch->name, directory, error_text(err));
	/* If this was too late, the guest was paused at a write, which can
	 * succeed now. */
	live_guest_resume_io(watch->guest);
}

/* As said above, the job may not exist yet. */
static void wait_for_job(struct watch *watch, double seconds)
{
	double end = monotonic_now() + seconds;
	struct timespec nap = { .tv_nsec = 50000000 };
	while (live_guest_job(watch->guest, scratch_directory(watch->scratch))
					!= JOB_OURS
			&& monotonic_now() < end)
		nanosleep(&nap, NULL);
}

static int end_job(struct watch *watch)
{
	const char *directory = scratch_directory(watch->scratch);
	int err;
	if (watch->beginning)
		wait_for_job(watch, BEGIN_SECONDS);
	err = live_guest_end_job(watch->guest, directory, JOB_SECONDS);
	if (err != 0)
		report_error("domain %s: %s", watch->name, error_text(err));
	return err;
}

static int clean_up(struct watch *watch)
{
	struct timespec moment = { .tv_nsec = DISCONNECT_NS };
	int job, directory, err = 0;
	readers_cut_off(&watch->readers);
	if (watch->may_be_frozen && live_guest_thaw(watch->guest, 0) == 0)
		watch->may_be_frozen = false;
	nanosleep(&moment, NULL);
	job = end_job(watch);
	if (watch->may_be_frozen)
		err = thaw(watch, THAW_SECONDS);
	scratch_find_socket(watch->scratch);
	directory = scratch_remove(watch->scratch);
	if (directory)
		report_error("%s", error_text(directory));
	if (watch->beginning) {
		wait_for_job(watch, BEGIN_REST_SECONDS);
		job = end_job(watch);
	}
	if (err != 0 || job || directory)
		return EXIT_FAILED;
	report_warning("the backup of domain %s died: ended its job and "
		       "removed its files",
			watch->name);
	return EXIT_DONE;
}

/* Nobody else will try any more. */
static int let_go(struct watch *watch)
{
	return watch->may_be_frozen && thaw(watch, THAW_SECONDS) ? EXIT_FAILED
								 : EXIT_DONE;
}

/* --- words and clocks --- */

static void begin_watching_room(struct watch *watch)
{
	uint64_t have = scratch_free(watch->scratch);
	watch->beginning = false;
	watch->running = have > 0;
	watch->room = min_u64(ROOM_MAX, have / 4);
}

static void begin_probing(struct watch *watch, const char *export)
{
	liveness_probe_close(watch->probe);
	scratch_find_socket(watch->scratch);
	watch->probe = liveness_probe_open(scratch_socket(watch->scratch),
			export);
	if (watch->probe == NULL)
		report_warning("domain %s: it can't be watched whether its "
			       "qemu answers: %s",
				watch->name, error_text(-EIO));
}

/* A message of the backup, and a descriptor that came with it, or -1. */
struct message {
	char text[WATCHDOG_MESSAGE_MAX]; /* NUL-terminated */
	size_t len;
	int fd;
};

static void note_hook(struct watch *watch, const struct message *message)
{
	if (message->len == 1 + sizeof(watch->readers.hook))
		memcpy(&watch->readers.hook, message->text + 1,
				sizeof(watch->readers.hook));
}

static void note_connection(struct watch *watch, struct message *message)
{
	if (message->fd >= 0
			&& readers_add(&watch->readers, take_fd(&message->fd))
					< 0)
		report_warning("domain %s: the watchdog is out of memory",
				watch->name);
}

static void obey(struct watch *watch, struct message *message)
{
	switch (message->text[0]) {
	case WATCHDOG_FREEZING:
		watch->may_be_frozen = true;
		watch->thawed_late = false;
		/* libvirt and we need some time in addition to the agent's. */
		watch->thaw_at = monotonic_now() + WATCHDOG_FREEZE_SECONDS + 5;
		break;
	case WATCHDOG_BEGINNING:
		watch->beginning = true;
		if (watch->may_be_frozen)
			watch->thaw_at = monotonic_now()
					+ WATCHDOG_FROZEN_SECONDS;
		break;
	case WATCHDOG_THAWED:
		watch->may_be_frozen = false;
		watch->thaw_at = -1;
		answer(watch,
				watch->thawed_late ? WATCHDOG_LATE
						   : WATCHDOG_IN_TIME);
		watch->thawed_late = false;
		break;
	case WATCHDOG_RUNNING:
		begin_watching_room(watch);
		begin_probing(watch, message->text + 1);
		answer(watch, WATCHDOG_READY);
		break;
	case WATCHDOG_CONNECTION:
		note_connection(watch, message);
		break;
	case WATCHDOG_HOOK:
		note_hook(watch, message);
		break;
	case WATCHDOG_STOPPING:
		liveness_probe_close(take_ptr(watch->probe));
		break;
	case WATCHDOG_STOPPED:
		watch->beginning = watch->running = false;
		liveness_probe_close(take_ptr(watch->probe));
		break;
	default:
		break;
	}
}

static int patience(const struct watch *watch)
{
	double left;
	if (watch->running || watch->probe != NULL)
		return LOOK_MS;
	if (watch->thaw_at < 0)
		return -1;
	left = watch->thaw_at - monotonic_now();
	return left > 0 ? (int)(left * 1000) + 1 : 0;
}

/* As recvmsg; 0: the backup is dead. */
static ssize_t hear(const struct watch *watch, struct message *message)
{
	struct iovec iov = { .iov_base = message->text,
		.iov_len = sizeof(message->text) - 1 };
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct msghdr m = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(watch->socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	const struct cmsghdr *header = n >= 0 ? CMSG_FIRSTHDR(&m) : NULL;
	message->fd = -1;
	if (header != NULL && header->cmsg_level == SOL_SOCKET
			&& header->cmsg_type == SCM_RIGHTS)
		memcpy(&message->fd, CMSG_DATA(header), sizeof(int));
	message->len = n > 0 ? (size_t)n : 0;
	message->text[message->len] = '\0';
	return n;
}

/* Until the backup dismisses us, or dies. */
static int watch(struct watch *w)
{
	static struct message message;
	for (;;) {
		struct pollfd p = { .fd = w->socket, .events = POLLIN };
		if (poll(&p, 1, patience(w)) > 0) {
			ssize_t n = hear(w, &message);
			if (n < 0 && (errno == EINTR || errno == EAGAIN))
				continue;
			if (n <= 0)
				return clean_up(w);
			if (message.text[0] == WATCHDOG_DISMISSED)
				return let_go(w);
			obey(w, &message);
		}
		if (w->probe != NULL)
			look_at_qemu(w);
		if (w->thaw_at >= 0 && monotonic_now() >= w->thaw_at)
			thaw_late(w);
		if (w->running && scratch_free(w->scratch) < w->room)
			end_job_of_full(w);
	}
}

/* --- its beginning --- */

static const char *text_of(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));
	return text != NULL ? text : "";
}

static int prepare(struct watch *watch, const char *message, size_t len)
{
	json_t *json = json_loadb(message, len, 0, NULL);
	int err = 0;
	printable(watch->name, sizeof(watch->name), text_of(json, "name"));
	err = scratch_open(&watch->scratch, text_of(json, "folder"));
	if (err == 0)
		err = scratch_lock_guard(watch->scratch);
	if (err == 0)
		err = live_guest_open(&watch->guest, text_of(json, "uri"),
				text_of(json, "uuid"));
	json_decref(json);
	return err;
}

static void say_broken(struct watch *watch, int err)
{
	char text[ERROR_TEXT_MAX + 1];
	snprintf(text, sizeof(text), "%c%s", WATCHDOG_BROKEN, error_text(err));
	send(watch->socket, text, strnlen(text, ERROR_TEXT_MAX - 1),
			MSG_NOSIGNAL);
}

int watchdog_process_main(int argc, char **argv)
{
	struct watch w = { .socket = WATCHDOG_FD, .thaw_at = -1 };
	static char message[WATCHDOG_MESSAGE_MAX];
	struct report_options quiet = { .quiet = true };
	ssize_t n;
	int status = EXIT_FAILED, err;
	(void)argc;
	(void)argv;
	/* A signal that ends a backup must not end its watchdog. */
	for (int s = 1; s < NSIG; s++)
		if (s == SIGHUP || s == SIGINT || s == SIGQUIT || s == SIGTERM
				|| s == SIGPIPE || s == SIGTSTP || s == SIGTTOU
				|| s == SIGTTIN)
			signal(s, SIG_IGN);
	report_setup("amberfs backup", &quiet);
	n = recv(w.socket, message, sizeof(message), 0);
	if (n <= 0)
		return EXIT_FAILED;
	err = prepare(&w, message, (size_t)n);
	if (err != 0) {
		say_broken(&w, err);
	} else {
		answer(&w, WATCHDOG_READY);
		status = watch(&w);
	}
	readers_cut_off(&w.readers);
	liveness_probe_close(w.probe);
	live_guest_close(w.guest);
	scratch_close(w.scratch);
	return status;
}
