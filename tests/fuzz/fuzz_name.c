/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzz entry: the rule for names. Input: bytes, taken once for a name and once
 * for an escaped one, up to the first NUL.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "repo/format/name.h"

static void check_component(const char *escaped)
{
	char component[NAME_COMPONENT_MAX + 1];
	size_t len;
	memset(component, 'x', sizeof(component));
	name_component(component, escaped);
	len = strnlen(component, sizeof(component));
	must(len >= 1 && len <= NAME_COMPONENT_MAX);
	must(strchr(component, '/') == NULL && component[0] != '.');
	must((strcmp(component, escaped) == 0)
			== (strlen(escaped) <= NAME_COMPONENT_MAX));
	/* A shortened one is no escaped name, so that neither can pose as the
	 * other. */
	must(fuzz_is_escaped(component)
			== (strlen(escaped) <= NAME_COMPONENT_MAX));
}

static void try_raw(const char *name)
{
	char *escaped = name_escape(name, strlen(name)), *back;
	size_t len = SIZE_MAX;
	must(escaped != NULL && fuzz_is_escaped(escaped));
	must(strlen(escaped) <= 3 * strlen(name) + 1);
	back = name_unescape(escaped, &len);
	must(back != NULL && len == strlen(name) && strcmp(back, name) == 0);
	check_component(escaped);
	free(escaped);
	free(back);
}

static void try_escaped(const char *text)
{
	size_t len = SIZE_MAX;
	char *name = name_unescape(text, &len), *again;
	must((name != NULL) == fuzz_is_escaped(text));
	if (name == NULL) {
		must(errno == EINVAL);
		return;
	}
	must(len == strlen(name));
	again = name_escape(name, len);
	must(again != NULL && strcmp(again, text) == 0);
	check_component(text);
	free(name);
	free(again);
}

/* Nothing that a terminal obeys, and it fits. */
static void try_display(const char *name, size_t room)
{
	char *shown = malloc(room + 1);
	must(shown != NULL);
	memset(shown, 'x', room + 1);
	must(name_display(shown, room, name) == shown);
	must(shown[room] == 'x');
	if (room > 0)
		must(strnlen(shown, room) < room);
	for (size_t i = 0; room > 0 && shown[i]; i++) {
		unsigned char c = (unsigned char)shown[i];
		must(c >= 0x20 && c != 0x7f);
		/* C1 controls and the bidirectional overrides. */
		must(c != 0xc2 || (unsigned char)shown[i + 1] >= 0xa0);
		must(strncmp(&shown[i], "\xe2\x80\xae", 3) != 0);
	}
	free(shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = calloc(1, size + 1);
	fuzz_seal(true);
	must(text != NULL);
	if (size > 0)
		memcpy(text, data, size);
	try_raw(text);
	try_escaped(text);
	for (size_t room = 0; room < 9; room++)
		try_display(text, room);
	try_display(text, 4 * size + 1);
	free(text);
	return 0;
}
