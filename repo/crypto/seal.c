/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The one file that talks to libsodium; see seal.h.
 *
 * Every key comes from the master key by crypto_kdf (keyed BLAKE2b) with the
 * context "amberfs1" and one number per use. The numbers are part of the
 * format: they are never changed or given a second meaning.
 *
 * What this file does not do: it knows no file, no name and no layout but the
 * box nonce || bytes || tag. What must be bound to a box is the caller's
 * associated data.
 */
#define XXH_INLINE_ALL
#include "seal.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/mman.h>
#include <xxhash.h>

#include "repo/base/bytes.h"
#include "repo/base/error.h"

#define KEY_SIZE 32
/* More than functions that handle secrets use. */
#define STACK_USED ((size_t)32 << 10)
#define KDF_CONTEXT "amberfs1"

/* Numbers of the subkeys; FORMAT.md has the same table. */
enum subkey {
	SUBKEY_CHUNK_ID = 1,
	SUBKEY_NODE_ID = 2,
	SUBKEY_SNAPSHOT_ID = 3,
	SUBKEY_CUT = 4,
	SUBKEY_PROOF = 5,
	SUBKEY_DATA = 6,
	SUBKEY_TREE = 7,
	SUBKEY_SNAPSHOT = 8,
	SUBKEY_META = 9,
	SUBKEY_CONFIG = 10,
};

struct seal {
	uint8_t master[KEY_SIZE];
	uint8_t id_keys[ID_SNAPSHOT + 1][KEY_SIZE];
	uint8_t box_keys[SEAL_KINDS][KEY_SIZE];
	uint8_t proof_key[KEY_SIZE];
	uint8_t config_key[KEY_SIZE];
	uint64_t cut_seed;
	bool encrypted;
};

static_assert(MASTER_KEY_SIZE == crypto_kdf_KEYBYTES, "master key");
static_assert(sizeof(KDF_CONTEXT) == crypto_kdf_CONTEXTBYTES + 1, "context");
static_assert(SEAL_NONCE_SIZE == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
		"nonce");
static_assert(SEAL_TAG_SIZE == crypto_aead_xchacha20poly1305_ietf_ABYTES,
		"tag");
