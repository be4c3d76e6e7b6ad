/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The output of a command that the user names. It is started without a shell,
 * with an empty standard input; its messages go to our standard error.
 *
 * Threading: one thread at a time.
 */
#ifndef AMBERFS_INGEST_SOURCE_COMMAND_STREAM_H
#define AMBERFS_INGEST_SOURCE_COMMAND_STREAM_H

#include <sys/types.h>

struct command_stream {
	const char *name; /* ARGV[0] */
	pid_t pid;	  /* 0: none */
	int fd;		  /* its output; -1: none */
};

/* ARGV is NULL-terminated, ARGV[0] is searched in PATH; both are needed until the
 * end. 0, or -errno with a text. */
int command_stream_start(struct command_stream *stream, char *const argv[]);

/* Closes the output and waits. 0 if the command exited with status 0; -EIO with
 * a text. */
int command_stream_end(struct command_stream *stream);

/* Ends it if it runs, where its output is of no use any more. */
void command_stream_kill(struct command_stream *stream);

#endif
