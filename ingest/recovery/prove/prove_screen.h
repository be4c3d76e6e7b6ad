/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Is a guest's screen still? Two pictures are the same if they differ by no
 * more than a blinking cursor. A screen of one colour, except for a cursor, is
 * empty.
 */
#ifndef AMBERFS_INGEST_RECOVERY_PROVE_PROVE_SCREEN_H
#define AMBERFS_INGEST_RECOVERY_PROVE_PROVE_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prove_screen {
	uint32_t width, height;
	uint8_t *pixels; /* 3 bytes each, red green blue; NULL: none */
};

/* A PNG file, or a binary PPM file of 8 bits; not trusted. 0 or -EBADMSG,
 * -ENOMEM. */
int prove_screen_read(struct prove_screen *out, const uint8_t *data,
		size_t len);
void prove_screen_clear(struct prove_screen *screen);

/* The text mode that a BIOS starts in, with 80 by 25 characters. */
bool prove_screen_is_text(const struct prove_screen *screen);
bool prove_screen_blank(const struct prove_screen *screen);
bool prove_screen_same(const struct prove_screen *a,
		const struct prove_screen *b);

/* Writes it as a PNG file, replacing an existing one. 0 or -errno. */
int prove_screen_save(const struct prove_screen *screen, const char *path);

#endif
