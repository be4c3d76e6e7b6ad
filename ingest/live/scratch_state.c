/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The file `state`: JSON, written in place, as the file is locked. If a crash
 * has truncated it, safe values are assumed. */
#include "scratch_state.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "repo/base/cleanup.h"

#define STATE_MAX 65536

static const char *const phases[] = {
	[SCRATCH_PREPARED] = "prepared",
	[SCRATCH_FROZEN] = "frozen",
	[SCRATCH_RUNNING] = "running",
};

void scratch_state_clear(struct scratch_state *state)
{
	free(state->repository);
	free(state->uri);
	free(state->uuid);
	free(state->name);
	free(state->checkpoint);
	free(state->socket);
	memset(state, 0, sizeof(*state));
}

/* "" if unknown. */
static void read_boot_id(char out[40])
{
	CLEANUP_FD int fd = open("/proc/sys/kernel/random/boot_id",
			O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, 36);
	out[n == 36 ? 36 : 0] = '\0';
}

static int write_whole(int fd, const char *text, size_t len)
{
	size_t done = 0;
	while (done < len) {
		ssize_t n = pwrite(fd, text + done, len - done, (off_t)done);
		if (n < 0 && errno != EINTR)
			return -errno;
		done += n < 0 ? 0 : (size_t)n;
	}
	if (ftruncate(fd, (off_t)len) < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

int scratch_state_write(int fd, const struct scratch_state *state)
{
	char boot[40];
	CLEANUP_FREE char *text = NULL;
	json_t *json;
	read_boot_id(boot);
	json = json_pack("{s:i, s:s, s:s, s:s*, s:s*, s:s*, s:s*, s:i, s:s*, "
			 "s:s*, s:I}",
			"version", 1, "phase", phases[state->phase], "boot",
			boot, "repository", state->repository, "uri",
			state->uri, "domain_uuid", state->uuid, "domain_name",
			state->name, "domain_id", state->domain_id,
			"checkpoint", state->checkpoint, "socket",
			state->socket, "pid", (json_int_t)getpid());
	text = json != NULL ? json_dumps(json, JSON_INDENT(1)) : NULL;
	json_decref(json);
	if (text == NULL)
		return -ENOMEM;
	return write_whole(fd, text, strlen(text));
}

static char *text_of(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));
	return text != NULL ? strdup(text) : NULL;
}

/* The rest of a longer text may follow. */
static void parse_state(struct scratch_state *state, const char *text,
		size_t len)
{
	json_t *json = json_loadb(text, len, JSON_DISABLE_EOF_CHECK, NULL);
	const char *phase = json_string_value(json_object_get(json, "phase"));
	const char *boot = json_string_value(json_object_get(json, "boot"));
	char now[40];
	memset(state, 0, sizeof(*state));
	state->phase = SCRATCH_RUNNING;
	for (int i = 0; phase != NULL && i <= SCRATCH_RUNNING; i++)
		if (strcmp(phase, phases[i]) == 0)
			state->phase = (enum scratch_phase)i;
	read_boot_id(now);
	state->this_boot = boot != NULL && strcmp(boot, now) == 0;
	state->repository = text_of(json, "repository");
	state->uri = text_of(json, "uri");
	state->uuid = text_of(json, "domain_uuid");
	state->name = text_of(json, "domain_name");
	state->checkpoint = text_of(json, "checkpoint");
	state->socket = text_of(json, "socket");
	state->domain_id = (int)json_integer_value(
			json_object_get(json, "domain_id"));
	json_decref(json);
}

void scratch_state_read(int fd, struct scratch_state *state)
{
	CLEANUP_FREE char *text = malloc(STATE_MAX);
	ssize_t n = text != NULL && fd >= 0 ? pread(fd, text, STATE_MAX, 0)
					    : -1;
	parse_state(state, text != NULL ? text : "", n > 0 ? (size_t)n : 0);
}
