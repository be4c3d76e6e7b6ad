/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One file, by inih: it asks for the lines one by one and answers with keys and
 * values. What it would pass over in silence is looked for in the lines before it
 * gets them, and it is the count of these that tells where a mistake is:
 *
 *	- a line that begins with blanks, with which inih would continue the value
 *	  before: the blanks are taken away;
 *	- a line that is longer than its buffer;
 *	- " ;" in a value, from where on inih would leave it out;
 *	- a line from which it makes nothing.
 *
 * Sections are told apart here too, as inih says nothing of empty ones.
 */
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "configuration_internal.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/options.h"
#include "repo/base/printable.h"

#define DOING "reading the configuration"
#define SHOWN_MAX 128
#define UTF8_BOM "\xef\xbb\xbf"

struct reading {
	struct configuration *into;
	struct configuration_section *section; /* NULL: none, or a bad one */
	bool in_section;		       /* a heading has been seen */
	const char *file, *at, *end;
	unsigned line;
	bool pending; /* a key is expected of the line under way */
	int err;      /* -ENOMEM */
};

#define PROBLEM(reading, ...)                                                  \
	note((reading),                                                        \
			configuration_problem((reading)->into,                 \
					(reading)->section, (reading)->file,   \
					(reading)->line, __VA_ARGS__))

static void note(struct reading *reading, int err)
{
	if (reading->err == 0)
		reading->err = err;
}

/* --- sections --- */

static void add_section(struct reading *reading, enum section_kind kind,
		const char *name)
{
	struct configuration *into = reading->into;
	struct configuration_section **grown =
			reallocarray(into->sections, into->section_count + 1,
					sizeof(struct configuration_section *));
	struct configuration_section *section = calloc(1, sizeof(*section));
	char *copy = strdup(name);
	if (grown != NULL)
		into->sections = grown;
	if (grown == NULL || section == NULL || copy == NULL) {
		free(section);
		free(copy);
		note(reading, fail_no_memory(DOING));
		return;
	}
	*section = (struct configuration_section){ .kind = kind,
		.name = copy,
		.file = reading->file,
		.line = reading->line };
	into->sections[into->section_count++] = section;
	reading->section = section;
}

static void begin_named(struct reading *reading, enum section_kind kind,
		const char *name)
{
	char shown[SHOWN_MAX];
	const struct configuration_section *other =
			configuration_find(reading->into, kind, name);
	if (!setting_is_name(name))
		PROBLEM(reading,
				"\"%s\" is no name for a %s: use 1 to 32 "
				"letters, digits, '-', '_' and '.'",
				printable(shown, sizeof(shown), name),
				section_kind_name(kind));
	else if (other != NULL)
		PROBLEM(reading, "[%s %s] is given twice: also in %s, line %u",
				section_kind_name(kind), name, other->file,
				other->line);
	else
		add_section(reading, kind, name);
}

static void unknown_section(struct reading *reading, const char *heading)
{
	static const char *const words[] = { "repository", "job", NULL };
	char shown[SHOWN_MAX], word[SHOWN_MAX];
	snprintf(word, sizeof(word), "%.*s", (int)strcspn(heading, " \t"),
			heading);
	const char *near = options_nearest_word(word, words);
	PROBLEM(reading,
			"[%s] is no section: there are [repository NAME] and "
			"[job NAME]%s%s%s",
			printable(shown, sizeof(shown), heading),
			near != NULL ? "; did you mean [" : "",
			near != NULL ? near : "", near != NULL ? " ...]?" : "");
}

/* LINE begins with '['. */
static void begin_section(struct reading *reading, char *line)
{
	char *end = strchr(line, ']');
	int len;
	reading->section = NULL;
	reading->in_section = true;
	const char *rest =
			end != NULL ? end + 1 + strspn(end + 1, " \t\r") : "";
	if (end == NULL || (*rest != '\0' && *rest != ';' && *rest != '#')) {
		PROBLEM(reading,
				"a section begins with a line that ends with "
				"']', such as [job nightly]");
		return;
	}
	*end = '\0';
	for (char *last = end; last > line + 1 && strchr(" \t", last[-1]);
			last--)
		last[-1] = '\0';
	const char *heading = line + 1 + strspn(line + 1, " \t");
	const char *name = setting_after_word(heading, &len);
	if (len == 10 && strncmp(heading, "repository", 10) == 0)
		begin_named(reading, SECTION_REPOSITORY, name);
	else if (len == 3 && strncmp(heading, "job", 3) == 0)
		begin_named(reading, SECTION_JOB, name);
	else
		unknown_section(reading, heading);
}

/* --- keys --- */

static void add_entry(struct reading *reading, const struct setting *setting,
		const char *value)
{
	struct configuration_section *section = reading->section;
	struct configuration_entry *grown = reallocarray(section->entries,
			section->count + 1, sizeof(*grown));
	char *copy = strdup(value);
	if (grown != NULL)
		section->entries = grown;
	if (grown == NULL || copy == NULL) {
		free(copy);
		note(reading, fail_no_memory(DOING));
		return;
	}
	grown[section->count++] = (struct configuration_entry){
		.setting = setting,
		.value = copy,
		.file = reading->file,
		.line = reading->line,
	};
}

