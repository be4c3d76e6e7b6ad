/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of the shim share: killshim.c (the calls), shim_state.c (how
 * many there were and what happens at one), shim_undo.c (what is not durable
 * yet, and its loss). SHIM_* is described in killshim.c.
 *
 * All durable calls of all processes go one after the other, under the lock
 * in the shared state, so that a loss meets none that is under way.
 */
#ifndef AMBERFS_TESTS_SHIM_H
#define AMBERFS_TESTS_SHIM_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#define PATH_ROOM 400
#define FILES_MAX 512
#define UNDO_MAX 65536
#define NAMES_MAX 4096

struct file { /* has bytes that are not fsynced */
	ino_t ino;
	off_t size; /* what of its size is durable */
};

struct undo { /* bytes that were overwritten and not fsynced */
	ino_t ino;
	off_t at, pos; /* in the file, in SHIM_STATE.undo */
	size_t len;
};

enum change { MADE, MADE_DIRECTORY, RENAMED, DELETED, DELETED_DIRECTORY };

struct name { /* a change of a directory that is not fsynced */
	enum change change;
	char from[PATH_ROOM]; /* RENAMED */
	char path[PATH_ROOM];
	unsigned long kept;    /* number of the link to what went; 0: none */
	struct timespec mtime; /* of the directory before */
};

/* In SHIM_STATE, so that forked and executed programs share it. */
struct state {
	pthread_mutex_t lock;
	bool ready;
	bool dead; /* ACT_DEAD has begun */
	unsigned long count, kept;
	unsigned file_count, undo_count, name_count;
	struct file files[FILES_MAX];
	struct undo undo[UNDO_MAX];
	struct name names[NAMES_MAX];
};

extern struct state *state;
/* Where the shim keeps files of its own: SHIM_STATE with an ending. */
extern char side_path[PATH_ROOM], undo_path[PATH_ROOM];
/* Set while the shim itself calls, so that it isn't counted. */
extern __thread bool inside;

_Noreturn void fatal(const char *what);

/* Of an open file, or of NAME in the directory AT: true if it is below SHIM_DIR
 * and the call is not the shim's own. */
bool path_of_fd(char out[PATH_ROOM], int fd);
bool path_at(char out[PATH_ROOM], int at, const char *name);

/* A read of this open file fails, with errno set; AT -1: where it stands. */
bool read_fails(int fd, off_t at, size_t len);

struct call {
	unsigned long number;
	bool fail, halve; /* what must be done; errno is set */
};
/* Takes the lock, counts, logs; ROOM: the call may need room on the disk. If
 * it must fail the lock is free again; else leave() must follow, which keeps
 * errno. */
struct call enter(const char *name, const char *path, const char *to,
		bool room);
void leave(const struct call *c);

/* The link that a file is kept by is none of the program's. */
void hide_link(struct stat *st);

/* Between enter() and leave(); those with "will" before the call. */
void will_change(int fd, off_t at, size_t len);
void did_write_through(int fd, off_t end); /* O_SYNC, O_DSYNC */
void did_sync(int fd, const char *path);
struct name *will_name(enum change change, const char *from, const char *path);
void did_name(struct name *n, bool done);
/* Takes back all that is not durable; TORN: or some of it. */
void lose(bool torn, unsigned seed);

#endif
