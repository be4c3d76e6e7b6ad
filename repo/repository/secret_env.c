/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Taking passphrases out of the environment; see secret_env.h. The strings lie
 * where the kernel put them at exec, at the top of the stack, which
 * /proc/PID/environ shows: they are overwritten there. What the shell that
 * started us keeps can't be wiped from here.
 */
#include "secret_env.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/error.h"
#include "repo/crypto/seal.h"

#define TAKEN_MAX 4
#define PREFIX "AMBERFS_"
#define SUFFIX "PASSPHRASE="

extern char **environ;

static struct {
	char *text; /* "NAME=value", secret memory */
	size_t name_len;
} taken[TAKEN_MAX];
static int count;

static bool is_secret(const char *entry)
{
	const char *end = strchr(entry, '=');
	size_t len = end != NULL ? (size_t)(end - entry) + 1 : 0;
	return len >= strlen(PREFIX SUFFIX)
			&& strncmp(entry, PREFIX, strlen(PREFIX)) == 0
			&& strncmp(entry + len - strlen(SUFFIX), SUFFIX,
					   strlen(SUFFIX))
			== 0;
}

static int take(char *entry)
{
	size_t len = strlen(entry);
	char *copy = seal_secret_alloc(len + 1);
	if (copy == NULL)
		return fail_no_memory("taking the passphrase");
	memcpy(copy, entry, len + 1);
	seal_wipe(entry, len);
	taken[count].text = copy;
	taken[count++].name_len = (size_t)(strchr(copy, '=') - copy);
	return 0;
}

int secret_env_take(void)
{
	int err = seal_global_init();
	if (err < 0 || environ == NULL)
		return err;
	char **to = environ;
	for (char **from = environ; *from != NULL; from++) {
		if (err == 0 && count < TAKEN_MAX && is_secret(*from))
			err = take(*from);
		else
			*to++ = *from;
	}
	*to = NULL;
	seal_forget_stack();
	return err;
}

int secret_env_put(const char *name, const char *value, size_t len)
{
	size_t name_len = strlen(name);
	if (count == TAKEN_MAX)
		return fail(-ENOSPC, "too many passphrases");
	char *copy = seal_secret_alloc(name_len + len + 2);
	if (copy == NULL)
		return fail_no_memory("keeping the passphrase");
	memcpy(copy, name, name_len);
	copy[name_len] = '=';
	memcpy(copy + name_len + 1, value, len);
	copy[name_len + 1 + len] = '\0';
	taken[count].text = copy;
	taken[count++].name_len = name_len;
	return 0;
}

const char *secret_env_get(const char *name)
{
	const char *v = getenv(name);
	for (int i = 0; i < count; i++)
		if (strlen(name) == taken[i].name_len
				&& strncmp(taken[i].text, name,
						   taken[i].name_len)
						== 0)
			v = taken[i].text + taken[i].name_len + 1;
	return v != NULL && *v ? v : NULL;
}

void secret_env_forget(void)
{
	while (count > 0)
		seal_secret_free(taken[--count].text);
}
