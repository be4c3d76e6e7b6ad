/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * masterkey REPO: prints the master key of a repository and the subkeys that
 * come from it, as hexadecimal digits, one a line after its name. For tests
 * that look for them where they must not be. The key comes from AMBERFS_*.
 */
#include <sodium.h>
#include <stdio.h>

#include "repo/base/bytes.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"
#include "repo/repository/repository.h"

static const char *const names[] = { NULL, "chunk-ids", "node-ids",
	"snapshot-ids", "cuts", "proofs", "data", "trees", "snapshots", "meta",
	"config" };

static void print(const char *name, const uint8_t *key, size_t len)
{
	char text[2 * MASTER_KEY_SIZE + 1];
	hex_encode(text, key, len);
	printf("%s %s\n", name, text);
}

int main(int argc, char **argv)
{
	struct repository_options o = { .index_dir = NULL };
	struct repository *repo = NULL;
	uint8_t master[MASTER_KEY_SIZE], sub[MASTER_KEY_SIZE];
	if (argc != 2) {
		fprintf(stderr, "Usage: masterkey REPO\n");
		return EXIT_USAGE;
	}
	int err = repository_open(&repo, argv[1], &o);
	if (err < 0) {
		fprintf(stderr, "masterkey: %s\n", error_text(err));
		return EXIT_FAILED;
	}
	seal_master(repo->seal, master);
	print("master", master, sizeof(master));
	for (unsigned i = 1; i < ARRAY_SIZE(names); i++) {
		size_t len = i == 4 ? 16 : sizeof(sub);
		crypto_kdf_derive_from_key(sub, len, i, "amberfs1", master);
		print(names[i], sub, len);
	}
	repository_close(repo);
	return EXIT_DONE;
}
