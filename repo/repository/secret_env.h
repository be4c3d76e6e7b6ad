/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Passphrases in the environment (AMBERFS_PASSPHRASE, or any AMBERFS_…
 * PASSPHRASE): moved into secret memory when a program starts, so that neither
 * /proc/PID/environ nor a core dump nor a child process shows them.
 * Threading: secret_env_take, _put and _forget while there is one thread.
 */
#ifndef AMBERFS_REPOSITORY_SECRET_ENV_H
#define AMBERFS_REPOSITORY_SECRET_ENV_H

#include <stddef.h>

/* The first thing that a program does which may start others or hold keys. 0,
 * or -errno with a text. Calling it again does nothing. */
int secret_env_take(void);

/* The value of the variable NAME, taken or still in the environment; NULL if
 * it is absent or empty. Valid until secret_env_forget. */
const char *secret_env_get(const char *name);

/* As if the environment had held NAME with VALUE at the start. 0 or -errno with
 * a text. */
int secret_env_put(const char *name, const char *value, size_t len);

/* Wipes what was taken: for a process that will ask for no key again. */
void secret_env_forget(void);

#endif
