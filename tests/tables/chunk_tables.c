/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * chunk-tables IMAGE...: the measurements behind the sizes that a repository
 * is made with. Prints four tables: ways of cutting and what compression in
 * frames makes of them; the time to read 4 KiB out of a frame by frame size
 * and flushed block; zstd's levels; and what a trained dictionary would bring.
 * MB are 10^6 bytes. Not a test: it takes minutes and judges nothing.
 */
#include <err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "corpus.h"
#include "repo/base/bytes.h"
#include "repo/base/units.h"
#include "repo/crypto/seal.h"
#include "repo/pack/frame_codec.h"
#include "trials.h"

#define LEVEL 3
#define THREADS 2
/* Bytes that a chunk costs beside its frame: its entry in a leaf and what the
 * nodes above add; its entry in the index. */
#define TREE_COST 45
#define INDEX_COST 60

#define KI 1024u
#define MI (1024u * KI)
static const uint32_t frame_sizes[] = { 0 /* one chunk */, 64 * KI, 128 * KI,
	256 * KI, MI };
#define FRAME_SIZES (ARRAY_SIZE(frame_sizes))
enum { OWN = 1, F64 = 2, F128 = 4, F256 = 8, F1M = 16, ALL = 31 };

static const struct row {
	struct method method;
	unsigned frames; /* columns worth the time */
} rows[] = {
	{ { "fixed 4 KiB", METHOD_FIXED, 4 * KI, 0 }, 0 },
	{ { "fixed 64 KiB", METHOD_FIXED, 64 * KI, 0 }, OWN | F256 },
	{ { "fixed 4 MiB", METHOD_FIXED, 4 * MI, 0 }, OWN },
	{ { "bytes 64 KiB", METHOD_GEAR, 64 * KI, 0 }, F256 },
	{ { "bytes 1 MiB", METHOD_GEAR, MI, 0 }, OWN },
	{ { "bytes 2 MiB", METHOD_GEAR, 2 * MI, 0 }, OWN },
	{ { "blocks 16 KiB", METHOD_BLOCKS, 16 * KI, 16 * MI }, ALL },
	{ { "blocks 32 KiB", METHOD_BLOCKS, 32 * KI, 16 * MI }, ALL },
	{ { "blocks 64 KiB", METHOD_BLOCKS, 64 * KI, 16 * MI }, ALL },
	{ { "blocks 128 KiB", METHOD_BLOCKS, 128 * KI, 16 * MI }, ALL },
	{ { "blocks 64 KiB, span 4 MiB", METHOD_BLOCKS, 64 * KI, 4 * MI },
			F256 },
};

/* Part of the chunks, compressed in frames by one thread. */
struct share {
	const struct part *parts;
	size_t count;
	uint32_t frame_size;
	uint64_t stored;
};

static void *compress_share(void *arg)
{
	struct share *share = arg;
	struct frame_encoder *encoder = frame_codec_encoder_new(LEVEL);
	size_t room = 8 * MI;
	uint8_t *plain = malloc(room);
	uint8_t *out = malloc(frame_codec_encode_bound(room));
	if (encoder == NULL || plain == NULL || out == NULL)
		err(1, "memory");
	for (size_t at = 0; at < share->count;) {
		enum frame_compression kind;
		uint32_t len;
		at += parts_gather(share->parts + at, share->count - at,
				share->frame_size, plain, &len);
		share->stored += SEAL_OVERHEAD
				+ frame_codec_encode(encoder, out, plain, len,
						&kind);
	}
	frame_codec_encoder_free(encoder);
	free(plain);
	free(out);
	return NULL;
}

static uint64_t stored_bytes(const struct parts *parts, uint32_t frame_size)
{
	pthread_t threads[THREADS];
	struct share shares[THREADS];
	uint64_t sum = 0;
	for (size_t i = 0; i < THREADS; i++) {
		size_t from = parts->count * i / THREADS;
		size_t to = parts->count * (i + 1) / THREADS;
		shares[i] = (struct share){ .parts = parts->items + from,
			.count = to - from,
			.frame_size = frame_size };
		if (pthread_create(&threads[i], NULL, compress_share,
				    &shares[i])
				!= 0)
			errx(1, "no thread");
	}
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		sum += shares[i].stored;
	}
	return sum;
}

