/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The shim's count, shared by all processes of a run, and what is done when it
 * reaches the call that was asked for. */
#undef _FILE_OFFSET_BITS
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shim.h"

enum act {
	ACT_NONE,
	ACT_BEFORE,
	ACT_AFTER,
	ACT_LOSS,
	ACT_TORN,
	ACT_ERROR,
	ACT_FULL,
	ACT_SHORT,
	ACT_DEAD
};

struct state *state;
char side_path[PATH_ROOM], undo_path[PATH_ROOM];
__thread bool inside;

static char dir[PATH_ROOM];
static size_t dir_len;
static unsigned long act_at;
static enum act act;
static int act_errno;
static const char *log_path, *read_pattern, *stop_pattern;
static off_t read_byte = -1;
static int read_errno = EIO;

void fatal(const char *what)
{
	dprintf(2, "killshim: %s: %s\n", what, strerror(errno));
	_exit(99);
}

/* --- set-up --- */

static enum act act_from(const char *s)
{
	static const char *const words[] = { "none", "before", "after", "loss",
		"torn", "error", "full", "short", "dead" };

	for (unsigned i = 0; s && i < sizeof(words) / sizeof(*words); i++)
		if (strcmp(s, words[i]) == 0)
			return (enum act)i;
	errno = EINVAL;
	if (s)
		fatal("SHIM_ACT");
	return ACT_NONE;
}

static void map_state(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	pthread_mutexattr_t attr;

	if (fd < 0 || ftruncate(fd, sizeof(*state)) < 0)
		fatal(path);
	state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED,
			fd, 0);
	if (state == MAP_FAILED)
		fatal(path);
	close(fd);
	snprintf(side_path, sizeof(side_path), "%.380s.kept", path);
	snprintf(undo_path, sizeof(undo_path), "%.380s.undo", path);
	if (state->ready)
		return;
	if (mkdir(side_path, 0700) < 0 && errno != EEXIST)
		fatal(side_path);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&state->lock, &attr);
	state->ready = true;
}

static unsigned long number_from(const char *name, unsigned long other)
{
	const char *s = getenv(name);

	return s && *s ? strtoul(s, NULL, 10) : other;
}

/* What the programs before left, for SHIM_AT 0. */
static void lose_at_once(void)
{
	if (act_at != 0 || (act != ACT_LOSS && act != ACT_TORN))
		return;
	inside = true;
	lose(act == ACT_TORN, 1);
	_exit(0);
}

__attribute__((constructor)) static void setup(void)
{
	const char *d = getenv("SHIM_DIR"), *s = getenv("SHIM_STATE");

	if (!d || !s || strlen(d) >= sizeof(dir))
		return;
	inside = true;
	map_state(s);
	inside = false;
	log_path = getenv("SHIM_LOG");
	act = act_from(getenv("SHIM_ACT"));
	act_at = number_from("SHIM_AT", 0);
	act_errno = (int)number_from("SHIM_ERRNO",
			act == ACT_DEAD ? EIO : ENOSPC);
	read_pattern = getenv("SHIM_READ");
	stop_pattern = getenv("SHIM_STOP");
	read_byte = (off_t)number_from("SHIM_READ_BYTE", (unsigned long)-1);
	read_errno = (int)number_from("SHIM_READ_ERRNO", EIO);
	strcpy(dir, d);
	dir_len = strlen(dir); /* last: from here on calls count */
	lose_at_once();
}

static void state_lock(void)
{
	if (pthread_mutex_lock(&state->lock) == EOWNERDEAD)
		pthread_mutex_consistent(&state->lock);
}

/* --- which file --- */

static bool below(const char *path)
{
	return dir_len && strncmp(path, dir, dir_len) == 0
			&& (path[dir_len] == '/' || !path[dir_len]);
}

static bool link_of(char out[PATH_ROOM], const char *link)
{
	ssize_t n = readlink(link, out, PATH_ROOM - 1);

	if (n <= 0)
		return false;
	out[n] = 0;
	return true;
}

bool path_of_fd(char out[PATH_ROOM], int fd)
{
	char link[40];
	int e = errno;

	if (!dir_len || inside)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	bool yes = link_of(out, link) && below(out);
	errno = e;
	return yes;
}

bool path_at(char out[PATH_ROOM], int at, const char *name)
{
	char base[PATH_ROOM], link[40];

	if (!dir_len || inside || !name)
		return false;
	if (name[0] == '/')
		return snprintf(out, PATH_ROOM, "%s", name) < PATH_ROOM
				&& below(out);
	if (at == AT_FDCWD)
		strcpy(link, "/proc/self/cwd");
	else
		snprintf(link, sizeof(link), "/proc/self/fd/%d", at);
	if (!link_of(base, link))
		return false;
	if (strcmp(name, ".") == 0)
		name = "";
	return snprintf(out, PATH_ROOM, "%s%s%s", base, *name ? "/" : "", name)
			< PATH_ROOM
			&& below(out);
}

bool read_fails(int fd, off_t at, size_t len)
{
	char path[PATH_ROOM];

	if ((!read_pattern && act != ACT_DEAD) || !path_of_fd(path, fd))
		return false;
	int e = errno;
	if (at < 0)
		at = lseek(fd, 0, SEEK_CUR);
	bool fails = state->dead
			|| (read_pattern && path[dir_len]
					&& fnmatch(read_pattern,
							   path + dir_len + 1,
							   0)
							== 0
					&& (read_byte < 0
							|| (read_byte >= at
									&& read_byte - at
											< (off_t)len)));
	errno = !fails ? e : state->dead ? EIO : read_errno;
	return fails;
}

/* --- counting and acting --- */

static _Noreturn void die_now(void)
{
	kill(0, SIGKILL);
	for (;;)
		pause();
}

/* Opened for each line: programs close descriptors that they don't know, and
 * the number may then be another file's. */
static void log_call(unsigned long number, const char *name, const char *path,
		const char *to)
{
	int fd;

	if (!log_path)
		return;
	fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		fatal(log_path);
	dprintf(fd, "%lu %s %s %s\n", number, name, path, to ? to : "");
	close(fd);
}

static bool fails_now(unsigned long number, bool room)
{
	if (act == ACT_DEAD && number == act_at)
		state->dead = true;
	return state->dead || (act == ACT_ERROR && number == act_at)
			|| (act == ACT_FULL && act_at && number >= act_at
					&& room);
}

struct call enter(const char *name, const char *path, const char *to, bool room)
{
	struct call c = { 0 };

	state_lock();
	inside = true;
	c.number = ++state->count;
	log_call(c.number, name, path, to);
	if (stop_pattern && to && fnmatch(stop_pattern, to, 0) == 0) {
		stop_pattern = NULL;
		raise(SIGSTOP);
	}
	if (c.number == act_at && act == ACT_BEFORE)
		die_now();
	c.halve = c.number == act_at && act == ACT_SHORT;
	c.fail = fails_now(c.number, room);
	if (c.fail) {
		pthread_mutex_unlock(&state->lock);
		inside = false;
		errno = act_errno;
	}
	return c;
}

void leave(const struct call *c)
{
	int e = errno;

	if (c->number == act_at) {
		if (act == ACT_LOSS || act == ACT_TORN)
			lose(act == ACT_TORN, (unsigned)act_at);
		if (act == ACT_LOSS || act == ACT_TORN || act == ACT_AFTER)
			die_now();
	}
	inside = false;
	pthread_mutex_unlock(&state->lock);
	errno = e;
}
