/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * REPO/config: what never changes after init. 160 bytes, plain, with a MAC
 * under a key derived from the master key (table in FORMAT.md).
 */
#ifndef AMBERFS_FORMAT_CONFIG_H
#define AMBERFS_FORMAT_CONFIG_H

#include "repo/crypto/seal.h"

#define CONFIG_SIZE 160
#define CONFIG_NAME "config"
#define FORMAT_VERSION 1

struct config {
	uint8_t repo_id[REPO_ID_SIZE];
	bool encrypted;
	uint64_t required; /* feature words */
	uint64_t optional;
	uint32_t chunk_min, chunk_average, chunk_max; /* bytes */
	uint32_t frame_size; /* plain bytes that close a frame */
	uint32_t pack_size;  /* stored bytes that close a pack */
	int32_t zstd_level;  /* default */
	int64_t created;     /* UTC second */
	uint8_t public_key[MASTER_KEY_SIZE]; /* not encrypted: the master key;
						else zeros */
};

/* The defaults for a new repository, with a fresh id (and public key). */
void config_defaults(struct config *config, bool encrypted);

void config_encode(uint8_t out[CONFIG_SIZE], const struct config *config,
		const struct seal *seal);

/* Checks magic, version, required features and bounds. The MAC can be checked
 * only once a seal exists: config_authenticate.
 * 0, -EBADMSG (damaged), -EPROTONOSUPPORT (newer version or feature). */
int config_decode(struct config *config, const void *data, size_t len);
/* 0 or -EBADMSG. */
int config_authenticate(const void *data, size_t len, const struct seal *seal);

#endif
