/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * All cryptography, over libsodium: subkeys (crypto_kdf, BLAKE2b), ids (keyed
 * BLAKE2b-256), sealing (XChaCha20-Poly1305-IETF with random nonces), span
 * proofs (Poly1305 as a keyed universal hash), key wrapping (Argon2id).
 * sodium.h is included by seal.c alone.
 *
 * In a repository without encryption the same calls work with a public master
 * key; seal_box then leaves the bytes plain and puts an XXH3-128 checksum
 * where the tag goes (nonce: zeros), so sizes are the same.
 *
 * Threading: struct seal is immutable once made; all calls may run at once.
 */
#ifndef AMBERFS_CRYPTO_SEAL_H
#define AMBERFS_CRYPTO_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define ID_SIZE 32
#define MASTER_KEY_SIZE 32
#define SEAL_NONCE_SIZE 24
#define SEAL_TAG_SIZE 16
#define SEAL_OVERHEAD (SEAL_NONCE_SIZE + SEAL_TAG_SIZE)
#define PROOF_SIZE 16
#define REPO_ID_SIZE 16
#define MAC_SIZE 32

struct id {
	uint8_t b[ID_SIZE];
};

/* What the id names; each has its own key. */
enum id_kind { ID_CHUNK, ID_NODE, ID_SNAPSHOT };

/* Which subkey seals. */
enum seal_kind {
	SEAL_DATA, /* frames and trailers of data packs */
	SEAL_TREE, /* frames and trailers of tree packs */
	SEAL_SNAPSHOT,
	SEAL_META, /* sessions, condemned, damaged, pins, retention */
	SEAL_KINDS
};

struct seal;

/* Must be called before all else, in every process. 0 or -EIO. */
int seal_global_init(void);

/* MASTER has MASTER_KEY_SIZE bytes; it is copied into memory that is not
 * dumped, is wiped by seal_free, and is locked where RLIMIT_MEMLOCK allows
 * (seal_lock tells whether). Returns NULL without memory. */
struct seal *seal_new(const uint8_t *master, bool encrypted);
void seal_free(struct seal *seal); /* NULL allowed */

/* Keeps the keys out of swap. seal_new tries it too, but cannot say that it
 * failed, and a fork loses the lock: a daemon calls this after its last fork.
 * 0, or -errno with a text that is worth a warning; the keys work anyway. */
int seal_lock(const struct seal *seal);

bool seal_encrypts(const struct seal *seal);

/* Copies the master key out (to wrap it in another slot). */
void seal_master(const struct seal *seal, uint8_t out[MASTER_KEY_SIZE]);

void seal_id(const struct seal *seal, enum id_kind kind, struct id *out,
		const void *data, size_t len);
static inline bool id_equal(const struct id *a, const struct id *b)
{
	return __builtin_memcmp(a->b, b->b, ID_SIZE) == 0;
}
static inline bool id_is_zero(const struct id *a)
{
	static const struct id zero;
	return id_equal(a, &zero);
}
/* The first 8 bytes: for hash tables and the index. */
static inline uint64_t id_prefix(const struct id *a)
{
	uint64_t v;
	__builtin_memcpy(&v, a->b, sizeof(v));
	return v;
}

/* The seed of the cutting hash (XXH3). */
uint64_t seal_cut_seed(const struct seal *seal);

/*
 * Seals LEN bytes at PLAIN into OUT = nonce || LEN bytes || tag.
 * AD (any length) is bound. OUT must not overlap PLAIN, except that PLAIN may
 * be OUT + SEAL_NONCE_SIZE.
 */
void seal_box(const struct seal *seal, enum seal_kind kind, uint8_t *out,
		const void *plain, size_t len, const void *ad, size_t ad_len);

/* Opens a box of BOX_LEN bytes into PLAIN (BOX_LEN - SEAL_OVERHEAD bytes; may
 * be BOX + SEAL_NONCE_SIZE). Returns 0 or -EBADMSG, PLAIN then zeroed. */
int seal_open(const struct seal *seal, enum seal_kind kind, void *plain,
		const uint8_t *box, size_t box_len, const void *ad,
		size_t ad_len);

/* MAC over config with a subkey (keyed BLAKE2b-256). */
void seal_config_mac(const struct seal *seal, uint8_t mac[MAC_SIZE],
		const void *data, size_t len);

/* Constant-time comparison. */
bool seal_equal(const void *a, const void *b, size_t len);

/*
 * Universal hash of a span: Poly1305 under a fixed secret key, whose outputs
 * are only ever stored sealed (so never seen by whoever chooses the data); two
 * different inputs of up to 16 MiB + 1 KiB agree with probability below 2^-80
 * (Bernstein, "The Poly1305-AES message-authentication code", 2005). Feed with
 * seal_proof_update; not for unencrypted repositories.
 */
struct seal_proof {
	_Alignas(16) uint8_t state[256];
};
void seal_proof_begin(const struct seal *seal, struct seal_proof *proof);
void seal_proof_update(struct seal_proof *proof, const void *data, size_t len);
void seal_proof_end(struct seal_proof *proof, uint8_t out[PROOF_SIZE]);

/* Unkeyed BLAKE2b of OUT_LEN (16..64) bytes. */
void seal_hash(uint8_t *out, size_t out_len, const void *data, size_t len);

void seal_random(void *out, size_t len);
void seal_wipe(void *p, size_t len);

/* --- wrapping the master key --- */

struct kdf_cost {
	uint32_t ops;	  /* Argon2id passes; 0: not a passphrase slot */
	uint32_t mem_kib; /* Argon2id memory */
};
#define KDF_SALT_SIZE 16
#define WRAPPED_KEY_SIZE (MASTER_KEY_SIZE + SEAL_OVERHEAD)

/* Key-encryption key from SECRET: Argon2id 1.3, one lane, with a COST, or
 * keyed BLAKE2b (cost->ops 0) for secrets that are random already.
 * Returns 0 or -ENOMEM. */
int seal_derive_kek(uint8_t kek[32], const void *secret, size_t len,
		const uint8_t salt[KDF_SALT_SIZE], const struct kdf_cost *cost);
void seal_wrap(uint8_t out[WRAPPED_KEY_SIZE], const uint8_t kek[32],
		const uint8_t master[MASTER_KEY_SIZE], const void *ad,
		size_t ad_len);
/* 0 or -EKEYREJECTED. */
int seal_unwrap(uint8_t master[MASTER_KEY_SIZE], const uint8_t kek[32],
		const uint8_t wrapped[WRAPPED_KEY_SIZE], const void *ad,
		size_t ad_len);

/* Zeroed memory for secrets: not dumped, locked where RLIMIT_MEMLOCK allows.
 * NULL without memory. */
void *seal_secret_alloc(size_t len);
void seal_secret_free(void *p); /* wipes, the stack too; NULL allowed */

/* Wipes what the calls made before this one have left on the stack: hashes,
 * copies in registers that were saved there. A core dump would show it. */
void seal_forget_stack(void);

#endif
