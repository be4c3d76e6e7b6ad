/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The frame codec: zstd in and out. zstd.h is included by frame_codec.c alone.
 * A frame is one zstd frame whose blocks end at least every
 * FRAME_BLOCK plain bytes (flushed), so that decoding may stop early.
 *
 * Threading: a codec belongs to one thread at a time.
 */
#ifndef AMBERFS_PACK_FRAME_CODEC_H
#define AMBERFS_PACK_FRAME_CODEC_H

#include <sys/types.h>

#include "repo/format/trailer.h"

/* Plain bytes after which a block ends; settled by tests/tables. */
#define FRAME_BLOCK (32u << 10)

struct frame_encoder;
struct frame_decoder;

/* LEVEL as zstd's, 1 … 19. NULL without memory. */
struct frame_encoder *frame_codec_encoder_new(int level);
void frame_codec_encoder_free(struct frame_encoder *encoder);

/* Room that frame_codec_encode needs for LEN plain bytes. */
size_t frame_codec_encode_bound(size_t len);

/* Compresses PLAIN into OUT; returns the length and sets *COMPRESSION
 * (FRAME_STORED and a plain copy where zstd does not gain). Never fails. */
size_t frame_codec_encode(struct frame_encoder *encoder, uint8_t *out,
		const void *plain, size_t len,
		enum frame_compression *compression);

struct frame_decoder *frame_codec_decoder_new(void);
void frame_codec_decoder_free(struct frame_decoder *decoder);

/* Decodes the first UPTO of PLAIN_LEN bytes into OUT (which has room for
 * PLAIN_LEN); more may get decoded. With UPTO == PLAIN_LEN the frame must end
 * exactly there. Returns the number of valid bytes (>= UPTO) or -EBADMSG. */
ssize_t frame_codec_decode(struct frame_decoder *decoder,
		enum frame_compression compression, uint8_t *out,
		size_t plain_len, size_t upto, const uint8_t *in, size_t len);

#endif
