/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: trailers come back as they were, and whatever bytes are
 * given to the decoders, they refuse them or yield tables that hold together.*/
#include "repo/base/bytes.h"
#include "repo/format/trailer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t repo_id[REPO_ID_SIZE] = { 7, 7, 7 };
static const struct pack_id pack = { { 0x3f, 0xa0, 1 } };

/* The same numbers in each run, so that a failure can be seen again. */
static uint32_t number(void)
{
	static uint64_t state = 1;
	state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(state >> 33);
}

static void random_frame(struct trailer *trailer, uint64_t *offset)
{
	struct frame_entry *frame = &trailer->frames[trailer->frame_count];
	*frame = (struct frame_entry){
		.offset = *offset,
		.first_chunk = trailer->chunk_count,
		.chunk_count = 1 + number() % 5,
		.compression = number() % 2 ? FRAME_ZSTD : FRAME_STORED,
	};
	for (uint32_t i = 0; i < frame->chunk_count; i++) {
		struct chunk_entry *chunk =
				&trailer->chunks[trailer->chunk_count++];
		chunk->frame = trailer->frame_count;
		chunk->offset = frame->plain_len;
		chunk->len = 1 + number() % 50000;
		frame->plain_len += chunk->len;
		chunk->checksum =
				trailer->version == PACK_VERSION ? number() : 0;
		for (int b = 0; b < ID_SIZE; b++)
			chunk->id.b[b] = (uint8_t)(1 + number() % 255);
	}
	frame->stored_len = frame->plain_len + SEAL_OVERHEAD;
	if (frame->compression == FRAME_ZSTD)
		frame->stored_len -= number() % 2 ? frame->plain_len / 3 : 0;
	*offset += frame->stored_len;
	trailer->frame_count++;
}

static struct trailer *random_trailer(uint64_t *frames_end)
{
	struct trailer *trailer = calloc(1, sizeof(*trailer));
	uint32_t frames = 1 + number() % 8;
	trailer->version = number() % 2 ? PACK_VERSION : PACK_VERSION_BARE;
	trailer->frames = calloc(frames, sizeof(*trailer->frames));
	trailer->chunks = calloc(5 * frames, sizeof(*trailer->chunks));
	*frames_end = PACK_HEADER_SIZE;
	for (uint32_t i = 0; i < frames; i++)
		random_frame(trailer, frames_end);
	return trailer;
}

/* What users of a decoded trailer rely on. */
static void assert_holds_together(const struct trailer *trailer,
		uint64_t frames_end)
{
	uint64_t offset = PACK_HEADER_SIZE;
	uint32_t chunk = 0;
	for (uint32_t i = 0; i < trailer->frame_count; i++) {
		const struct frame_entry *frame = &trailer->frames[i];
		uint32_t plain = 0;
		assert_int_equal(frame->offset, offset);
		assert_int_equal(frame->first_chunk, chunk);
		assert_in_range(frame->plain_len, 1, FRAME_PLAIN_MAX);
		for (uint32_t n = 0; n < frame->chunk_count; n++, chunk++) {
			assert_int_equal(trailer->chunks[chunk].frame, i);
			assert_int_equal(trailer->chunks[chunk].offset, plain);
			assert_true(trailer->chunks[chunk].len > 0);
			plain += trailer->chunks[chunk].len;
		}
		assert_int_equal(plain, frame->plain_len);
		offset += frame->stored_len;
	}
	assert_int_equal(chunk, trailer->chunk_count);
	assert_int_equal(offset, frames_end);
}

static void test_round_trip(void **state)
{
	(void)state;
	for (int round = 0; round < 300; round++) {
		uint64_t end;
		uint8_t *bytes;
		size_t len;
		struct trailer *trailer = random_trailer(&end), *back;
		assert_int_equal(trailer_encode(trailer, &bytes, &len), 0);
		assert_int_equal(trailer_decode(&back, &pack, PACK_TREE, bytes,
						 len, end),
				0);
		assert_int_equal(back->kind, PACK_TREE);
		assert_memory_equal(&back->pack, &pack, sizeof(pack));
		assert_int_equal(back->frame_count, trailer->frame_count);
		assert_int_equal(back->chunk_count, trailer->chunk_count);
		assert_holds_together(back, end);
		assert_int_equal(back->version, trailer->version);
		for (uint32_t i = 0; i < trailer->chunk_count; i++) {
			assert_true(id_equal(&back->chunks[i].id,
					&trailer->chunks[i].id));
			assert_int_equal(back->chunks[i].checksum,
					trailer->chunks[i].checksum);
		}
		for (uint32_t i = 0; i < trailer->frame_count; i++)
			assert_int_equal(back->frames[i].compression,
					trailer->frames[i].compression);
		trailer_free(trailer);
		trailer_free(back);
		free(bytes);
	}
	trailer_free(NULL);
}

