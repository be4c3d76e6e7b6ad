/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A tree may refer to its parts any number of times: some kilobytes can say that
 * they are terabytes of data, which a copy would read. What is less than a
 * tebibyte is not worth a question.
 */
#include <errno.h>

#include "copy.h"
#include "repo/base/bytes.h"
#include "repo/base/error.h"
#include "repo/base/units.h"

#define ALWAYS_ALLOWED (1024 * 1024 * MIB)

struct sum {
	struct store *store;
	uint64_t bytes;
};

static int add_size(void *ctx, const char *name)
{
	struct sum *sum = ctx;
	uint64_t size;
	/* One may be deleted just now. */
	if (store_size(sum->store, name, &size) == 0)
		sum->bytes += min_u64(size, PACK_SIZE_MAX);
	return 0;
}

static uint64_t data_of(const struct snapshot *snap)
{
	uint64_t bytes = 0; /* SNAPSHOT_FILES_MAX of IMAGE_SIZE_MAX fit */
	for (uint32_t i = 0; i < snap->file_count; i++)
		bytes += snap->files[i].root.data_bytes;
	return bytes;
}

int copy_limit_check(const struct copy *copy, const struct snapshot *snap)
{
	char data[SIZE_TEXT_MAX], stored[SIZE_TEXT_MAX];
	struct sum sum = { .store = copy->from->store };
	uint64_t bytes = data_of(snap);
	if (copy->max_expansion == 0 || bytes <= ALWAYS_ALLOWED)
		return 0;
	int err = store_list(sum.store, "packs/", add_size, &sum);
	if (err < 0)
		return err;
	if (bytes / copy->max_expansion <= sum.bytes)
		return 0;
	return fail(-EFBIG,
			"it says that it holds %s of data, more than %u times "
			"the %s that %s stores; if you know that to be true, "
			"use --max-expansion 0",
			size_format(data, bytes), copy->max_expansion,
			size_format(stored, sum.bytes),
			store_path(copy->from->store));
}
