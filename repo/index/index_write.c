/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writing the LMDB environment: what there is to write goes to amberfs-index
 * in a file in memory. The caller holds the writers' lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "index_internal.h"
#include "index_wire.h"
#include "repo/base/cleanup.h"

/* Entries that any machine merges, or scans, in a second of processor time. */
#define ENTRIES_PER_SECOND 20000u

static int put(int fd, const void *data, size_t len)
{
	const uint8_t *at = data;
	while (len > 0) {
		ssize_t n = write(fd, at, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

static int put_request(int fd, const struct wire_request *request,
		const struct index_merge *merge)
{
	int err = put(fd, request, sizeof(*request));
	if (err == 0 && request->has_run)
		err = put(fd, merge->run->entries,
				request->entry_count
						* sizeof(*merge->run->entries));
	if (err == 0 && request->has_run)
		err = put(fd, merge->run->packs,
				request->pack_count
						* sizeof(*merge->run->packs));
	if (err == 0 && request->removed_count > 0)
		err = put(fd, merge->removed,
				request->removed_count
						* sizeof(*merge->removed));
	return err;
}

/* MERGE: NULL to make an empty one. */
static int run(const struct index_place *place, int lock,
		struct wire_request *request, const struct index_merge *merge)
{
	request->map_size = index_tuning.map_size;
	request->txn_entries = index_tuning.txn_entries;
	request->cpu_seconds += index_tuning.cpu_seconds;
	CLEANUP_FD int fd = memfd_create("amberfs-index", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	int err = put_request(fd, request, merge);
	return err < 0 ? err : index_child_run(place, lock, fd);
}

int index_write_create(const struct index_place *place, int lock,
		const struct index_identity *identity)
{
	struct wire_request request = { .identity = *identity, .create = 1 };
	return run(place, lock, &request, NULL);
}

/* Entries in the index now, from which a filter may have to be made. */
static uint64_t guess_present(const struct index_place *place)
{
	struct stat st;
	/* An entry takes 20 bytes at least. */
	return fstatat(place->dir, INDEX_DATA_FILE, &st, AT_SYMLINK_NOFOLLOW)
					== 0
			? (uint64_t)st.st_size / 20
			: 0;
}

int index_write_merge(const struct index_place *place, int lock,
		const struct index_identity *identity,
		const uint8_t nonce[INDEX_NONCE_SIZE],
		const struct index_merge *merge)
{
	struct wire_request request = { .identity = *identity,
		.removed_count = merge->removed_count,
		.set_shards = merge->set_shards };
	uint64_t work = guess_present(place) / 10 + merge->removed_count;
	memcpy(request.nonce, nonce, sizeof(request.nonce));
	memcpy(request.before, merge->before, sizeof(request.before));
	memcpy(request.now, merge->now, sizeof(request.now));
	if (merge->run != NULL) {
		request.has_run = 1;
		request.entry_count = merge->run->entry_count;
		request.pack_count = merge->run->pack_count;
		work += request.entry_count + request.pack_count;
	}
	request.cpu_seconds = work / ENTRIES_PER_SECOND;
	return run(place, lock, &request, merge);
}
