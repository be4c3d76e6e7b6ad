/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See trials.h. Talks to zstd itself, since it tries what frame_codec.c fixes. */
#include "trials.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <zdict.h>
#include <zstd.h>

#include "repo/base/bytes.h"
#include "repo/base/units.h"
#include "repo/crypto/seal.h"

#define READS 5000u
#define PAGE 4096u
#define PLAIN_ROOM (4u << 20)

struct box {
	uint8_t *data;
	size_t len;
	uint32_t plain_len;
	bool stored; /* not compressed */
};

struct boxes {
	struct box *items;
	size_t count;
	uint64_t plain;
};

/* Zero: did not get smaller. */
static size_t encode(ZSTD_CCtx *cctx, uint32_t block, uint8_t *out,
		const uint8_t *plain, uint32_t len)
{
	ZSTD_outBuffer to = { .dst = out, .size = len - len / 64 };
	ZSTD_inBuffer from = { .src = plain };
	ZSTD_CCtx_reset(cctx, ZSTD_reset_session_only);
	ZSTD_CCtx_setPledgedSrcSize(cctx, len);
	while (from.size < len) {
		from.size = block == 0 ? len : min_u64(from.size + block, len);
		if (ZSTD_compressStream2(cctx, &to, &from,
				    from.size == len ? ZSTD_e_end
						     : ZSTD_e_flush)
				!= 0)
			return 0;
	}
	return to.pos;
}

static ZSTD_CCtx *encoder_new(int level)
{
	ZSTD_CCtx *cctx = ZSTD_createCCtx();
	if (cctx == NULL)
		errx(1, "zstd does not start");
	ZSTD_CCtx_setParameter(cctx, ZSTD_c_compressionLevel, level);
	ZSTD_CCtx_setParameter(cctx, ZSTD_c_contentSizeFlag, 0);
	return cctx;
}

static void keep_box(struct boxes *boxes, const struct seal *seal,
		const uint8_t *form, size_t len, uint32_t plain_len)
{
	if (boxes->count % 1024 == 0)
		boxes->items = reallocarray(boxes->items, boxes->count + 1024,
				sizeof(*boxes->items));
	uint8_t *data = malloc(len + SEAL_OVERHEAD);
	if (boxes->items == NULL || data == NULL)
		err(1, "memory");
	seal_box(seal, SEAL_DATA, data, form, len, NULL, 0);
	boxes->items[boxes->count++] = (struct box){ data, len + SEAL_OVERHEAD,
		plain_len, len == plain_len };
	boxes->plain += plain_len;
}

static void make_boxes(struct trial *trial, const struct parts *sample,
		const struct seal *seal, struct boxes *boxes)
{
	uint8_t *plain = malloc(PLAIN_ROOM);
	uint8_t *out = malloc(PLAIN_ROOM);
	ZSTD_CCtx *cctx = encoder_new(trial->level);
	double seconds = 0;
	if (plain == NULL || out == NULL)
		err(1, "memory");
	for (size_t at = 0; at < sample->count;) {
		uint32_t len;
		at += parts_gather(sample->items + at, sample->count - at,
				trial->frame_size, plain, &len);
		double began = monotonic_now();
		size_t n = encode(cctx, trial->block, out, plain, len);
		seconds += monotonic_now() - began;
		keep_box(boxes, seal, n == 0 ? plain : out, n == 0 ? len : n,
				len);
		trial->stored += boxes->items[boxes->count - 1].len;
	}
	trial->encode_rate = (double)boxes->plain / seconds;
	ZSTD_freeCCtx(cctx);
	free(plain);
	free(out);
}

static void boxes_free(struct boxes *boxes)
{
	for (size_t i = 0; i < boxes->count; i++)
		free(boxes->items[i].data);
	free(boxes->items);
}

/* Decodes the first UPTO bytes of the box. */
static void read_box(ZSTD_DCtx *dctx, const struct seal *seal,
		const struct box *box, uint32_t upto, uint8_t *buf,
		uint8_t *out)
{
	memcpy(buf, box->data, box->len);
	uint8_t *form = buf + SEAL_NONCE_SIZE;
	size_t len = box->len - SEAL_OVERHEAD;
	if (seal_open(seal, SEAL_DATA, form, buf, box->len, NULL, 0) != 0)
		errx(1, "a box does not open");
	if (box->stored) {
		memcpy(out, form, upto);
		return;
	}
	if (upto == box->plain_len) {
		if (ZSTD_decompressDCtx(dctx, out, upto, form, len) != upto)
			errx(1, "a frame does not decode");
		return;
	}
	ZSTD_outBuffer to = { .dst = out, .size = upto };
	ZSTD_inBuffer from = { .src = form, .size = len };
	ZSTD_DCtx_reset(dctx, ZSTD_reset_session_only);
	while (to.pos < upto)
		if (ZSTD_isError(ZSTD_decompressStream(dctx, &to, &from)))
			errx(1, "a frame does not decode");
}

