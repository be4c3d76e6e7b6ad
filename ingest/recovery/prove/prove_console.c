/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Terminal escapes are removed from the stream (a coloured prompt must be found
 * too), and so are carriage returns and NULs. The file is truncated from time
 * to time; its writer appends, so it continues at the new end.
 */
#include "prove_console.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "repo/base/error.h"
#include "repo/base/printable.h"

#define FILE_MAX ((off_t)16 << 20)
#define ESCAPE '\033'

int prove_console_pattern(regex_t *out, const char *pattern)
{
	char why[256];
	int err = regcomp(out, pattern, REG_EXTENDED | REG_NEWLINE | REG_NOSUB);
	if (err == 0)
		return 0;
	regerror(err, out, why, sizeof(why));
	return fail(-EINVAL, "%s is not a valid regular expression: %s",
			pattern, why);
}

int prove_console_open(struct prove_console *console, const char *path)
{
	memset(console, 0, sizeof(*console));
	console->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	return console->fd < 0 ? fail_errno(-errno, "opening %s", path) : 0;
}

void prove_console_close(struct prove_console *console)
{
	if (console->fd >= 0)
		close(console->fd);
	console->fd = -1;
}

/* The second half of a full buffer is enough to continue with. */
static void put(struct prove_console *console, char byte)
{
	if (console->len == CONSOLE_TEXT_MAX) {
		console->len = CONSOLE_TEXT_MAX / 2;
		memmove(console->text,
				console->text + CONSOLE_TEXT_MAX - console->len,
				console->len);
	}
	console->text[console->len++] = byte;
}

/* "ESC [ … letter" and "ESC letter": all that firmware and systems send to a
 * serial port. */
static void take(struct prove_console *console, char byte)
{
	if (byte == ESCAPE) {
		console->in_escape = true;
	} else if (console->in_escape) {
		if (strchr("[]()?;=>#0123456789", byte) == NULL || byte == '\0')
			console->in_escape = false;
	} else if (byte != '\r' && byte != '\0') {
		put(console, byte);
	}
}

int prove_console_read(struct prove_console *console)
{
	char buf[16384];
	ssize_t n = 0;
	while ((n = pread(console->fd, buf, sizeof(buf), console->at)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			take(console, buf[i]);
		console->at += n;
		if (console->at >= FILE_MAX) {
			if (ftruncate(console->fd, 0) < 0)
				break;
			console->at = 0;
		}
	}
	console->text[console->len] = '\0';
	return n < 0 ? fail_errno(-errno, "reading the guest's console") : 0;
}

bool prove_console_has(const struct prove_console *console,
		const regex_t *pattern)
{
	return regexec(pattern, console->text, 0, NULL, 0) == 0;
}

/* The start of the line that ends before END. */
static const char *line_start(const struct prove_console *console,
		const char *end)
{
	while (end > console->text && end[-1] != '\n')
		end--;
	return end;
}

static bool is_blank(const char *line, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (line[i] != ' ' && line[i] != '\t')
			return false;
	return true;
}

json_t *prove_console_tail(const struct prove_console *console, unsigned lines)
{
	json_t *list = json_array();
	const char *end = console->text + console->len;
	while (list != NULL && json_array_size(list) < lines) {
		const char *start = line_start(console, end);
		size_t len = (size_t)(end - start);
		char line[512];
		char shown[512];
		if (!is_blank(start, len)) {
			len = len < sizeof(line) ? len : sizeof(line) - 1;
			memcpy(line, start, len);
			line[len] = '\0';
			json_array_insert_new(list, 0,
					json_string(printable(shown,
							sizeof(shown), line)));
		}
		if (start == console->text)
			break;
		end = start - 1;
	}
	return list;
}
