/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: frames come back whole or in part, and nothing else. */
#include "repo/base/bytes.h"
#include "repo/pack/frame_codec.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One frame of each kind of content in all its forms. */
struct sample {
	uint8_t *plain, *coded, *out;
	size_t len, coded_len;
	enum frame_compression compression;
};

static uint64_t seed = 88172645463325252u;

static uint32_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32);
}

static void fill_text(uint8_t *p, size_t len)
{
	static const char *const words[] = { "frame ", "span ", "chunk ",
		"pack ", "hole\n", "the ", "of ", "0123456789abcdef" };
	size_t at = 0;
	while (at < len) {
		const char *w = words[next_random() % 8];
		while (*w != '\0' && at < len)
			p[at++] = (uint8_t)*w++;
		if (at < len && next_random() % 3 == 0)
			p[at++] = (uint8_t)next_random();
	}
}

static void fill_noise(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)next_random();
}

/* Buffers of exactly the promised room, so that a sanitizer sees one byte
 * too many. */
static struct sample sample_new(size_t len, int level,
		void (*fill)(uint8_t *, size_t))
{
	struct sample s = { .len = len };
	s.plain = malloc(len);
	s.out = malloc(len);
	s.coded = malloc(frame_codec_encode_bound(len));
	assert_true(len == 0 || (s.plain && s.out && s.coded));
	fill(s.plain, len);
	struct frame_encoder *encoder = frame_codec_encoder_new(level);
	assert_non_null(encoder);
	s.coded_len = frame_codec_encode(encoder, s.coded, s.plain, len,
			&s.compression);
	assert_true(s.coded_len <= frame_codec_encode_bound(len));
	frame_codec_encoder_free(encoder);
	return s;
}

static void sample_free(struct sample *sample)
{
	free(sample->plain);
	free(sample->coded);
	free(sample->out);
}

static void expect_part(struct frame_decoder *decoder, struct sample *sample,
		size_t upto)
{
	memset(sample->out, 0xa5, sample->len);
	ssize_t n = frame_codec_decode(decoder, sample->compression,
			sample->out, sample->len, upto, sample->coded,
			sample->coded_len);
	assert_true(n >= (ssize_t)upto && n <= (ssize_t)sample->len);
	assert_memory_equal(sample->out, sample->plain, (size_t)n);
}

static void test_round_trip(void **state)
{
	(void)state;
	static const size_t lens[] = { 1, 2, 100, 4096, FRAME_BLOCK - 1,
		FRAME_BLOCK, FRAME_BLOCK + 1, 131072, 131073, 262144, 300001,
		FRAME_PLAIN_MAX };
	struct frame_decoder *decoder = frame_codec_decoder_new();
	assert_non_null(decoder);
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		for (int level = 1; level <= 19; level += 6) {
			struct sample s = sample_new(lens[i], level, fill_text);
			assert_true(lens[i] <= 100
					|| s.compression == FRAME_ZSTD);
			expect_part(decoder, &s, lens[i]);
			sample_free(&s);
		}
		struct sample s = sample_new(lens[i], 3, fill_noise);
		assert_int_equal(s.compression, FRAME_STORED);
		expect_part(decoder, &s, lens[i]);
		sample_free(&s);
	}
	frame_codec_decoder_free(decoder);
}

static void test_parts(void **state)
{
	(void)state;
	struct frame_decoder *decoder = frame_codec_decoder_new();
	struct sample text = sample_new(200001, 3, fill_text);
	struct sample noise = sample_new(200001, 3, fill_noise);
	for (int i = 0; i < 300; i++) {
		expect_part(decoder, &text, next_random() % 200001 + 1);
		expect_part(decoder, &noise, next_random() % 200001 + 1);
	}
	expect_part(decoder, &text, 0);
	/* And the point of it: a part at the start leaves the rest alone. */
	assert_true(frame_codec_decode(decoder, text.compression, text.out,
				    text.len, 1, text.coded, text.coded_len)
			<= FRAME_BLOCK);
	sample_free(&text);
	sample_free(&noise);
	frame_codec_decoder_free(decoder);
}

