/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Preloaded into a program: flips one bit of one buffer on its way through the
 * libraries, as failing memory may. So a test can try each step between a
 * source's bytes and a reader's.
 *
 *	FLIP_CALL	read, write	of files whose path begins with FLIP_PATH
 *			sum		the hash of a block (XXH3)
 *			id		BLAKE2b
 *			compress	zstd: before and during: what goes in;
 *					after: what came out
 *			decompress	after: what came out
 *			seal, open	XChaCha20-Poly1305: before: what goes in;
 *					after: what came out
 *	FLIP_MOMENT	before the call, after it, or during: the bit is flipped
 *			back after it
 *	FLIP_AT		at which of these calls, from 1; those with less than a
 *			block of 4 KiB don't count
 *	FLIP_DONE	a file that is made then: it happens once, whichever
 *			process or thread is the first
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define LEAST 4096u

enum moment { BEFORE, DURING, AFTER, NEVER };

static enum moment moment_now(void)
{
	const char *m = getenv("FLIP_MOMENT");
	if (m == NULL)
		return NEVER;
	return *m == 'b' ? BEFORE : *m == 'd' ? DURING : AFTER;
}

static bool is_chosen(const char *call)
{
	const char *chosen = getenv("FLIP_CALL");
	return chosen != NULL && strcmp(chosen, call) == 0;
}

static bool below_path(int fd)
{
	const char *begin = getenv("FLIP_PATH");
	char name[64], path[PATH_MAX];
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(name, path, sizeof(path) - 1);
	return n > 0 && begin != NULL
			&& strncmp(path, begin, strlen(begin)) == 0;
}

/* True for the one call that it is to happen at. */
static bool is_it(const char *call, size_t len)
{
	static atomic_ulong count;
	const char *at = getenv("FLIP_AT"), *done = getenv("FLIP_DONE");
	if (len < LEAST || done == NULL || !is_chosen(call)
			|| ++count != strtoul(at != NULL ? at : "1", NULL, 10))
		return false;
	int fd = open(done, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void flip(const void *data, size_t len)
{
	if (data != NULL)
		((uint8_t *)data)[len / 2] ^= 1;
}

/* Around the real call, which makes OUT of IN. */
static bool before(const char *call, const void *in, size_t len)
{
	bool it = is_it(call, len);
	if (it && moment_now() <= DURING)
		flip(in, len);
	return it;
}

static void after(bool it, const void *in, size_t len, const void *out,
		size_t out_len)
{
	if (it && moment_now() == DURING)
		flip(in, len);
	if (it && moment_now() == AFTER && out_len > 0)
		flip(out, out_len);
}

#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

/* --- files (with 64-bit offsets, as the program calls them) --- */

ssize_t pread(int fd, void *buf, size_t len, off_t at)
{
	ssize_t n = REAL(pread)(fd, buf, len, at);
	if (n > 0 && below_path(fd))
		after(is_it("read", (size_t)n), NULL, 0, buf, (size_t)n);
	return n;
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t at)
{
	if (below_path(fd))
		before("write", buf, len);
	return REAL(pwrite)(fd, buf, len, at);
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t at)
{
	if (count > 0 && below_path(fd))
		before("write", iov->iov_base, iov->iov_len);
	return REAL(pwritev)(fd, iov, count, at);
}

/* --- libraries; as their headers declare them --- */

uint64_t XXH3_64bits_withSeed(const void *data, size_t len, uint64_t seed);
uint64_t XXH3_64bits_withSeed(const void *data, size_t len, uint64_t seed)
{
	bool it = before("sum", data, len);
	uint64_t sum = REAL(XXH3_64bits_withSeed)(data, len, seed);
	after(it, data, len, data, len);
	return sum;
}

int crypto_generichash(unsigned char *out, size_t out_len,
		const unsigned char *in, unsigned long long len,
		const unsigned char *key, size_t key_len);
int crypto_generichash(unsigned char *out, size_t out_len,
		const unsigned char *in, unsigned long long len,
		const unsigned char *key, size_t key_len)
{
	bool it = before("id", in, len);
	int err = REAL(crypto_generichash)(out, out_len, in, len, key, key_len);
	after(it, in, len, in, len);
	return err;
}

struct zstd_buffer { /* ZSTD_inBuffer, ZSTD_outBuffer */
	void *data;
	size_t size, at;
};

size_t ZSTD_compressStream2(void *context, struct zstd_buffer *out,
		struct zstd_buffer *in, int end);
size_t ZSTD_compressStream2(void *context, struct zstd_buffer *out,
		struct zstd_buffer *in, int end)
{
	uint8_t *from = (uint8_t *)in->data + in->at;
	size_t len = in->size - in->at, start = out->at;
	bool it = before("compress", from, len);
	size_t n = REAL(ZSTD_compressStream2)(context, out, in, end);
	after(it, from, len, (uint8_t *)out->data + start, out->at - start);
	return n;
}

size_t ZSTD_decompressDCtx(void *context, void *out, size_t room,
		const void *in, size_t len);
size_t ZSTD_decompressDCtx(void *context, void *out, size_t room,
		const void *in, size_t len)
{
	size_t n = REAL(ZSTD_decompressDCtx)(context, out, room, in, len);
	if (n <= room)
		after(is_it("decompress", n), in, len, out, n);
	return n;
}

typedef unsigned char byte;

int crypto_aead_xchacha20poly1305_ietf_encrypt_detached(byte *out, byte *tag,
		unsigned long long *tag_len, const byte *in,
		unsigned long long len, const byte *ad,
		unsigned long long ad_len, const byte *none, const byte *nonce,
		const byte *key);
int crypto_aead_xchacha20poly1305_ietf_encrypt_detached(byte *out, byte *tag,
		unsigned long long *tag_len, const byte *in,
		unsigned long long len, const byte *ad,
		unsigned long long ad_len, const byte *none, const byte *nonce,
		const byte *key)
{
	bool it = before("seal", in, len);
	int err = REAL(crypto_aead_xchacha20poly1305_ietf_encrypt_detached)(out,
			tag, tag_len, in, len, ad, ad_len, none, nonce, key);
	after(it, in, len, out, len);
	return err;
}

int crypto_aead_xchacha20poly1305_ietf_decrypt_detached(byte *out, byte *none,
		const byte *in, unsigned long long len, const byte *tag,
		const byte *ad, unsigned long long ad_len, const byte *nonce,
		const byte *key);
int crypto_aead_xchacha20poly1305_ietf_decrypt_detached(byte *out, byte *none,
		const byte *in, unsigned long long len, const byte *tag,
		const byte *ad, unsigned long long ad_len, const byte *nonce,
		const byte *key)
{
	bool it = before("open", in, len);
	int err = REAL(crypto_aead_xchacha20poly1305_ietf_decrypt_detached)(out,
			none, in, len, tag, ad, ad_len, nonce, key);
	after(it, in, len, out, len);
	return err;
}
