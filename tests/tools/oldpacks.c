/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * oldpacks REPO: makes a repository what programs wrote that knew only packs of
 * version 1: no chunk has a checksum, and config asks for no feature. Frames stay
 * as they are. The key comes from AMBERFS_*.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "repo/base/error.h"
#include "repo/repository/repository.h"
#include "repo/store/names.h"

static void must(int err, const char *what)
{
	if (err >= 0)
		return;
	fprintf(stderr, "oldpacks: %s: %s\n", what, error_text(err));
	exit(EXIT_FAILED);
}

static void replace(struct repository *repo, const char *name,
		const uint8_t *data, size_t len)
{
	must(store_delete(repo->store, name), name);
	must(store_put(repo->store, name, data, len, true), name);
}

/* The trailer without its checksums, sealed, at AT; returns its box's length. */
static size_t put_trailer(struct repository *repo, struct trailer *trailer,
		uint8_t *at)
{
	enum seal_kind kind =
			trailer->kind == PACK_TREE ? SEAL_TREE : SEAL_DATA;
	uint8_t ad[PACK_AD_SIZE], *plain;
	size_t len;
	trailer->version = PACK_VERSION_BARE;
	must(trailer_encode(trailer, &plain, &len), "a trailer");
	pack_ad(ad, repo->config.repo_id, &trailer->pack, trailer->kind,
			TRAILER_AD);
	seal_box(repo->seal, kind, at, plain, len, ad, sizeof(ad));
	free(plain);
	return len + SEAL_OVERHEAD;
}

static void rewrite_pack(struct repository *repo, const char *name)
{
	struct trailer *trailer;
	struct pack_id id;
	void *data;
	size_t len;
	must(pack_name_parse(&id, name), name);
	must(pack_cache_peek(repo->packs, &id, &trailer), name);
	must(store_get(repo->store, name, &data, &len, PACK_SIZE_MAX), name);
	const struct frame_entry *last =
			&trailer->frames[trailer->frame_count - 1];
	const struct pack_header h = { .version = PACK_VERSION_BARE,
		.kind = trailer->kind,
		.encrypted = repo->config.encrypted };
	pack_header_encode(data, repo->config.repo_id, &h);
	uint8_t *at = (uint8_t *)data + last->offset + last->stored_len;
	size_t box = put_trailer(repo, trailer, at);
	at += box;
	pack_footer_encode(at, (uint32_t)box);
	at += PACK_FOOTER_SIZE - PACK_CHECKSUM_SIZE;
	len = (size_t)(at - (uint8_t *)data);
	XXH128_canonicalFromHash((XXH128_canonical_t *)at,
			XXH3_128bits(data, len));
	replace(repo, name, data, len + PACK_CHECKSUM_SIZE);
	trailer_free(trailer);
	free(data);
}

int main(int argc, char **argv)
{
	struct repository_options o = { .index_dir = NULL };
	struct repository *repo = NULL;
	struct names packs = { .count = 0 };
	uint8_t config[CONFIG_SIZE];
	if (argc != 2) {
		fprintf(stderr, "Usage: oldpacks REPO\n");
		return EXIT_USAGE;
	}
	must(repository_open(&repo, argv[1], &o), argv[1]);
	must(repository_attach(repo, &o), argv[1]);
	must(store_list(repo->store, "packs/", names_add, &packs), argv[1]);
	for (size_t i = 0; i < packs.count; i++)
		rewrite_pack(repo, packs.items[i]);
	repo->config.required = 0;
	config_encode(config, &repo->config, repo->seal);
	replace(repo, CONFIG_NAME, config, sizeof(config));
	names_clear(&packs);
	repository_close(repo);
	return EXIT_DONE;
}