static_assert(SEAL_TAG_SIZE == sizeof(XXH128_canonical_t), "checksum");
static_assert(KEY_SIZE == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key");
static_assert(KEY_SIZE == crypto_onetimeauth_KEYBYTES, "proof key");
static_assert(PROOF_SIZE == crypto_onetimeauth_BYTES, "proof");
static_assert(sizeof(crypto_onetimeauth_state)
				<= sizeof(((struct seal_proof *)0)->state),
		"proof state");
static_assert(_Alignof(crypto_onetimeauth_state) <= _Alignof(struct seal_proof),
		"proof state");
static_assert(KDF_SALT_SIZE == crypto_pwhash_SALTBYTES, "salt");
static_assert(KDF_SALT_SIZE >= crypto_generichash_KEYBYTES_MIN, "salt");
static_assert(ID_SIZE == 32 && MAC_SIZE == 32 && REPO_ID_SIZE == 16, "sizes");
static_assert(WRAPPED_KEY_SIZE == 72, "wrapped key");

int seal_global_init(void)
{
	if (sodium_init() < 0)
		return fail(-EIO,
				"can't initialize libsodium: it found no "
				"source of random numbers");
	return 0;
}

/* --- keys --- */

static void derive(uint8_t *out, size_t len, enum subkey number,
		const uint8_t *master)
{
	crypto_kdf_derive_from_key(out, len, number, KDF_CONTEXT, master);
}

struct seal *seal_new(const uint8_t *master, bool encrypted)
{
	struct seal *seal = seal_secret_alloc(sizeof(*seal));
	uint8_t seed[16];
	if (seal == NULL)
		return NULL;
	memcpy(seal->master, master, KEY_SIZE);
	derive(seal->id_keys[ID_CHUNK], KEY_SIZE, SUBKEY_CHUNK_ID, master);
	derive(seal->id_keys[ID_NODE], KEY_SIZE, SUBKEY_NODE_ID, master);
	derive(seal->id_keys[ID_SNAPSHOT], KEY_SIZE, SUBKEY_SNAPSHOT_ID,
			master);
	derive(seal->proof_key, KEY_SIZE, SUBKEY_PROOF, master);
	derive(seal->box_keys[SEAL_DATA], KEY_SIZE, SUBKEY_DATA, master);
	derive(seal->box_keys[SEAL_TREE], KEY_SIZE, SUBKEY_TREE, master);
	derive(seal->box_keys[SEAL_SNAPSHOT], KEY_SIZE, SUBKEY_SNAPSHOT,
			master);
	derive(seal->box_keys[SEAL_META], KEY_SIZE, SUBKEY_META, master);
	derive(seal->config_key, KEY_SIZE, SUBKEY_CONFIG, master);
	derive(seed, sizeof(seed), SUBKEY_CUT, master);
	seal->cut_seed = get_le64(seed);
	sodium_memzero(seed, sizeof(seed));
	seal->encrypted = encrypted;
	seal_forget_stack();
	/* From now on a stray write faults instead of changing a key. */
	sodium_mprotect_readonly(seal);
	return seal;
}

void seal_free(struct seal *seal)
{
	sodium_free(seal);
}

int seal_lock(const struct seal *seal)
{
	if (mlock(seal, sizeof(*seal)) != 0)
		return fail_errno(-errno,
				"can't lock the keys in memory, so they may "
				"be swapped out (see ulimit -l)");
	return 0;
}

bool seal_encrypts(const struct seal *seal)
{
	return seal->encrypted;
}

void seal_master(const struct seal *seal, uint8_t out[MASTER_KEY_SIZE])
{
	memcpy(out, seal->master, MASTER_KEY_SIZE);
}

uint64_t seal_cut_seed(const struct seal *seal)
{
	return seal->cut_seed;
}

/* --- hashes --- */

void seal_id(const struct seal *seal, enum id_kind kind, struct id *out,
		const void *data, size_t len)
{
	crypto_generichash(out->b, ID_SIZE, data, len, seal->id_keys[kind],
			KEY_SIZE);
}

void seal_config_mac(const struct seal *seal, uint8_t mac[MAC_SIZE],
		const void *data, size_t len)
{
	crypto_generichash(mac, MAC_SIZE, data, len, seal->config_key,
			KEY_SIZE);
}

void seal_hash(uint8_t *out, size_t out_len, const void *data, size_t len)
{
	assert(out_len >= crypto_generichash_BYTES_MIN
			&& out_len <= crypto_generichash_BYTES_MAX);
	crypto_generichash(out, out_len, data, len, NULL, 0);
}

bool seal_equal(const void *a, const void *b, size_t len)
{
	return sodium_memcmp(a, b, len) == 0;
}

void seal_proof_begin(const struct seal *seal, struct seal_proof *proof)
{
	crypto_onetimeauth_init((crypto_onetimeauth_state *)proof->state,
			seal->proof_key);
}

void seal_proof_update(struct seal_proof *proof, const void *data, size_t len)
{
	crypto_onetimeauth_update((crypto_onetimeauth_state *)proof->state,
			data, len);
}

void seal_proof_end(struct seal_proof *proof, uint8_t out[PROOF_SIZE])
{
	crypto_onetimeauth_final((crypto_onetimeauth_state *)proof->state, out);
	sodium_memzero(proof->state, sizeof(proof->state));
}

/* --- boxes --- */

/* What stands in for the tag without encryption. */
static void checksum(uint8_t out[SEAL_TAG_SIZE], const void *plain, size_t len,
		const void *ad, size_t ad_len)
{
	XXH3_state_t state;
	XXH128_canonical_t canonical;
	XXH3_INITSTATE(&state);
	XXH3_128bits_reset(&state);
	if (ad_len > 0)
		XXH3_128bits_update(&state, ad, ad_len);
	if (len > 0)
		XXH3_128bits_update(&state, plain, len);
	XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state));
	memcpy(out, &canonical, SEAL_TAG_SIZE);
}

static void copy_unless_there(void *to, const void *from, size_t len)
{
	if (to != from && len > 0)
		memcpy(to, from, len);
}

void seal_box(const struct seal *seal, enum seal_kind kind, uint8_t *out,
		const void *plain, size_t len, const void *ad, size_t ad_len)
{
	uint8_t *body = out + SEAL_NONCE_SIZE;
	if (!seal->encrypted) {
		memset(out, 0, SEAL_NONCE_SIZE);
		copy_unless_there(body, plain, len);
		checksum(body + len, body, len, ad, ad_len);
		return;
	}
	randombytes_buf(out, SEAL_NONCE_SIZE);
	crypto_aead_xchacha20poly1305_ietf_encrypt_detached(body, body + len,
			NULL, plain, len, ad, ad_len, NULL, out,
			seal->box_keys[kind]);
}