static void print_row(const struct corpus *c, const struct row *row)
{
	struct parts all = { 0 }, unique = { 0 };

	double seconds = corpus_cut(c, &row->method, &all);
	parts_unique(&all, &unique);
	printf("| %s | %zu | %.0f | %.2f |", row->method.name, unique.count,
			(double)unique.bytes / 1e6, seconds);
	for (size_t i = 0; i < FRAME_SIZES; i++) {
		if ((row->frames & 1u << i) == 0)
			printf(" – |");
		else
			printf(" %.0f |",
					(double)stored_bytes(&unique,
							frame_sizes[i])
							/ 1e6);
		fflush(stdout);
	}
	printf(" %.1f |\n",
			(double)((TREE_COST + INDEX_COST) * unique.count)
					/ 1e6);
	parts_free(&all);
	parts_free(&unique);
}

static void print_cutting(const struct corpus *c)
{
	printf("%.0f MB of data\n\n"
	       "| cutting, average | chunks | unique MB | scan s | own chunk |"
	       " 64 KiB | 128 KiB | 256 KiB | 1 MiB | tree + index MB |\n"
	       "|---|---|---|---|---|---|---|---|---|---|\n",
			(double)corpus_data_bytes(c) / 1e6);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		print_row(c, &rows[i]);
}

static void print_reads(const struct parts *sample)
{
	static const uint32_t blocks[] = { 0, 64 * KI, 32 * KI, 16 * KI };
	printf("\n| frame KiB | block KiB | stored MB | against no blocks |"
	       " encode MB/s | 4 KiB read, median us | 90%% us |\n"
	       "|---|---|---|---|---|---|---|\n");
	for (size_t f = 1; f < FRAME_SIZES; f++) {
		double base = 0;
		for (size_t b = 0; b < ARRAY_SIZE(blocks); b++) {
			struct trial t = { .level = LEVEL,
				.frame_size = frame_sizes[f],
				.block = blocks[b] };
			trial_reads(&t, sample);
			if (b == 0)
				base = (double)t.stored;
			printf("| %u | %u | %.1f | %+.2f %% | %.0f | %.0f |"
			       " %.0f |\n",
					t.frame_size / KI, t.block / KI,
					(double)t.stored / 1e6,
					((double)t.stored / base - 1) * 100,
					t.encode_rate / 1e6, t.median_us,
					t.ninety_us);
			fflush(stdout);
		}
	}
}

static void print_levels(const struct parts *sample)
{
	printf("\n| frame KiB | level | stored MB | encode MB/s |"
	       " 4 KiB read, median us |\n|---|---|---|---|---|\n");
	for (uint32_t size = 128 * KI; size <= 256 * KI; size *= 2) {
		for (int level = 1; level <= 6; level++) {
			struct trial t = { .level = level,
				.frame_size = size,
				.block = FRAME_BLOCK };
			trial_reads(&t, sample);
			printf("| %u | %d | %.1f | %.0f | %.0f |\n", size / KI,
					level, (double)t.stored / 1e6,
					t.encode_rate / 1e6, t.median_us);
			fflush(stdout);
		}
	}
}

static void print_dictionary(const struct parts *sample)
{
	printf("\n| frame KiB | dictionary KiB | stored MB | encode MB/s |\n"
	       "|---|---|---|---|\n");
	for (uint32_t dictionary = 0; dictionary <= 112 * KI;
			dictionary += 56 * KI) {
		struct trial t = { .level = LEVEL,
			.frame_size = 128 * KI,
			.dictionary = dictionary };
		trial_dictionary(&t, sample);
		printf("| %u | %u | %.1f | %.0f |\n", t.frame_size / KI,
				dictionary / KI, (double)t.stored / 1e6,
				t.encode_rate / 1e6);
		fflush(stdout);
	}
}

/* An eighth of the chunks, in runs of 16 MiB: enough to time in one thread. */
static void take_sample(const struct corpus *c, struct parts *sample)
{
	const struct method usual = { "", METHOD_BLOCKS, 32 * KI, 16 * MI };
	struct parts all = { 0 }, unique = { 0 };
	uint64_t passed = 0;
	corpus_cut(c, &usual, &all);
	parts_unique(&all, &unique);
	for (size_t i = 0; i < unique.count; i++) {
		if (passed / (16 * MI) % 8 == 0)
			parts_add(sample, unique.items[i].data,
					unique.items[i].len);
		passed += unique.items[i].len;
	}
	parts_free(&all);
	parts_free(&unique);
}

int main(int argc, char **argv)
{
	struct parts sample = { 0 };
	if (argc < 2) {
		fprintf(stderr, "usage: chunk-tables IMAGE...\n");
		return 2;
	}
	if (seal_global_init() != 0)
		errx(1, "libsodium does not start");
	struct corpus *c = corpus_open(argv + 1, argc - 1);
	print_cutting(c);
	take_sample(c, &sample);
	print_reads(&sample);
	print_levels(&sample);
	print_dictionary(&sample);
	parts_free(&sample);
	corpus_close(c);
	return 0;
}
