/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sizes, durations and times as people write and read them. */
#ifndef AMBERFS_BASE_UNITS_H
#define AMBERFS_BASE_UNITS_H

#include <stdbool.h>
#include <stdint.h>

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define TIB ((uint64_t)1 << 40)

#define SIZE_TEXT_MAX 32
#define UTC_TEXT_MAX 17 /* 20261123T040000Z and NUL */

/* "1.5 GiB": binary units, three figures. Returns OUT. */
char *size_format(char out[SIZE_TEXT_MAX], uint64_t bytes);

#define COUNT_TEXT_MAX 48
/* "1 pack", "2 packs": NOUN, of at most 24 letters, takes an s. Returns OUT. */
char *count_format(char out[COUNT_TEXT_MAX], uint64_t count, const char *noun);

/* "64M", "1.5G", "512K", "100MiB", "4096": suffixes are powers of 1024, an
 * optional "B" or "iB" follows. Returns 0, or -EINVAL with a text. */
int size_parse(uint64_t *bytes, const char *text);

/* The longest age: 100 years of 366 days. */
#define AGE_MAX INT64_C(3162240000)

/* How old something is, in seconds: "30d", "12h", "1y6mo", "1d12h"; units are s,
 * min, h, d (24 h), w (7 d), mo (31 d) and y (366 d), from large to small; "0"
 * needs none. At most AGE_MAX. An "m", which is a minute to some and a month to
 * others, is refused. Returns 0, or -EINVAL with a text. */
int age_parse(int64_t *seconds, const char *text);

/* How long to wait for something, in seconds: the same with s, m or min, h and
 * d. */
int wait_parse(int64_t *seconds, const char *text);

/* "30 days", "1 day 12 h", "5 min": two units at most, rounded down if more
 * would be needed. Returns OUT. */
char *age_format(char out[SIZE_TEXT_MAX], int64_t seconds);

/* "1:02:03" or "2:03" or "0.4 s". Returns OUT. */
char *duration_format(char out[SIZE_TEXT_MAX], double seconds);

/* 20261123T040000Z for a UTC second; years 1970 to 9999. Returns OUT. */
char *utc_format(char out[UTC_TEXT_MAX], int64_t second);

/* Accepts exactly what utc_format writes. Returns 0 or -EINVAL. */
int utc_parse(int64_t *second, const char *text);

/* Seconds of CLOCK_MONOTONIC. */
double monotonic_now(void);

/* Nanoseconds of CLOCK_REALTIME since 1970. */
int64_t realtime_ns(void);
/* Whether TIME is more than a day ahead of NOW (both UTC seconds): clocks of two
 * machines may differ by less, what is more is wrong. */
bool time_is_ahead(int64_t time, int64_t now);

#endif