static int compare_times(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void time_reads(struct trial *trial, const struct seal *seal,
		const struct boxes *boxes)
{
	static double times[READS];
	uint8_t *buf = malloc(PLAIN_ROOM);
	uint8_t *out = malloc(PLAIN_ROOM);
	ZSTD_DCtx *dctx = ZSTD_createDCtx();
	if (dctx == NULL || buf == NULL || out == NULL)
		err(1, "memory");
	srandom(1);
	for (unsigned i = 0; i < READS;) {
		/* Every page of the data is as likely as any other. */
		const struct box *box =
				&boxes->items[(size_t)random() % boxes->count];
		uint32_t page = (uint32_t)random() % (PLAIN_ROOM / PAGE);
		if (page * PAGE >= box->plain_len)
			continue;
		uint32_t upto = (uint32_t)min_u64((page + 1) * PAGE,
				box->plain_len);
		double began = monotonic_now();
		read_box(dctx, seal, box, upto, buf, out);
		times[i++] = (monotonic_now() - began) * 1e6;
	}
	qsort(times, READS, sizeof(times[0]), compare_times);
	trial->median_us = times[READS / 2];
	trial->ninety_us = times[READS * 9 / 10];
	ZSTD_freeDCtx(dctx);
	free(buf);
	free(out);
}

void trial_reads(struct trial *trial, const struct parts *sample)
{
	static const uint8_t master[MASTER_KEY_SIZE] = { 1 };
	struct boxes b = { 0 };
	struct seal *seal = seal_new(master, true);
	if (seal == NULL)
		err(1, "memory");
	make_boxes(trial, sample, seal, &b);
	if (b.count == 0)
		errx(1, "the images hold too little to measure");
	time_reads(trial, seal, &b);
	boxes_free(&b);
	seal_free(seal);
}

/* Frame number I is for training. */
static bool trains(size_t i)
{
	return i % 8 == 0;
}

static ZSTD_CDict *train(const struct trial *trial, const struct parts *sample)
{
	uint8_t *dictionary = malloc(trial->dictionary);
	uint8_t *buf = malloc(sample->bytes);
	size_t *sizes = calloc(sample->count, sizeof(*sizes));
	size_t used = 0;
	unsigned n = 0;
	if (dictionary == NULL || buf == NULL || sizes == NULL)
		err(1, "memory");
	for (size_t at = 0, i = 0; at < sample->count; i++) {
		uint32_t len;
		at += parts_gather(sample->items + at, sample->count - at,
				trial->frame_size, buf + used, &len);
		if (trains(i)) {
			sizes[n++] = len;
			used += len;
		}
	}
	size_t len = ZDICT_trainFromBuffer(dictionary, trial->dictionary, buf,
			sizes, n);
	if (ZDICT_isError(len))
		errx(1, "dictionary: %s", ZDICT_getErrorName(len));
	ZSTD_CDict *cdict = ZSTD_createCDict(dictionary, len, trial->level);
	free(dictionary);
	free(buf);
	free(sizes);
	return cdict;
}

void trial_dictionary(struct trial *trial, const struct parts *sample)
{
	uint8_t *plain = malloc(PLAIN_ROOM);
	uint8_t *out = malloc(PLAIN_ROOM);
	ZSTD_CDict *cdict = trial->dictionary > 0 ? train(trial, sample) : NULL;
	ZSTD_CCtx *cctx = encoder_new(trial->level);
	uint64_t bytes = 0;
	double seconds = 0;
	if (plain == NULL || out == NULL)
		err(1, "memory");
	ZSTD_CCtx_refCDict(cctx, cdict);
	for (size_t at = 0, i = 0; at < sample->count; i++) {
		uint32_t len;
		at += parts_gather(sample->items + at, sample->count - at,
				trial->frame_size, plain, &len);
		if (trains(i))
			continue;
		double began = monotonic_now();
		size_t n = encode(cctx, trial->block, out, plain, len);
		seconds += monotonic_now() - began;
		trial->stored += (n == 0 ? len : n) + SEAL_OVERHEAD;
		bytes += len;
	}
	trial->encode_rate = (double)bytes / seconds;
	ZSTD_freeCCtx(cctx);
	ZSTD_freeCDict(cdict);
	free(plain);
	free(out);
}