static void try_decode(const uint8_t *bytes, size_t len, uint64_t end)
{
	/* A copy of the exact size, so that a read beyond it is seen. */
	uint8_t *copy = malloc(len > 0 ? len : 1);
	struct trailer *trailer;
	memcpy(copy, bytes, len);
	int err = trailer_decode(&trailer, &pack, PACK_DATA, copy, len, end);
	assert_true(err == 0 || err == -EBADMSG);
	if (err == 0)
		assert_holds_together(trailer, end);
	else
		assert_null(trailer);
	trailer_free(trailer);
	free(copy);
}

static void test_damage(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		uint64_t end;
		uint8_t *bytes;
		size_t len;
		struct trailer *trailer = random_trailer(&end);
		assert_int_equal(trailer_encode(trailer, &bytes, &len), 0);
		for (size_t i = 0; i < len; i++) {
			uint8_t old = bytes[i];
			for (int bit = 0; bit < 8; bit++) {
				bytes[i] = (uint8_t)(old ^ (1u << bit));
				try_decode(bytes, len, end);
			}
			bytes[i] = 0xff;
			try_decode(bytes, len, end);
			bytes[i] = 0;
			try_decode(bytes, len, end);
			bytes[i] = old;
			try_decode(bytes, i, end);
		}
		try_decode(bytes, len, end + 1);
		try_decode(bytes, len, end - 1);
		try_decode(bytes, len, 0);
		try_decode(bytes, len, UINT64_MAX);
		free(bytes);
		trailer_free(trailer);
	}
}

/* One frame with one stored chunk of 100 bytes. */
#define ONE_LEN (8 + 12 + 36)
#define ONE_END (PACK_HEADER_SIZE + 100 + SEAL_OVERHEAD)
static void make_one(uint8_t out[ONE_LEN])
{
	memset(out, 0, ONE_LEN);
	put_le32(out, 1);
	put_le32(out + 4, 1);
	put_le32(out + 8, 100 + SEAL_OVERHEAD);
	put_le32(out + 12, 100);
	memset(out + 20, 0xab, ID_SIZE);
	put_le32(out + 52, 100);
}

static int decode_one(const uint8_t *bytes, uint64_t end)
{
	struct trailer *trailer;
	int err = trailer_decode(&trailer, &pack, PACK_DATA, bytes, ONE_LEN,
			end);
	trailer_free(trailer);
	return err;
}

static void test_each_rule(void **state)
{
	static const struct {
		unsigned at;
		uint32_t value;
	} bad[] = {
		{ 0, 0 },
		{ 0, 2 },
		{ 0, UINT32_MAX },
		{ 4, 0 },
		{ 4, 2 },
		{ 4, UINT32_MAX },
		{ 8, 0 },
		{ 8, SEAL_OVERHEAD },
		{ 8, 99 + SEAL_OVERHEAD },
		{ 8, 101 + SEAL_OVERHEAD },
		{ 8, UINT32_MAX },
		{ 12, 0 },
		{ 12, 99 },
		{ 12, 101 },
		{ 12, FRAME_PLAIN_MAX + 1 },
		{ 12, UINT32_MAX },
		{ 16, 1 },
		{ 16, 0xffff },
		{ 16, 2u << 16 },
		{ 16, 1u << 24 },
		{ 52, 0 },
		{ 52, 99 },
		{ 52, 101 },
		{ 52, UINT32_MAX },
	};
	uint8_t one[ONE_LEN];
	(void)state;
	make_one(one);
	assert_int_equal(decode_one(one, ONE_END), 0);
	assert_int_equal(decode_one(one, ONE_END + 1), -EBADMSG);
	assert_int_equal(decode_one(one, PACK_SIZE_MAX + 1), -EBADMSG);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		make_one(one);
		put_le32(one + bad[i].at, bad[i].value);
		assert_int_equal(decode_one(one, ONE_END), -EBADMSG);
	}
	make_one(one);
	memset(one + 20, 0, ID_SIZE);
	assert_int_equal(decode_one(one, ONE_END), -EBADMSG);
}

