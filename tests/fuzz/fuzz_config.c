/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz entry: config. Input: the object. */
#include <errno.h>
#include <string.h>

#include "repo/format/config.h"
#include "fuzz.h"

static void check_bounds(const struct config *c)
{
	must(c->chunk_min >= 4096 && c->chunk_min % 4096 == 0);
	must(c->chunk_min <= c->chunk_average);
	must(c->chunk_average <= c->chunk_max && c->chunk_max <= 1u << 20);
	must(c->frame_size >= 4096 && c->frame_size <= 1u << 20);
	must(c->pack_size >= 64u << 10 && c->pack_size <= 72u << 20);
	must(c->zstd_level >= 1 && c->zstd_level <= 19);
	must(c->required == 0);
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
