/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Secrets on their way in. They are kept in locked memory, never in an
 * argument list, and a passphrase command runs through /bin/sh as the user
 * wrote it. One trailing newline is not part of a passphrase from a file or a
 * command.
 */
#include "credentials.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"
#include "repo/base/report.h"
#include "repo/format/recovery.h"
#include "passphrase_command.h"
#include "secret_env.h"

#define SECRET_MAX 4096u
#define KEY_FILE_BYTES 32u
#define VARIABLE_MAX 64
#define CTRL_C 3
#define CTRL_D 4

/* AMBERFS_WHAT, or AMBERFS_TO_WHAT for the second repository "to". */
static void variable_name(char out[VARIABLE_MAX],
		const struct credentials *credentials, const char *what)
{
	const char *role = credentials->role != NULL ? credentials->role : "";
	snprintf(out, VARIABLE_MAX, "AMBERFS_%s%s%s", role,
			credentials->role != NULL ? "_" : "", what);
	for (char *p = out; *p != '\0'; p++)
		if (*p >= 'a' && *p <= 'z')
			*p = (char)(*p - 'a' + 'A');
}

static const char *environment(const struct credentials *credentials,
		const char *what)
{
	char name[VARIABLE_MAX];
	variable_name(name, credentials, what);
	return secret_env_get(name);
}

/* Options win over the environment, and that over the configuration; a key file
 * over a passphrase. */
struct chosen {
	const char *key_file, *text, *file, *command;
};

static struct chosen choose(const struct credentials *credentials)
{
	struct chosen ch = { .key_file = credentials->key_file,
		.file = credentials->passphrase_file,
		.command = credentials->passphrase_command };
	if (ch.key_file != NULL || ch.file != NULL || ch.command != NULL)
		return ch;
	ch.key_file = environment(credentials, "KEY_FILE");
	if (ch.key_file != NULL)
		return ch;
	ch.text = environment(credentials, "PASSPHRASE");
	ch.file = environment(credentials, "PASSPHRASE_FILE");
	ch.command = environment(credentials, "PASSPHRASE_COMMAND");
	if (ch.text != NULL || ch.file != NULL || ch.command != NULL)
		return ch;
	ch.key_file = credentials->configured.key_file;
	ch.file = credentials->configured.passphrase_file;
	ch.command = credentials->configured.passphrase_command;
	return ch;
}

bool credentials_given(const struct credentials *credentials)
{
	struct chosen ch = choose(credentials);
	return ch.key_file != NULL || ch.text != NULL || ch.file != NULL
			|| ch.command != NULL;
}

const char *credentials_key_file(const struct credentials *credentials)
{
	return choose(credentials).key_file;
}

const char *credentials_passphrase_file(const struct credentials *credentials)
{
	return choose(credentials).file;
}

const char *credentials_passphrase_command(
		const struct credentials *credentials)
{
	return choose(credentials).command;
}

const char *credentials_text(const struct credentials *credentials)
{
	return choose(credentials).text;
}

static int secret_alloc(struct secret *secret, enum keyslot_kind kind)
{
	secret->kind = kind;
	secret->len = 0;
	secret->bytes = seal_secret_alloc(SECRET_MAX + 1);
	return secret->bytes != NULL ? 0 : fail_no_memory("reading the key");
}

void credentials_clear_secret(struct secret *secret)
{
	seal_secret_free(secret->bytes);
	secret->bytes = NULL;
	secret->len = 0;
}

static int read_secret(struct secret *secret, int fd, const char *what)
{
	while (secret->len <= SECRET_MAX) {
		ssize_t n = read(fd, secret->bytes + secret->len,
				SECRET_MAX + 1 - secret->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_errno(-errno, "reading %s", what);
		if (n == 0)
			break;
		secret->len += (size_t)n;
	}
	if (secret->len > SECRET_MAX)
		return fail(-EINVAL, "%s is longer than %u bytes", what,
				SECRET_MAX);
	return 0;
}

static int not_empty(const struct secret *secret, const char *what)
{
	return secret->len ? 0 : fail(-EINVAL, "%s is empty", what);
}

static void strip_newline(struct secret *secret)
{
	if (secret->len && secret->bytes[secret->len - 1] == '\n')
		secret->len--;
	if (secret->len && secret->bytes[secret->len - 1] == '\r')
		secret->len--;
}

/* The secret is taken all the same: a restore must not fail for that. A group
 * may be meant to read it. */
static void warn_readable(int fd, const char *what)
{
	struct stat st;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)
			&& (st.st_mode & (S_IWGRP | S_IRWXO)) != 0)
		report_warning("%s is open to other users (its mode is %04o); "
			       "chmod 600 keeps them out",
				what, st.st_mode & 07777);
}

