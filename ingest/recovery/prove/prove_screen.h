/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Is a guest's screen still? Two pictures are the same if no more differs than
 * what a blinking cursor covers. A screen of one colour, but for a cursor, shows
 * nothing.
 */
#ifndef AMBERFS_INGEST_RECOVERY_PROVE_PROVE_SCREEN_H
#define AMBERFS_INGEST_RECOVERY_PROVE_PROVE_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prove_picture {
	uint32_t width, height;
	uint8_t *pixels;	/* 3 bytes each, red green blue; NULL: none */
};

/* A PNG file, or a binary PPM file of 8 bits; not trusted. 0 or -EBADMSG,
 * -ENOMEM. */
int prove_picture_read(struct prove_picture *out, const uint8_t *data,
		size_t len);
void prove_picture_clear(struct prove_picture *p);

bool prove_picture_blank(const struct prove_picture *p);
bool prove_picture_same(const struct prove_picture *a,
		const struct prove_picture *b);

/* Writes it as a PNG file, in place of what is there. 0 or -errno. */
int prove_picture_save(const struct prove_picture *p, const char *path);

#endif
