/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * REPO/config. Byte table (FORMAT.md has the same):
 *
 *	0	8	magic "AMBERFS\n"
 *	8	4	format version
 *	12	4	flags: bit 0 encrypted, the others zero
 *	16	16	repository id
 *	32	8	required features
 *	40	8	optional features
 *	48	4	least chunk size
 *	52	4	average chunk size
 *	56	4	largest chunk size
 *	60	4	frame size
 *	64	4	pack size
 *	68	4	zstd level
 *	72	8	time of making, UTC second
 *	80	32	public key, or zeros
 *	112	16	zeros
 *	128	32	MAC over "amberfs config 1" and the 128 bytes before it
 *
 * What this file does not do: it doesn't read or write the object.
 */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "node.h"
#include "repo/base/bytes.h"
#include "repo/base/error.h"
#include "repo/base/units.h"
#include "trailer.h"

#define BODY_SIZE (CONFIG_SIZE - MAC_SIZE)
#define FLAG_ENCRYPTED 1u
#define REQUIRED_CHECKSUMS (UINT64_C(1) << 0) /* packs of version 2 */
#define KNOWN_REQUIRED REQUIRED_CHECKSUMS
#define CHUNK_MAX_BYTES (1u << 20)
#define PACK_SIZE_LEAST (64u << 10)
#define PACK_SIZE_MOST (72u << 20)
#define LEVEL_MOST 19
#define YEAR_10000 INT64_C(253402300800)

static const uint8_t magic[8] = { 'A', 'M', 'B', 'E', 'R', 'F', 'S', '\n' };
static const uint8_t mac_domain[16] = "amberfs config 1";

static_assert(CONFIG_SIZE == 160, "config");
static_assert(80 + MASTER_KEY_SIZE + 16 == BODY_SIZE, "config");
static_assert(PACK_SIZE_MOST + TRAILER_SIZE_MAX + 4 * FRAME_PLAIN_MAX
				<= PACK_SIZE_MAX,
		"a full pack stays below its limit");

void config_defaults(struct config *config, bool encrypted)
{
	*config = (struct config){
		.encrypted = encrypted,
		.required = REQUIRED_CHECKSUMS,
		.chunk_min = 8u << 10,
		.chunk_average = 32u << 10,
		.chunk_max = 128u << 10,
		.frame_size = 128u << 10,
		.pack_size = 64u << 20,
		.zstd_level = 3,
		.created = time(NULL),
	};
	seal_random(config->repo_id, sizeof(config->repo_id));
	if (!encrypted)
		seal_random(config->public_key, sizeof(config->public_key));
}

static void make_mac(uint8_t mac[MAC_SIZE], const uint8_t *body,
		const struct seal *seal)
{
	uint8_t input[sizeof(mac_domain) + BODY_SIZE];
	memcpy(input, mac_domain, sizeof(mac_domain));
	memcpy(input + sizeof(mac_domain), body, BODY_SIZE);
	seal_config_mac(seal, mac, input, sizeof(input));
}

void config_encode(uint8_t out[CONFIG_SIZE], const struct config *config,
		const struct seal *seal)
{
	memset(out, 0, CONFIG_SIZE);
	memcpy(out, magic, 8);
	put_le32(out + 8, FORMAT_VERSION);
	put_le32(out + 12, config->encrypted ? FLAG_ENCRYPTED : 0);
	memcpy(out + 16, config->repo_id, REPO_ID_SIZE);
	put_le64(out + 32, config->required);
	put_le64(out + 40, config->optional);
	put_le32(out + 48, config->chunk_min);
	put_le32(out + 52, config->chunk_average);
	put_le32(out + 56, config->chunk_max);
	put_le32(out + 60, config->frame_size);
	put_le32(out + 64, config->pack_size);
	put_le32(out + 68, (uint32_t)config->zstd_level);
	put_le64(out + 72, (uint64_t)config->created);
	memcpy(out + 80, config->public_key, MASTER_KEY_SIZE);
	make_mac(out + BODY_SIZE, out, seal);
}