static int from_file(struct secret *secret, const char *path, const char *kind,
		const struct credentials *credentials)
{
	char what[512];
	snprintf(what, sizeof(what), "%s %s", kind, path);
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail_errno(-errno, "opening %s", what);
	if (!credentials->mode_known)
		warn_readable(fd, what);
	int err = read_secret(secret, fd, what);
	if (err < 0)
		return err;
	if (secret->kind == KEYSLOT_PASSPHRASE)
		strip_newline(secret);
	return err < 0 ? err : not_empty(secret, what);
}

static int from_command(struct secret *secret, const char *command)
{
	int err = passphrase_command_run(command, secret->bytes, SECRET_MAX,
			&secret->len);
	if (err < 0)
		return err;
	strip_newline(secret);
	return not_empty(secret, "the passphrase command's output");
}

/* What a key typed at the prompt does. 1: the line is done. */
static int take_key(struct secret *secret, char c)
{
	if (c == '\n' || c == CTRL_D)
		return 1;
	if (c == CTRL_C)
		return fail(-ECANCELED, "interrupted");
	if (secret->len == SECRET_MAX)
		return fail(-EINVAL, "the passphrase is too long");
	secret->bytes[secret->len++] = c;
	return 0;
}

/* One line from the terminal without echo. Its signals are off meanwhile and
 * Ctrl-C is read as a key, so that the terminal is always restored. */
