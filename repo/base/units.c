/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Texts of sizes, durations and times; independent of locale and time zone. */
#include "units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bytes.h"
#include "error.h"

#define YEAR_10000 253402300800 /* seconds from 1970 */

#define AHEAD_MAX 86400 /* seconds */

static const char unit_letters[] = "KMGTPE";

char *count_format(char out[COUNT_TEXT_MAX], uint64_t count, const char *noun)
{
	snprintf(out, COUNT_TEXT_MAX, "%" PRIu64 " %.24s%s", count, noun,
			count == 1 ? "" : "s");
	return out;
}

char *size_format(char out[SIZE_TEXT_MAX], uint64_t bytes)
{
	int unit = 0;
	double v = (double)bytes;
	if (bytes < KIB) {
		snprintf(out, SIZE_TEXT_MAX, "%u B", (unsigned)bytes);
		return out;
	}
	for (v /= 1024; v >= 1023.5 && unit < 5; unit++)
		v /= 1024;
	/* Whole figures stay whole: "64 KiB", not "64.0 KiB". */
	uint64_t whole = (uint64_t)(v + 0.5);
	if (v >= 99.95 || whole << (10 * (unit + 1)) == bytes)
		snprintf(out, SIZE_TEXT_MAX, "%.0f %ciB", v,
				unit_letters[unit]);
	else
		snprintf(out, SIZE_TEXT_MAX, "%.1f %ciB", v,
				unit_letters[unit]);
	return out;
}

static int is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reads digits; -1 on overflow, else their number. */
static int parse_whole(uint64_t *value, const char **text)
{
	int digits = 0;
	*value = 0;
	for (; is_digit(**text); ++*text, digits++)
		if (__builtin_mul_overflow(*value, 10u, value)
				|| __builtin_add_overflow(*value,
						(uint64_t)(**text - '0'),
						value))
			return -1;
	return digits;
}

/* Reads digits as a fraction VALUE / SCALE. Those beyond the 15th are worth
 * less than a byte in any unit that a size can have, or nearly so. */
static int parse_fraction(uint64_t *value, uint64_t *scale, const char **text)
{
	int digits = 0;
	*value = 0;
	*scale = 1;
	for (; is_digit(**text); ++*text)
		if (++digits <= 15) {
			*value = *value * 10 + (uint64_t)(**text - '0');
			*scale *= 10;
		}
	return digits;
}

/* Reads "", "B", "M", "MB" or "MiB" up to the end; -1 for anything else. */
static int parse_suffix(const char *text)
{
	int shift = 0;
	if (*text == ' ' && text[1] != '\0')
		text++;
	if (*text != '\0' && *text != 'B') {
		char upper = *text >= 'a' ? (char)(*text - 'a' + 'A') : *text;
		const char *letter = strchr(unit_letters, upper);
		if (letter == NULL)
			return -1;
		shift = 10 * (int)(letter - unit_letters + 1);
		text++;
		if (text[0] == 'i' && text[1] == 'B')
			text++;
	}
	if (*text == 'B')
		text++;
	return *text == '\0' ? shift : -1;
}

static int bad_size(const char *text)
{
	return fail(-EINVAL,
			"\"%.40s\" is not a size: use for example 4096, "
			"512K, 64M or 1.5G",
			text);
}

int size_parse(uint64_t *bytes, const char *text)
{
	uint64_t whole, part = 0, scale = 1;
	const char *p = text;
	int digits = parse_whole(&whole, &p);
	if (digits == 0)
		return bad_size(text);
	if (digits > 0 && *p == '.') {
		p++;
		if (parse_fraction(&part, &scale, &p) == 0)
			return bad_size(text);
	}
	int shift = digits < 0 ? 0 : parse_suffix(p);
	if (shift < 0 || (shift == 0 && scale > 1))
		return bad_size(text);
	if (digits < 0 || (shift > 0 && whole >> (64 - shift) != 0))
		return fail(-EINVAL,
				"\"%.40s\" is too large: sizes must be "
				"below 16E",
				text);
	/* PART / SCALE is below 1, so the sum stays below (WHOLE + 1) units. */
	unsigned __int128 fraction = ((unsigned __int128)part << shift) / scale;
	*bytes = (whole << shift) + (uint64_t)fraction;
	return 0;
}

static const struct time_unit {
	const char *name;
	int64_t seconds;
} age_units[] = {
	{ "y", 366 * 86400 },
	{ "mo", 31 * 86400 },
	{ "w", 7 * 86400 },
	{ "d", 86400 },
	{ "h", 3600 },
	{ "min", 60 },
	{ "s", 1 },
	{ NULL, 0 },
}, wait_units[] = {
	{ "d", 86400 },
	{ "h", 3600 },
	{ "min", 60 },
	{ "m", 60 },
	{ "s", 1 },
	{ NULL, 0 },
};

/* The unit that *TEXT begins with, of those from UNIT on; else NULL. */
static const struct time_unit *parse_time_unit(const char **text,
		const struct time_unit *unit)
{
	size_t len = strcspn(*text, "0123456789");
	for (; unit->name != NULL; unit++) {
		bool borgs = len == 1 && **text == 'H' && *unit->name == 'h';
		if (borgs
				|| (strlen(unit->name) == len
						&& strncmp(*text, unit->name,
								   len)
								== 0)) {
			*text += len;
			return unit;
		}
	}
	return NULL;
}

