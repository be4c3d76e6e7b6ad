/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz entry: a pack's header and footer. Input: 32 bytes, 32 bytes, and the
 * pack's object name. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "repo/format/pack.h"

static void try_header(const uint8_t *header)
{
	uint8_t again[PACK_HEADER_SIZE];
	struct pack_header h;
	/* The repository's id is taken from the header, else few would pass. */
	if (!fuzz_accepted(pack_header_decode(header, header + 12, &h)))
		return;
	must(h.kind == PACK_DATA || h.kind == PACK_TREE);
	pack_header_encode(again, header + 12, &h);
	must(memcmp(again, header, PACK_HEADER_SIZE) == 0);
	must(!fuzz_accepted(pack_header_decode(header, fuzz_repo_id, &h))
			|| memcmp(header + 12, fuzz_repo_id, REPO_ID_SIZE)
					== 0);
}

static void try_footer(const uint8_t *footer)
{
	uint8_t again[PACK_FOOTER_SIZE - PACK_CHECKSUM_SIZE];
	int64_t len = pack_footer_decode(footer);
	if (len < 0)
		return;
	must(len >= 96 && len <= 3670064);
	pack_footer_encode(again, (uint32_t)len);
	must(memcmp(again, footer, sizeof(again)) == 0);
}

static void try_name(const char *name)
{
	char again[PACK_NAME_SIZE];
	struct pack_id id;
	if (pack_name_parse(&id, name) < 0)
		return;
	pack_name(again, &id);
	must(strcmp(again, name) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t fixed[PACK_HEADER_SIZE + PACK_FOOTER_SIZE] = { 0 };
	size_t n = size < sizeof(fixed) ? size : sizeof(fixed);
	struct input in = { data + n, size - n };
	if (n > 0)
		memcpy(fixed, data, n);
	try_header(fixed);
	try_footer(fixed + PACK_HEADER_SIZE);
	char *name = input_line(&in);
	try_name(name);
	free(name);
	return 0;
}
