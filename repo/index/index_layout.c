/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The bytes of the index: records and keys, and the check that a data file may
 * be given to LMDB at all. LMDB trusts its meta pages: a wrong page size is a
 * division by zero, a last page beyond the file is a SIGBUS, so the fields that
 * matter are read and checked here first, without mapping anything.
 *
 * The databases, version 1; numbers in keys are big-endian, in values
 * little-endian:
 *
 *	chunks	first 8 bytes of an id	→ numbers of packs, u32 each, newest
 *					first, 1 to 16 of them
 *	packs	number u32		→ pack id 16, kind u8, zero 3
 *	names	pack id 16		→ number u32
 *	shards	first byte of pack ids	→ the shard's state u64; 0: unknown
 *	meta	"index"			→ version u32, repository id 16,
 *					machine 16 (hash), device u64,
 *					inode u64, nonce 16
 *		"next"			→ next free number u32, from 1
 *		"generation"		→ u64, one more for each merge
 *
 * Numbers are never used again. A number under a chunk that "packs" lacks
 * belongs to a pack that went, or to a merge that was cut off: passed over.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "index_internal.h"
#include "repo/base/cleanup.h"

const char *const index_db_names[INDEX_DBS] = {
	[DB_CHUNKS] = "chunks",
	[DB_PACKS] = "packs",
	[DB_NAMES] = "names",
	[DB_SHARDS] = "shards",
	[DB_META] = "meta",
};

void index_layout_encode_record(uint8_t out[INDEX_RECORD_SIZE],
		const struct index_record *record)
{
	put_le32(out, INDEX_VERSION);
	memcpy(out + 4, record->identity.repo, REPO_ID_SIZE);
	memcpy(out + 20, record->identity.machine, INDEX_MACHINE_SIZE);
	put_le64(out + 36, record->device);
	put_le64(out + 44, record->inode);
	memcpy(out + 52, record->nonce, INDEX_NONCE_SIZE);
}
_Static_assert(52 + INDEX_NONCE_SIZE == INDEX_RECORD_SIZE, "record size");

int index_layout_check_record(const void *data, size_t len,
		const struct index_identity *identity, uint64_t device,
		uint64_t inode, uint8_t nonce[INDEX_NONCE_SIZE])
{
	struct index_record r = {
		.identity = *identity,
		.device = device,
		.inode = inode,
	};
	uint8_t want[INDEX_RECORD_SIZE];
	index_layout_encode_record(want, &r);
	if (len != INDEX_RECORD_SIZE || memcmp(data, want, 52) != 0)
		return -EBADMSG;
	memcpy(nonce, (const uint8_t *)data + 52, INDEX_NONCE_SIZE);
	return 0;
}

/*
 * LMDB 0.9's meta page on a 64-bit machine, in its own byte order:
 *
 *	0	16	page header; flags u16 at 10
 *	16	4	magic
 *	20	4	data version
 *	24	8	address of a fixed mapping (not used)
 *	32	8	map size
 *	40	48	free list's tree; first field u32: page size
 *	88	48	main tree; flags u16 at 92
 *	136	8	last used page
 *	144	8	transaction number; its lowest bit is the meta page's
 */
#define META_MAGIC 0xBEEFC0DEu
#define META_VERSION 1u
#define META_PAGE_FLAG 0x08u
#define META_SIZE 152
/* Beyond this no address space holds it. */
#define MAP_SIZE_MAX ((uint64_t)1 << 46)

struct meta_page {
	uint64_t map_size, last_page, txn;
};

static uint16_t native16(const uint8_t *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t native32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t native64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static int read_meta(int fd, unsigned which, uint64_t page_size,
		struct meta_page *out)
{
	uint8_t b[META_SIZE];
	ssize_t n = pread(fd, b, sizeof(b), (off_t)(which * page_size));
	if (n < 0)
		return -errno;
	if (n != sizeof(b) || native16(b + 10) != META_PAGE_FLAG
			|| native32(b + 16) != META_MAGIC
			|| native32(b + 20) != META_VERSION
			|| native32(b + 40) != page_size
			|| native16(b + 92) != 0)
		return -EBADMSG;
	*out = (struct meta_page){
		.map_size = native64(b + 32),
		.last_page = native64(b + 136),
		.txn = native64(b + 144),
	};
	if (out->map_size > MAP_SIZE_MAX || out->map_size % page_size != 0
			|| out->last_page >= MAP_SIZE_MAX / page_size
			|| (out->txn != 0 && (out->txn & 1) != which))
		return -EBADMSG;
	return 0;
}

static int check_metas(int fd, uint64_t size)
{
	uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	struct meta_page m[2] = { 0 };
	for (unsigned i = 0; i < 2; i++) {
		int err = read_meta(fd, i, page_size, &m[i]);
		if (err < 0)
			return err;
	}
	const struct meta_page *now = m[1].txn > m[0].txn ? &m[1] : &m[0];
	const struct meta_page *before = m[1].txn > m[0].txn ? &m[0] : &m[1];
	if (now->txn - before->txn > 1)
		return -EBADMSG;
	/* The writer lets the file cover its last page after each commit. */
	if ((now->last_page + 1) * page_size > size)
		return -EBADMSG;
	return 0;
}

bool index_layout_owns(const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_nlink == 1
			&& st->st_uid == geteuid() && (st->st_mode & 022) == 0;
}

/* Whether LMDB may be given what is under NAME. */
static int check_name(int dir, const char *name)
{
	struct stat st;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return index_layout_owns(&st) ? 0 : -EBADMSG;
}

int index_layout_present(int dir)
{
	int err = check_name(dir, INDEX_LOCK_FILE);
	if (err < 0 && err != -ENOENT)
		return err;
	return check_name(dir, INDEX_DATA_FILE);
}

int index_layout_check(int dir, uint64_t *device, uint64_t *inode)
{
	struct stat st;
	int err = index_layout_present(dir);
	if (err < 0)
		return err;
	CLEANUP_FD int fd = openat(dir, INDEX_DATA_FILE,
			O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno == ELOOP ? -EBADMSG : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!index_layout_owns(&st))
		return -EBADMSG;
	err = check_metas(fd, (uint64_t)st.st_size);
	if (err < 0)
		return err;
	*device = st.st_dev;
	*inode = st.st_ino;
	return 0;
}