static int prompt_line(struct secret *secret, int tty, const char *prompt)
{
	struct termios old, quiet;
	bool echo_off = tcgetattr(tty, &old) == 0;
	int err = 0;
	secret->len = 0;
	if (echo_off) {
		quiet = old;
		quiet.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
		tcsetattr(tty, TCSAFLUSH, &quiet);
	}
	/* Now: what is typed before is flushed. */
	dprintf(tty, "%s", prompt);
	while (err == 0) {
		char c;
		ssize_t n = read(tty, &c, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			err = fail_errno(-errno, "reading the passphrase");
		else
			err = n == 0 ? 1 : take_key(secret, c);
	}
	if (echo_off)
		tcsetattr(tty, TCSAFLUSH, &old);
	dprintf(tty, "\n");
	return err < 0 ? err : not_empty(secret, "the passphrase");
}

static int no_key(const struct credentials *credentials, const char *repository)
{
	char key[VARIABLE_MAX], passphrase[VARIABLE_MAX];
	const char *role = credentials->role != NULL ? credentials->role : "",
		   *dash = credentials->role != NULL ? "-" : "";
	variable_name(key, credentials, "KEY_FILE");
	variable_name(passphrase, credentials, "PASSPHRASE_FILE");
	return fail(-ENOKEY,
			"no key for %s: use --%s%skey-file or "
			"--%s%spassphrase-file, or set %s or %s",
			repository, role, dash, role, dash, key, passphrase);
}

static int from_prompt(struct secret *secret,
		const struct credentials *credentials, const char *repository,
		bool confirm)
{
	char prompt[512];
	CLEANUP_FD int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (tty < 0)
		return no_key(credentials, repository);
	snprintf(prompt, sizeof(prompt), "%s for %s: ",
			confirm ? "New passphrase" : "Passphrase", repository);
	int err = prompt_line(secret, tty, prompt);
	if (err < 0 || !confirm)
		return err;
	struct secret again;
	err = secret_alloc(&again, KEYSLOT_PASSPHRASE);
	if (err == 0)
		err = prompt_line(&again, tty, "Repeat the passphrase: ");
	if (err == 0
			&& (again.len != secret->len
					|| !seal_equal(again.bytes,
							secret->bytes,
							secret->len)))
		err = fail(-EINVAL, "the two passphrases differ");
	credentials_clear_secret(&again);
	return err;
}

static int keep_prompted(const struct credentials *credentials,
		const struct secret *secret)
{
	char name[VARIABLE_MAX];
	variable_name(name, credentials, "PASSPHRASE");
	return secret_env_put(name, secret->bytes, secret->len);
}

static int read_chosen(const struct credentials *credentials, struct chosen ch,
		const char *repository, bool confirm, struct secret *out)
{
	int err = secret_alloc(out,
			ch.key_file != NULL ? KEYSLOT_KEY_FILE
					    : KEYSLOT_PASSPHRASE);
	if (err < 0)
		return err;
	if (ch.key_file != NULL) {
		err = from_file(out, ch.key_file, "key file", credentials);
	} else if (ch.text != NULL) {
		out->len = strlen(ch.text);
		if (out->len > SECRET_MAX)
			err = fail(-EINVAL, "the passphrase is too long");
		else
			memcpy(out->bytes, ch.text, out->len);
	} else if (ch.file != NULL) {
		err = from_file(out, ch.file, "passphrase file", credentials);
	} else if (ch.command != NULL) {
		err = from_command(out, ch.command);
	} else {
		err = from_prompt(out, credentials, repository, confirm);
		if (err == 0 && credentials->keep)
			err = keep_prompted(credentials, out);
	}
	if (err < 0)
		credentials_clear_secret(out);
	return err;
}

int credentials_secret(const struct credentials *credentials,
		const char *repository, bool confirm, struct secret *out)
{
	return read_chosen(credentials, choose(credentials), repository,
			confirm, out);
}

int credentials_new_secret(const struct credentials *credentials,
		const char *repository, struct secret *out)
{
	struct chosen ch = { .key_file = credentials->key_file,
		.file = credentials->passphrase_file,
		.command = credentials->passphrase_command };
	int err = read_chosen(credentials, ch, repository, true, out);
	return err != -ENOKEY
			? err
			: fail(err,
					"no terminal to ask for the new "
					"passphrase; use "
					"--new-passphrase-file or another key");
}

int credentials_recovery_key(struct secret *out)
{
	int err = secret_alloc(out, KEYSLOT_RECOVERY);
	if (err < 0)
		return err;
	out->len = RECOVERY_SIZE;
	seal_random(out->bytes, out->len);
	return 0;
}

/* Of PATH, whose last component is *LEAF. A descriptor, or -errno with a text. */
static int open_parent(const char *path, const char **leaf)
{
	CLEANUP_FREE char *directory = strdup(path);
	if (directory == NULL)
		return fail_errno(-ENOMEM, "opening the directory of %s", path);
	char *slash = strrchr(directory, '/');
	*leaf = slash != NULL ? path + (slash - directory) + 1 : path;
	if (slash != NULL)
		slash[slash == directory ? 1 : 0] = '\0';
	int fd = open(slash != NULL ? directory : ".",
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? fail_errno(-errno, "opening the directory of %s", path)
		      : fd;
}

/* What the repository relies on must outlive a power failure. */
static int sync_parent(const char *path)
{
	const char *leaf;
	CLEANUP_FD int directory = open_parent(path, &leaf);
	if (directory < 0)
		return directory;
	return fsync(directory) == 0 ? 0 : -errno;
}

int credentials_make_key_file(const char *path)
{
	uint8_t key[KEY_FILE_BYTES];
	char text[2 * KEY_FILE_BYTES + 2];
	CLEANUP_FD int fd = open(path,
			O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
			0600);
	if (fd < 0)
		return fail_errno(-errno, "making key file %s", path);
	seal_random(key, sizeof(key));
	hex_encode(text, key, sizeof(key));
	text[sizeof(text) - 2] = '\n';
	ssize_t n = write(fd, text, sizeof(text) - 1);
	int err = n == (ssize_t)sizeof(text) - 1 && fsync(fd) == 0
			? sync_parent(path)
			: n < 0 ? -errno
				: -EIO;
	if (err < 0)
		fail_errno(err, "writing key file %s", path);
	seal_wipe(key, sizeof(key));
	seal_wipe(text, sizeof(text));
	if (err < 0)
		unlink(path);
	return err;
}
