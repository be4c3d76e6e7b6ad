/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzz entry: the frame codec. Input: compression u8, the plain length that a
 * trailer promises u32, how much a reader wants u32, the frame.
 *
 * The decoder is used again and again, as by the program: what one frame leaves
 * in it must not matter to the next.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "repo/pack/frame_codec.h"

static struct frame_decoder *decoder(void)
{
	static struct frame_decoder *decoder;
	if (decoder == NULL)
		decoder = frame_codec_decoder_new();
	must(decoder != NULL);
	return decoder;
}

/* What is encoded comes back. */
static void round_trip(const uint8_t *plain, size_t len)
{
	static struct frame_encoder *encoder;
	uint8_t *form = malloc(frame_codec_encode_bound(len));
	uint8_t *back = malloc(len);
	enum frame_compression compression;
	if (encoder == NULL)
		encoder = frame_codec_encoder_new(3);
	must(encoder != NULL && form != NULL && back != NULL);
	size_t n = frame_codec_encode(encoder, form, plain, len, &compression);
	must(n >= 1 && n <= len);
	must(frame_codec_decode(decoder(), compression, back, len, len, form, n)
			== (ssize_t)len);
	must(memcmp(back, plain, len) == 0);
	free(form);
	free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	/* A trailer admits two forms; the codec must refuse any other too. */
	enum frame_compression compression = input_u8(&in) % 3;
	size_t plain_len = input_u32(&in) % FRAME_PLAIN_MAX + 1;
	size_t upto = input_u32(&in) % plain_len + 1;
	uint8_t *whole = malloc(plain_len), *part = malloc(plain_len);
	must(whole != NULL && part != NULL);
	ssize_t got = frame_codec_decode(decoder(), compression, part,
			plain_len, upto, in.at, in.left);
	must(got < 0 || ((size_t)got >= upto && (size_t)got <= plain_len));
	ssize_t all = frame_codec_decode(decoder(), compression, whole,
			plain_len, plain_len, in.at, in.left);
	must(all < 0 || (size_t)all == plain_len);
	/* What is good as a whole is good in parts. */
	must(all < 0 || got >= (ssize_t)upto);
	if (all >= 0)
		must(memcmp(whole, part, (size_t)got) == 0);
	if (all >= 0)
		round_trip(whole, plain_len);
	must(all < 0 || compression <= FRAME_ZSTD);
	free(whole);
	free(part);
	return 0;
}