/* 0; -EINVAL: not of that form; -ERANGE. UNITS: from large to small. */
static int parse_time(int64_t *seconds, const char *text,
		const struct time_unit *units)
{
	const struct time_unit *unit = units;
	const char *p = text;
	uint64_t sum = 0, number;
	while (*p != '\0') {
		int digits = parse_whole(&number, &p);
		if (digits > 0 && number == 0 && *p == '\0' && unit == units)
			break;
		unit = digits == 0 ? NULL : parse_time_unit(&p, unit);
		if (unit == NULL)
			return -EINVAL;
		if (digits < 0 || number > AGE_MAX)
			number = AGE_MAX + 1; /* times 366 days: no overflow */
		sum += number * (uint64_t)unit->seconds;
		if (sum > AGE_MAX)
			return -ERANGE;
		unit++;
	}
	if (p == text)
		return -EINVAL;
	*seconds = (int64_t)sum;
	return 0;
}

/* FORM: what is expected, for people. */
static int parse_or_explain(int64_t *seconds, const char *text,
		const struct time_unit *units, const char *form)
{
	int err = parse_time(seconds, text, units);
	if (err == -ERANGE)
		return fail(-EINVAL,
				"\"%.40s\" is too long: the maximum is 100 "
				"years",
				text);
	return err == 0 ? 0 : fail(-EINVAL, "\"%.40s\" is not %s", text, form);
}

int age_parse(int64_t *seconds, const char *text)
{
	return parse_or_explain(seconds, text, age_units,
			"an age: use for example 30d, 12h or 1y6mo (s, min, h, "
			"d, w, mo for months, y; m alone could be either)");
}

int wait_parse(int64_t *seconds, const char *text)
{
	return parse_or_explain(seconds, text, wait_units,
			"a length of time: use for example 90s, 10min or 1h30m "
			"(s, min or m, h, d)");
}

char *age_format(char out[SIZE_TEXT_MAX], int64_t seconds)
{
	static const char *const names[] = { "days", "h", "min", "s" };
	const struct time_unit *units = &age_units[3]; /* days */
	size_t first = 0;
	if (seconds < 0)
		seconds = 0;
	while (first < 3 && seconds < units[first].seconds)
		first++;
	long long n = seconds / units[first].seconds;
	unsigned rest = 0; /* below 60 */
	if (first < 3)
		rest = (unsigned)(seconds % units[first].seconds
				       / units[first + 1].seconds)
				% 60;
	const char *name = n == 1 && first == 0 ? "day" : names[first];
	if (rest == 0)
		snprintf(out, SIZE_TEXT_MAX, "%lld %s", n, name);
	else
		snprintf(out, SIZE_TEXT_MAX, "%lld %s %u %s", n, name, rest,
				names[first + 1]);
	return out;
}

char *duration_format(char out[SIZE_TEXT_MAX], double seconds)
{
	if (!(seconds > 0)) /* also what is not a number */
		seconds = 0;
	if (seconds < 59.95) {
		snprintf(out, SIZE_TEXT_MAX, "%.1f s", seconds);
		return out;
	}
	unsigned long long s = seconds > 1e12
			? 1000000000000
			: (unsigned long long)(seconds + 0.5);
	if (s < 3600)
		snprintf(out, SIZE_TEXT_MAX, "%llu:%02llu", s / 60, s % 60);
	else
		snprintf(out, SIZE_TEXT_MAX, "%llu:%02llu:%02llu", s / 3600,
				s / 60 % 60, s % 60);
	return out;
}

char *utc_format(char out[UTC_TEXT_MAX], int64_t second)
{
	struct tm tm;
	if (second < 0)
		second = 0;
	if (second >= YEAR_10000)
		second = YEAR_10000 - 1;
	time_t t = (time_t)second;
	gmtime_r(&t, &tm);
	snprintf(out, UTC_TEXT_MAX, "%04u%02u%02uT%02u%02u%02uZ",
			(unsigned)(tm.tm_year + 1900) % 10000,
			(unsigned)(tm.tm_mon + 1) % 100,
			(unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100,
			(unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
	return out;
}

static int two(const char *text)
{
	return (text[0] - '0') * 10 + text[1] - '0';
}

int utc_parse(int64_t *second, const char *text)
{
	static const char shape[] = "ddddddddTddddddZ";
	char again[UTC_TEXT_MAX];
	if (strlen(text) != sizeof(shape) - 1)
		return -EINVAL;
	for (size_t i = 0; shape[i] != '\0'; i++)
		if (shape[i] == 'd' ? !is_digit(text[i]) : text[i] != shape[i])
			return -EINVAL;
	struct tm tm = {
		.tm_year = two(text) * 100 + two(text + 2) - 1900,
		.tm_mon = two(text + 4) - 1,
		.tm_mday = two(text + 6),
		.tm_hour = two(text + 9),
		.tm_min = two(text + 11),
		.tm_sec = two(text + 13),
	};
	int64_t t = timegm(&tm);
	/* timegm makes 1 March of 30 February; that is another text. */
	if (t < 0 || strcmp(utc_format(again, t), text) != 0)
		return -EINVAL;
	*second = t;
	return 0;
}

double monotonic_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int64_t realtime_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

bool time_is_ahead(int64_t time, int64_t now)
{
	return time - now > AHEAD_MAX;
}
