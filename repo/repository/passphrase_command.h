/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Running the command that prints a passphrase. */
#ifndef AMBERFS_REPOSITORY_PASSPHRASE_COMMAND_H
#define AMBERFS_REPOSITORY_PASSPHRASE_COMMAND_H

#include <stddef.h>

/*
 * Runs COMMAND with /bin/sh and reads what it prints, at most ROOM bytes, until
 * it closes its standard output or ends, whichever comes first: what it leaves
 * running in the background is not waited for. A command that prints more gets
 * SIGPIPE. *LEN: the bytes read. 0; -EINVAL: it printed more than ROOM bytes;
 * -EIO: it failed; -errno. With a text.
 */
int passphrase_command_run(const char *command, char *out, size_t room,
		size_t *len);

#endif
