/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Frames in and out of zstd's form. Input to be decoded is treated as hostile:
 * one current-format zstd frame, a window of at most FRAME_PLAIN_MAX, nothing
 * written past the room that the caller's trailer promises. No checksum of
 * zstd's own: the seal around a frame already answers for it.
 */
#include "frame_codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "repo/base/bytes.h"

/* A window is at most a frame. */
#define WINDOW_LOG_MAX __builtin_ctz(FRAME_PLAIN_MAX)

struct frame_encoder {
	ZSTD_CCtx *cctx;
};

struct frame_decoder {
	ZSTD_DCtx *dctx;
};

struct frame_encoder *frame_codec_encoder_new(int level)
{
	struct frame_encoder *encoder = calloc(1, sizeof(*encoder));
	if (encoder == NULL)
		return NULL;
	encoder->cctx = ZSTD_createCCtx();
	if (encoder->cctx == NULL
			|| ZSTD_isError(ZSTD_CCtx_setParameter(encoder->cctx,
					ZSTD_c_compressionLevel, level))
			|| ZSTD_isError(ZSTD_CCtx_setParameter(encoder->cctx,
					ZSTD_c_contentSizeFlag, 0))
			|| ZSTD_isError(ZSTD_CCtx_setParameter(encoder->cctx,
					ZSTD_c_checksumFlag, 0))) {
		frame_codec_encoder_free(encoder);
		return NULL;
	}
	return encoder;
}

void frame_codec_encoder_free(struct frame_encoder *encoder)
{
	if (encoder == NULL)
		return;
	ZSTD_freeCCtx(encoder->cctx);
	free(encoder);
}

size_t frame_codec_encode_bound(size_t len)
{
	return len; /* what would not get smaller is stored as it is */
}

/* Bytes of zstd's form in OUT, or 0: it needs more than ROOM, or memory. */
static size_t compress(ZSTD_CCtx *cctx, uint8_t *out, size_t room,
		const uint8_t *plain, size_t len)
{
	ZSTD_outBuffer to = { .dst = out, .size = room };
	ZSTD_inBuffer from = { .src = plain };
	ZSTD_CCtx_reset(cctx, ZSTD_reset_session_only);
	/* The size lets zstd pick small tables, which fit a core's cache. */
	if (ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(cctx, len)))
		return 0;
	while (from.size < len) {
		size_t next = min_u64(from.size + FRAME_BLOCK, len);
		from.size = next;
		if (ZSTD_compressStream2(cctx, &to, &from,
				    next == len ? ZSTD_e_end : ZSTD_e_flush)
				!= 0)
			return 0;
	}
	return to.pos;
}

size_t frame_codec_encode(struct frame_encoder *encoder, uint8_t *out,
		const void *plain, size_t len,
		enum frame_compression *compression)
{
	/* A gain below 1/64 is not worth the decoding. */
	size_t n = compress(encoder->cctx, out, len - len / 64, plain, len);
	if (n > 0 && n < len) {
		*compression = FRAME_ZSTD;
		return n;
	}
	memcpy(out, plain, len);
	*compression = FRAME_STORED;
	return len;
}

struct frame_decoder *frame_codec_decoder_new(void)
{
	struct frame_decoder *decoder = calloc(1, sizeof(*decoder));
	if (decoder == NULL)
		return NULL;
	decoder->dctx = ZSTD_createDCtx();
	if (decoder->dctx == NULL
			|| ZSTD_isError(ZSTD_DCtx_setParameter(decoder->dctx,
					ZSTD_d_windowLogMax, WINDOW_LOG_MAX))) {
		frame_codec_decoder_free(decoder);
		return NULL;
	}
	return decoder;
}

void frame_codec_decoder_free(struct frame_decoder *decoder)
{
	if (decoder == NULL)
		return;
	ZSTD_freeDCtx(decoder->dctx);
	free(decoder);
}

/* Bytes of the window that the header of a frame asks for (RFC 8878, 3.1.1.1);
 * LEN is at least 6. The library's own limit is for decoding in parts only. */
static uint64_t window_size(const uint8_t *in, size_t len)
{
	if (in[4] & 0x20) /* single segment: as large as its content */
		return ZSTD_getFrameContentSize(in, len);
	uint64_t base = (uint64_t)1 << (10 + (in[5] >> 3));
	return base + base / 8 * (in[5] & 7);
}

/* Exactly one zstd frame of the current format. The library would also take
 * skippable frames, several in a row, and the formats before 1.0, whose
 * decoders are no longer tested against hostile input. */
static bool is_one_frame(const uint8_t *in, size_t len)
{
	return len >= 6 && get_le32(in) == ZSTD_MAGICNUMBER
			&& window_size(in, len) <= FRAME_PLAIN_MAX
			&& ZSTD_findFrameCompressedSize(in, len) == len;
}

static ssize_t decompress_whole(ZSTD_DCtx *dctx, uint8_t *out, size_t plain_len,
		const uint8_t *in, size_t len)
{
	size_t n = ZSTD_decompressDCtx(dctx, out, plain_len, in, len);
	return n == plain_len ? (ssize_t)n : -EBADMSG;
}

/* At least UPTO bytes; stops decoding where the last of them is written. */
static ssize_t decompress_part(ZSTD_DCtx *dctx, uint8_t *out, size_t upto,
		const uint8_t *in, size_t len)
{
	ZSTD_outBuffer to = { .dst = out, .size = upto };
	ZSTD_inBuffer from = { .src = in, .size = len };
	ZSTD_DCtx_reset(dctx, ZSTD_reset_session_only);
	while (to.pos < upto) {
		size_t before = to.pos;
		size_t left = ZSTD_decompressStream(dctx, &to, &from);
		/* The whole input is there from the start: a call that makes no
		 * progress has found its end. */
		if (ZSTD_isError(left) || to.pos == before)
			return -EBADMSG;
	}
	return (ssize_t)to.pos;
}

ssize_t frame_codec_decode(struct frame_decoder *decoder,
		enum frame_compression compression, uint8_t *out,
		size_t plain_len, size_t upto, const uint8_t *in, size_t len)
{
	/* Whole blocks, since zstd decodes nothing smaller anyway. */
	upto = min_u64(round_up(upto, FRAME_BLOCK), plain_len);
	if (compression == FRAME_STORED) {
		if (len != plain_len)
			return -EBADMSG;
		memcpy(out, in, upto);
		return (ssize_t)upto;
	}
	if (compression != FRAME_ZSTD || !is_one_frame(in, len))
		return -EBADMSG;
	/* In parts, the library also minds what the header says of the largest
	 * block; a frame must not be good as a whole and bad in parts. */
	ssize_t n = -EBADMSG;
	if (upto < plain_len)
		n = decompress_part(decoder->dctx, out, upto, in, len);
	return n >= 0 ? n
		      : decompress_whole(decoder->dctx, out, plain_len, in,
				      len);
}