/* One encoder serves frames of many sizes, none leaking into the next. */
static void test_encoder_reuse(void **state)
{
	(void)state;
	struct frame_encoder *encoder = frame_codec_encoder_new(3);
	struct frame_decoder *decoder = frame_codec_decoder_new();
	for (int i = 0; i < 200; i++) {
		struct sample s = sample_new(next_random() % 200000 + 1, 3,
				i % 5 == 0 ? fill_noise : fill_text);
		size_t n = frame_codec_encode(encoder, s.coded, s.plain, s.len,
				&s.compression);
		/* A fresh encoder made the same of it. */
		assert_int_equal(n, s.coded_len);
		expect_part(decoder, &s, s.len);
		sample_free(&s);
	}
	frame_codec_encoder_free(encoder);
	frame_codec_decoder_free(decoder);
}

static int decode(struct frame_decoder *decoder, const struct sample *sample,
		size_t plain_len, size_t upto, const uint8_t *in, size_t len)
{
	uint8_t *out = malloc(plain_len);
	uint8_t *copy = malloc(len);
	assert_true(out != NULL && (copy != NULL || len == 0));
	memcpy(copy, in, len);
	ssize_t n = frame_codec_decode(decoder, sample->compression, out,
			plain_len, upto, copy, len);
	assert_true(n == -EBADMSG
			|| (n >= (ssize_t)upto && n <= (ssize_t)plain_len));
	free(out);
	free(copy);
	return n < 0 ? (int)n : 0;
}

static void test_wrong_lengths(void **state)
{
	(void)state;
	struct frame_decoder *decoder = frame_codec_decoder_new();
	struct sample kinds[2] = { sample_new(100000, 3, fill_text),
		sample_new(100000, 3, fill_noise) };
	for (int i = 0; i < 2; i++) {
		struct sample *sample = &kinds[i];
		/* The trailer promises more or less than the frame holds. */
		assert_int_equal(decode(decoder, sample, sample->len + 1,
						 sample->len + 1, sample->coded,
						 sample->coded_len),
				-EBADMSG);
		assert_int_equal(decode(decoder, sample, sample->len - 1,
						 sample->len - 1, sample->coded,
						 sample->coded_len),
				-EBADMSG);
		/* Cut short at every length near the ends, or empty. */
		for (size_t cut = 1; cut < 40; cut++)
			assert_int_equal(decode(decoder, sample, sample->len,
							 sample->len,
							 sample->coded,
							 sample->coded_len
									 - cut),
					-EBADMSG);
		for (size_t n = 0; n < 40; n++)
			assert_int_equal(decode(decoder, sample, sample->len, 1,
							 sample->coded, n),
					-EBADMSG);
	}
	sample_free(&kinds[0]);
	sample_free(&kinds[1]);
	frame_codec_decoder_free(decoder);
}

/* Bytes after the frame, a second frame, a skippable one, an old format. */
static void test_only_one_frame(void **state)
{
	(void)state;
	static const uint8_t skippable[] = { 0x50, 0x2a, 0x4d, 0x18, 0, 0, 0,
		0 };
	struct frame_decoder *decoder = frame_codec_decoder_new();
	struct sample s = sample_new(50000, 3, fill_text);
	size_t len = s.coded_len;
	uint8_t *in = calloc(1, 2 * len + sizeof(skippable));
	memcpy(in, s.coded, len);
	assert_int_equal(decode(decoder, &s, s.len, s.len, in, len + 1),
			-EBADMSG);
	memcpy(in + len, s.coded, len);
	assert_int_equal(decode(decoder, &s, s.len, 1, in, 2 * len), -EBADMSG);
	assert_int_equal(decode(decoder, &s, 2 * s.len, 2 * s.len, in, 2 * len),
			-EBADMSG);
	memcpy(in, skippable, sizeof(skippable));
	memcpy(in + sizeof(skippable), s.coded, len);
	assert_int_equal(decode(decoder, &s, s.len, s.len, in,
					 len + sizeof(skippable)),
			-EBADMSG);
	memcpy(in, s.coded, len);
	in[0] = 0x25; /* zstd 0.5 */
	assert_int_equal(decode(decoder, &s, s.len, s.len, in, len), -EBADMSG);
	free(in);
	sample_free(&s);
	frame_codec_decoder_free(decoder);
}