static int open_plain(void *plain, const uint8_t *box, size_t len,
		const void *ad, size_t ad_len)
{
	const uint8_t *body = box + SEAL_NONCE_SIZE;
	uint8_t sum[SEAL_TAG_SIZE];
	checksum(sum, body, len, ad, ad_len);
	if (!bytes_are_zero(box, SEAL_NONCE_SIZE)
			|| memcmp(sum, body + len, SEAL_TAG_SIZE) != 0) {
		if (len > 0)
			memset(plain, 0, len);
		return -EBADMSG;
	}
	copy_unless_there(plain, body, len);
	return 0;
}

int seal_open(const struct seal *seal, enum seal_kind kind, void *plain,
		const uint8_t *box, size_t box_len, const void *ad,
		size_t ad_len)
{
	if (box_len < SEAL_OVERHEAD)
		return -EBADMSG;
	size_t len = box_len - SEAL_OVERHEAD;
	if (!seal->encrypted)
		return open_plain(plain, box, len, ad, ad_len);
	const uint8_t *body = box + SEAL_NONCE_SIZE;
	if (crypto_aead_xchacha20poly1305_ietf_decrypt_detached(plain, NULL,
			    body, len, body + len, ad, ad_len, box,
			    seal->box_keys[kind])
			!= 0) {
		/* libsodium promises nothing about PLAIN here; we do. */
		if (len > 0)
			memset(plain, 0, len);
		return -EBADMSG;
	}
	return 0;
}

/* --- wrapping the master key --- */

int seal_derive_kek(uint8_t kek[32], const void *secret, size_t len,
		const uint8_t salt[KDF_SALT_SIZE], const struct kdf_cost *cost)
{
	if (cost->ops == 0) {
		crypto_generichash(kek, KEY_SIZE, secret, len, salt,
				KDF_SALT_SIZE);
		seal_forget_stack();
		return 0;
	}
	int err = crypto_pwhash(kek, KEY_SIZE, secret, len, salt, cost->ops,
			(size_t)cost->mem_kib * 1024,
			crypto_pwhash_ALG_ARGON2ID13);
	seal_forget_stack();
	if (err != 0)
		return fail(-ENOMEM,
				"not enough memory: deriving the key from "
				"the passphrase takes %u MiB",
				(cost->mem_kib + 1023) / 1024);
	return 0;
}

void seal_wrap(uint8_t out[WRAPPED_KEY_SIZE], const uint8_t kek[32],
		const uint8_t master[MASTER_KEY_SIZE], const void *ad,
		size_t ad_len)
{
	uint8_t *body = out + SEAL_NONCE_SIZE;
	randombytes_buf(out, SEAL_NONCE_SIZE);
	crypto_aead_xchacha20poly1305_ietf_encrypt_detached(body,
			body + MASTER_KEY_SIZE, NULL, master, MASTER_KEY_SIZE,
			ad, ad_len, NULL, out, kek);
}

int seal_unwrap(uint8_t master[MASTER_KEY_SIZE], const uint8_t kek[32],
		const uint8_t wrapped[WRAPPED_KEY_SIZE], const void *ad,
		size_t ad_len)
{
	const uint8_t *body = wrapped + SEAL_NONCE_SIZE;
	if (crypto_aead_xchacha20poly1305_ietf_decrypt_detached(master, NULL,
			    body, MASTER_KEY_SIZE, body + MASTER_KEY_SIZE, ad,
			    ad_len, wrapped, kek)
			!= 0) {
		sodium_memzero(master, MASTER_KEY_SIZE);
		return -EKEYREJECTED;
	}
	return 0;
}

/* --- random numbers and secret memory --- */

void seal_random(void *out, size_t len)
{
	randombytes_buf(out, len);
}

void seal_wipe(void *p, size_t len)
{
	sodium_memzero(p, len);
}

void seal_forget_stack(void)
{
	sodium_stackzero(STACK_USED);
}

void *seal_secret_alloc(size_t len)
{
	/* sodium_malloc puts the end of the block at the end of a page, so
	 * only a rounded length gives an aligned start. */
	size_t rounded;
	if (__builtin_add_overflow(len, 15, &rounded))
		return NULL;
	rounded &= ~(size_t)15;
	void *p = sodium_malloc(rounded > 0 ? rounded : 16);
	if (p != NULL)
		memset(p, 0, rounded > 0 ? rounded : 16);
	return p;
}

void seal_secret_free(void *p)
{
	sodium_free(p);
	seal_forget_stack();
}
