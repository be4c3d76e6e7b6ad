/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz entry: config. Input: the object. */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "repo/format/config.h"

static void check_bounds(const struct config *config)
{
	must(config->chunk_min >= 4096 && config->chunk_min % 4096 == 0);
	must(config->chunk_min <= config->chunk_average);
	must(config->chunk_average <= config->chunk_max
			&& config->chunk_max <= 1u << 20);
	must(config->frame_size >= 4096 && config->frame_size <= 1u << 20);
	must(config->pack_size >= 64u << 10 && config->pack_size <= 72u << 20);
	must(config->zstd_level >= 1 && config->zstd_level <= 19);
	must(config->required <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct seal *seal = fuzz_seal(true);
	uint8_t again[CONFIG_SIZE];
	struct config c;
	int err = config_decode(&c, data, size);
	must(err == 0 || err == -EBADMSG || err == -EPROTONOSUPPORT);
	if (err < 0)
		return 0;
	must(size == CONFIG_SIZE);
	check_bounds(&c);
	config_encode(again, &c, seal);
	must(memcmp(again, data, CONFIG_SIZE - MAC_SIZE) == 0);
	must(config_authenticate(again, CONFIG_SIZE, seal) == 0);
	/* Whoever lacks the key can't have made the MAC. */
	bool same = memcmp(again, data, CONFIG_SIZE) == 0;
	must((config_authenticate(data, size, seal) == 0) == same);
	return 0;
}