/* A header that asks for a window beyond any frame of ours is refused before
 * memory is given for it. */
static void test_huge_window(void **state)
{
	(void)state;
	/* Magic; a window descriptor (2 GiB, then 1 MiB); one raw block "a". */
	static const uint8_t huge[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3,
		0x09, 0, 0, 'a' };
	static const uint8_t fair[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x00, 10 << 3,
		0x09, 0, 0, 'a' };
	struct frame_decoder *decoder = frame_codec_decoder_new();
	struct sample s = { .compression = FRAME_ZSTD };
	assert_int_equal(decode(decoder, &s, FRAME_PLAIN_MAX, 1, huge,
					 sizeof(huge)),
			-EBADMSG);
	assert_int_equal(decode(decoder, &s, FRAME_PLAIN_MAX, 1, fair,
					 sizeof(fair)),
			-EBADMSG);
	assert_int_equal(decode(decoder, &s, 1, 1, fair, sizeof(fair)), 0);
	/* Nor is it good as a whole, where the window would not matter. */
	assert_int_equal(decode(decoder, &s, 1, 1, huge, sizeof(huge)),
			-EBADMSG);
	frame_codec_decoder_free(decoder);
}

/* A block that is larger than the header's window permits is good or bad, but
 * the same as a whole and in parts. */
static void test_large_block(void **state)
{
	(void)state;
	/* Magic; a window of 1 KiB; 40000 times "a" in one block. */
	static const uint8_t in[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x00, 0x03,
		0xe2, 0x04, 'a' };
	struct frame_decoder *decoder = frame_codec_decoder_new();
	struct sample s = { .compression = FRAME_ZSTD };
	int whole = decode(decoder, &s, 40000, 40000, in, sizeof(in));
	assert_int_equal(decode(decoder, &s, 40000, 1, in, sizeof(in)), whole);
	assert_int_equal(decode(decoder, &s, 40000, 40000, in, sizeof(in)),
			whole);
	frame_codec_decoder_free(decoder);
}

/* Flipped bits are answered by an error or by other bytes (the seal tells),
 * never by a crash or a write outside. */
static void test_flipped_bits(void **state)
{
	(void)state;
	struct frame_decoder *decoder = frame_codec_decoder_new();
	struct sample s = sample_new(70000, 3, fill_text);
	for (int i = 0; i < 3000; i++) {
		size_t at = i < 300 ? (size_t)i / 8
				    : next_random() % s.coded_len;
		uint8_t bit = (uint8_t)(1u << (i % 8));
		s.coded[at] ^= bit;
		decode(decoder, &s, s.len, s.len, s.coded, s.coded_len);
		decode(decoder, &s, s.len, 1, s.coded, s.coded_len);
		s.coded[at] ^= bit;
	}
	expect_part(decoder, &s, s.len);
	sample_free(&s);
	frame_codec_decoder_free(decoder);
}

static void test_unknown_compression(void **state)
{
	(void)state;
	struct frame_decoder *decoder = frame_codec_decoder_new();
	struct sample s = sample_new(1000, 3, fill_text);
	s.compression = (enum frame_compression)2;
	assert_int_equal(decode(decoder, &s, s.len, s.len, s.coded,
					 s.coded_len),
			-EBADMSG);
	sample_free(&s);
	frame_codec_decoder_free(decoder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_encoder_reuse),
		cmocka_unit_test(test_wrong_lengths),
		cmocka_unit_test(test_only_one_frame),
		cmocka_unit_test(test_huge_window),
		cmocka_unit_test(test_large_block),
		cmocka_unit_test(test_flipped_bits),
		cmocka_unit_test(test_unknown_compression),
	};
	frame_codec_encoder_free(NULL);
	frame_codec_decoder_free(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
