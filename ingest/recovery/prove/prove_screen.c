/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Screenshots of a guest: PNG from current qemu, PPM from older versions. */
#include "prove_screen.h"

#include <errno.h>
#include <fcntl.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "repo/base/error.h"

#define SIDE_MAX 16384u
#define PIXEL 3u
/* The cursor of a console with a large font is 16 by 32. */
#define CURSOR_PIXELS 512u

/* --- PPM --- */

struct reader {
	const uint8_t *at, *end;
};

static int next_byte(struct reader *reader)
{
	return reader->at < reader->end ? *reader->at++ : -1;
}

static bool is_space(int c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* A number and the one space that follows; comments may come before it. */
static uint32_t number(struct reader *reader)
{
	int c = next_byte(reader);
	uint32_t n = 0;
	while (is_space(c) || c == '#') {
		if (c == '#')
			while (c >= 0 && c != '\n')
				c = next_byte(reader);
		c = next_byte(reader);
	}
	for (; c >= '0' && c <= '9' && n <= SIDE_MAX; c = next_byte(reader))
		n = n * 10 + (uint32_t)(c - '0');
	return is_space(c) ? n : 0;
}

static int check_size(uint32_t width, uint32_t height)
{
	if (width > 0 && width <= SIDE_MAX && height > 0 && height <= SIDE_MAX)
		return 0;
	return fail(-EBADMSG, "the size of the screenshot is out of bounds");
}

static int read_ppm(struct prove_screen *screen, const uint8_t *data,
		size_t len)
{
	struct reader r = { data + 2, data + len };
	size_t size = 0;
	int err = 0;
	screen->width = number(&r);
	screen->height = number(&r);
	err = check_size(screen->width, screen->height);
	if (err != 0)
		return err;
	size = (size_t)screen->width * screen->height * PIXEL;
	if (number(&r) != 255 || (size_t)(r.end - r.at) < size)
		return fail(-EBADMSG, "the screenshot is truncated");
	screen->pixels = malloc(size);
	if (screen->pixels == NULL)
		return -ENOMEM;
	memcpy(screen->pixels, r.at, size);
	return 0;
}

/* --- PNG --- */

static int read_pixels(struct prove_screen *screen, png_image *png)
{
	int err = check_size(png->width, png->height);
	if (err != 0)
		return err;
	png->format = PNG_FORMAT_RGB;
	screen->width = png->width;
	screen->height = png->height;
	screen->pixels = malloc(PNG_IMAGE_SIZE(*png));
	if (screen->pixels == NULL)
		return -ENOMEM;
	if (png_image_finish_read(png, NULL, screen->pixels, 0, NULL))
		return 0;
	return fail(-EBADMSG, "reading the screenshot: %s", png->message);
}

static int read_png(struct prove_screen *screen, const uint8_t *data,
		size_t len)
{
	png_image png = { .version = PNG_IMAGE_VERSION };
	int err = 0;
	if (!png_image_begin_read_from_memory(&png, data, len))
		return fail(-EBADMSG, "reading the screenshot: %s",
				png.message);
	err = read_pixels(screen, &png);
	png_image_free(&png);
	return err;
}

int prove_screen_read(struct prove_screen *out, const uint8_t *data, size_t len)
{
	struct prove_screen p = { .pixels = NULL };
	bool ppm = len > 2 && memcmp(data, "P6", 2) == 0;
	int err = ppm ? read_ppm(&p, data, len) : read_png(&p, data, len);
	if (err != 0)
		prove_screen_clear(&p);
	else
		*out = p;
	return err;
}

void prove_screen_clear(struct prove_screen *screen)
{
	free(screen->pixels);
	*screen = (struct prove_screen){ .pixels = NULL };
}

/* --- comparing --- */

static size_t pixel_count(const struct prove_screen *screen)
{
	return (size_t)screen->width * screen->height;
}

/* The number of pixels unlike the one at AT. */
static size_t unlike(const struct prove_screen *screen, size_t at)
{
	const uint8_t *colour = screen->pixels + at * PIXEL;
	size_t count = 0;
	for (size_t i = 0; i < pixel_count(screen); i++)
		count += memcmp(colour, screen->pixels + i * PIXEL, PIXEL) != 0;
	return count;
}

bool prove_screen_is_text(const struct prove_screen *screen)
{
	return screen->width == 720 && screen->height == 400;
}

/* At least one end is background: the other may be the cursor. */
bool prove_screen_blank(const struct prove_screen *screen)
{
	return screen->pixels == NULL || unlike(screen, 0) <= CURSOR_PIXELS
			|| unlike(screen, pixel_count(screen) - 1)
			<= CURSOR_PIXELS;
}

bool prove_screen_same(const struct prove_screen *a,
		const struct prove_screen *b)
{
	size_t differ = 0;
	if (a->pixels == NULL || b->pixels == NULL || a->width != b->width
			|| a->height != b->height)
		return false;
	for (size_t i = 0; i < pixel_count(a) && differ <= CURSOR_PIXELS; i++)
		differ += memcmp(a->pixels + i * PIXEL, b->pixels + i * PIXEL,
					  PIXEL)
				!= 0;
	return differ <= CURSOR_PIXELS;
}

/* --- saving --- */

/* A screen may show private data. */
#define FILE_MODE 0600

int prove_screen_save(const struct prove_screen *screen, const char *path)
{
	png_image png = { .version = PNG_IMAGE_VERSION,
		.width = screen->width,
		.height = screen->height,
		.format = PNG_FORMAT_RGB };
	int fd = open(path,
			O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
			FILE_MODE);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
	int written = 0;
	if (file == NULL) {
		int err = fail_errno(-errno, "writing %s", path);
		if (fd >= 0)
			close(fd);
		return err;
	}
	written = png_image_write_to_stdio(&png, file, 0, screen->pixels, 0,
			NULL);
	if (fclose(file) != 0 && written)
		return fail_errno(-errno, "writing %s", path);
	return written ? 0 : fail(-EIO, "writing %s: %s", path, png.message);
}