/* Magic, version and features: what decides whether this program may read on
 * at all. Looked at before the length, which another version may change. */
static int check_version(const uint8_t *p, size_t len)
{
	if (len < 12 || memcmp(p, magic, 8) != 0)
		return fail(-EBADMSG,
				"config is damaged, or not an amberfs config");
	uint32_t version = get_le32(p + 8);
	if (version > FORMAT_VERSION)
		return fail(-EPROTONOSUPPORT,
				"made by a newer amberfs: format version "
				"%u, this program supports up to %u",
				version, FORMAT_VERSION);
	if (version != FORMAT_VERSION || len != CONFIG_SIZE)
		return fail(-EBADMSG, "config is damaged");
	uint64_t unknown = get_le64(p + 32) & ~KNOWN_REQUIRED;
	if (unknown != 0)
		return fail(-EPROTONOSUPPORT,
				"made by a newer amberfs: it uses features "
				"(bits %#llx) that this program does not "
				"support",
				(unsigned long long)unknown);
	return 0;
}

static bool sizes_fit(const struct config *config)
{
	return config->chunk_min >= BLOCK_SIZE
			&& config->chunk_min % BLOCK_SIZE == 0
			&& config->chunk_min <= config->chunk_average
			&& (config->chunk_average & (config->chunk_average - 1))
			== 0
			&& config->chunk_average <= config->chunk_max
			&& config->chunk_max % BLOCK_SIZE == 0
			&& config->chunk_max <= CHUNK_MAX_BYTES
			&& config->frame_size >= BLOCK_SIZE
			&& config->frame_size % BLOCK_SIZE == 0
			&& config->frame_size <= FRAME_PLAIN_MAX
			&& config->pack_size >= PACK_SIZE_LEAST
			&& config->pack_size <= PACK_SIZE_MOST
			&& config->zstd_level >= 1
			&& config->zstd_level <= LEVEL_MOST;
}

int config_decode(struct config *config, const void *data, size_t len)
{
	const uint8_t *p = data;
	int err = check_version(p, len);
	if (err < 0)
		return err;
	uint32_t flags = get_le32(p + 12);
	*config = (struct config){
		.encrypted = (flags & FLAG_ENCRYPTED) != 0,
		.required = get_le64(p + 32),
		.optional = get_le64(p + 40),
		.chunk_min = get_le32(p + 48),
		.chunk_average = get_le32(p + 52),
		.chunk_max = get_le32(p + 56),
		.frame_size = get_le32(p + 60),
		.pack_size = get_le32(p + 64),
		.zstd_level = (int32_t)get_le32(p + 68),
		.created = (int64_t)get_le64(p + 72),
	};
	memcpy(config->repo_id, p + 16, REPO_ID_SIZE);
	memcpy(config->public_key, p + 80, MASTER_KEY_SIZE);
	/* An encrypted repository has no public key, another must have one. */
	if ((flags & ~FLAG_ENCRYPTED) != 0 || !sizes_fit(config)
			|| config->created < 0 || config->created >= YEAR_10000
			|| bytes_are_zero(config->repo_id, REPO_ID_SIZE)
			|| bytes_are_zero(config->public_key, MASTER_KEY_SIZE)
					!= config->encrypted
			|| !bytes_are_zero(p + 112, 16))
		return fail(-EBADMSG, "config is damaged");
	return 0;
}

int config_authenticate(const void *data, size_t len, const struct seal *seal)
{
	const uint8_t *p = data;
	uint8_t mac[MAC_SIZE];
	if (len != CONFIG_SIZE)
		return fail(-EBADMSG, "config is damaged");
	make_mac(mac, p, seal);
	if (!seal_equal(mac, p + BODY_SIZE, MAC_SIZE))
		return fail(-EBADMSG, "config is damaged or forged");
	return 0;
}