static void test_header(void **state)
{
	uint8_t header[PACK_HEADER_SIZE], other[REPO_ID_SIZE] = { 8 };
	struct pack_header h = { .version = PACK_VERSION,
		.kind = PACK_TREE,
		.encrypted = true };
	(void)state;
	pack_header_encode(header, repo_id, &h);
	h = (struct pack_header){ .version = 0 };
	assert_int_equal(pack_header_decode(header, repo_id, &h), 0);
	assert_int_equal(h.version, PACK_VERSION);
	assert_int_equal(h.kind, PACK_TREE);
	assert_true(h.encrypted);
	assert_int_equal(pack_header_decode(header, other, &h), -EBADMSG);
	for (int i = 0; i < PACK_HEADER_SIZE; i++) {
		header[i] ^= 0x40;
		assert_int_equal(pack_header_decode(header, repo_id, &h),
				-EBADMSG);
		header[i] ^= 0x40;
	}
	header[8] = PACK_VERSION_BARE;
	assert_int_equal(pack_header_decode(header, repo_id, &h), 0);
	assert_int_equal(h.version, PACK_VERSION_BARE);
}

static void test_footer(void **state)
{
	uint8_t footer[PACK_FOOTER_SIZE] = { 0 };
	(void)state;
	pack_footer_encode(footer, TRAILER_BOX_MIN);
	assert_int_equal(pack_footer_decode(footer), TRAILER_BOX_MIN);
	pack_footer_encode(footer, TRAILER_SIZE_MAX);
	assert_int_equal(pack_footer_decode(footer), TRAILER_SIZE_MAX);
	pack_footer_encode(footer, TRAILER_BOX_MIN - 1);
	assert_int_equal(pack_footer_decode(footer), -EBADMSG);
	pack_footer_encode(footer, TRAILER_SIZE_MAX + 1);
	assert_int_equal(pack_footer_decode(footer), -EBADMSG);
	pack_footer_encode(footer, UINT32_MAX);
	assert_int_equal(pack_footer_decode(footer), -EBADMSG);
	for (int i = 4; i < 16; i++) {
		pack_footer_encode(footer, 1000);
		footer[i] ^= 1;
		assert_int_equal(pack_footer_decode(footer), -EBADMSG);
	}
}

static void test_names(void **state)
{
	char name[PACK_NAME_SIZE];
	struct pack_id back;
	(void)state;
	pack_name(name, &pack);
	assert_string_equal(name,
			"packs/3f/"
			"3fa00100000000000000000000000000");
	assert_int_equal(pack_name_parse(&back, name), 0);
	assert_memory_equal(&back, &pack, sizeof(pack));
	for (int i = 0; i < PACK_NAME_SIZE - 1; i++) {
		char old = name[i];
		name[i] = 'F';
		assert_int_equal(pack_name_parse(&back, name), -EINVAL);
		name[i] = '\0';
		assert_int_equal(pack_name_parse(&back, name), -EINVAL);
		name[i] = old;
	}
	name[6] = '4'; /* the wrong shard */
	assert_int_equal(pack_name_parse(&back, name), -EINVAL);
}

static void test_associated_data(void **state)
{
	uint8_t ad[PACK_AD_SIZE], other[PACK_AD_SIZE];
	(void)state;
	pack_ad(ad, repo_id, &pack, PACK_DATA, 5);
	assert_memory_equal(ad, repo_id, 16);
	assert_memory_equal(ad + 16, pack.b, 16);
	assert_memory_equal(ad + 32, "\5\0\0\0\1\0\0\0", 8);
	pack_ad(other, repo_id, &pack, PACK_TREE, 5);
	assert_memory_not_equal(ad, other, PACK_AD_SIZE);
	pack_ad(other, repo_id, &pack, PACK_DATA, TRAILER_AD);
	assert_memory_not_equal(ad, other, PACK_AD_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_each_rule),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_footer),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_associated_data),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