static void unknown_key(struct reading *reading, const char *name)
{
	char shown[SHOWN_MAX];
	enum section_kind kind = reading->section->kind;
	const char *near = setting_nearest(kind, name);
	PROBLEM(reading, "a %s has no setting \"%s\"%s%s%s",
			section_kind_name(kind),
			printable(shown, sizeof(shown), name),
			near != NULL ? "; did you mean \"" : "",
			near != NULL ? near : "", near != NULL ? "\"?" : "");
}

static void take(struct reading *reading, const char *name, const char *value)
{
	const struct setting *setting =
			setting_find(reading->section->kind, name);
	const struct configuration_entry *before =
			setting != NULL && !setting->list
			? configuration_entry(reading->section, name)
			: NULL;
	if (setting == NULL)
		unknown_key(reading, name);
	else if (before != NULL)
		PROBLEM(reading, "%s is given twice: also in line %u", name,
				before->line);
	else if (*value == '\0')
		PROBLEM(reading, "%s has no value", name);
	else if (setting->check(value) < 0)
		PROBLEM(reading, "%s %s", name, error_text(-EINVAL));
	else
		add_entry(reading, setting, value);
}

/* inih's; what it returns is not used. */
static int on_key(void *ctx, const char *section, const char *name,
		const char *value)
{
	struct reading *reading = ctx;
	(void)section;
	reading->pending = false;
	if (reading->section != NULL)
		take(reading, name, value);
	else if (!reading->in_section)
		PROBLEM(reading,
				"it belongs to no section: [repository NAME] or "
				"[job NAME] must come first");
	return 1;
}

/* --- lines --- */

static void end_line(struct reading *reading)
{
	if (reading->pending)
		PROBLEM(reading,
				"this is neither KEY = VALUE, nor a [section], "
				"nor a comment");
	reading->pending = false;
}

static bool has_control(const char *line)
{
	for (; *line != '\0'; line++)
		if (((unsigned char)*line < ' ' && *line != '\t')
				|| *line == 0x7f)
			return true;
	return false;
}

/* LINE is a key's. False: inih is not to see it. */
static bool fits_inih(struct reading *reading, const char *line, size_t room)
{
	const char *value = line + strcspn(line, "=:");
	const char *blank = strpbrk(value, " \t");
	while (blank != NULL && blank[1] != ';')
		blank = strpbrk(blank + 1, " \t");
	if (has_control(line))
		PROBLEM(reading, "it has control characters");
	else if (strlen(line) > room)
		PROBLEM(reading,
				"the line is longer than %zu bytes; a long "
				"command can be put into a script",
				room);
	else if (blank != NULL)
		PROBLEM(reading,
				"a value can't have \" ;\" in it: comments have "
				"lines of their own, and a command with it can "
				"be put into a script");
	else
		return true;
	return false;
}

/* The next line without its end and the blanks around it, to free; NULL: none. */
static char *next_line(struct reading *reading)
{
	const char *from = reading->at;
	const char *end = memchr(from, '\n', (size_t)(reading->end - from));
	end = end != NULL ? end : reading->end;
	reading->at = end < reading->end ? end + 1 : end;
	reading->line++;
	while (from < end && (*from == ' ' || *from == '\t'))
		from++;
	while (end > from && strchr(" \t\r", end[-1]) != NULL)
		end--;
	char *line = strndup(from, (size_t)(end - from));
	if (line == NULL)
		note(reading, fail_no_memory(DOING));
	return line;
}

/* inih's: like fgets. */
static char *on_line(char *out, int size, void *ctx)
{
	struct reading *reading = ctx;
	end_line(reading);
	if (reading->at == reading->end || reading->err < 0 || size < 8)
		return NULL;
	CLEANUP_FREE char *line = next_line(reading);
	const char *shown = "";
	if (line == NULL)
		return NULL;
	if (*line == '[') {
		begin_section(reading, line);
	} else if (*line != '\0' && *line != '#' && *line != ';'
			&& fits_inih(reading, line, (size_t)size - 3)) {
		shown = line;
		reading->pending = true;
	}
	snprintf(out, (size_t)size, "%s\n", shown);
	return out;
}

int configuration_read(struct configuration *configuration, const char *file,
		const char *text, size_t len)
{
	size_t mark = strlen(UTF8_BOM);
	if (len >= mark && memcmp(text, UTF8_BOM, mark) == 0) {
		text += mark;
		len -= mark;
	}
	struct reading reading = { .into = configuration,
		.file = file,
		.at = text,
		.end = text + len };
	const char *nul = len > 0 ? memchr(text, '\0', len) : NULL;
	if (nul != NULL)
		return configuration_problem(configuration, NULL, file, 0,
				"it is no text");
	if (ini_parse_stream(on_line, &reading, on_key, &reading) == -2)
		return fail_no_memory(DOING);
	return reading.err;
}
