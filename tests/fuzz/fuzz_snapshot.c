/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz entry: a snapshot's payload. Input: the object's name and a line end,
 * then the JSON. */
#include <stdlib.h>
#include <string.h>

#include "repo/format/snapshot.h"
#include "fuzz.h"

static void check_file(const struct snapshot_file *f)
{
	uint64_t clusters = f->size / CLUSTER_SIZE +
			(f->size % CLUSTER_SIZE != 0);

	must(strlen(f->name) <= 214 && f->name[0] != '.');
	must(strchr(f->name, '/') == NULL);
	must(strcmp(f->name, SNAPSHOT_JSON_NAME) != 0);
	must(f->size <= IMAGE_SIZE_MAX && f->mode <= 07777);
	must(f->root.level == node_tree_level(node_span_count(f->size)));
	must(f->root.clusters <= clusters);
	must(f->root.data_bytes <= f->size);
	must((f->root.clusters == 0) == id_is_zero(&f->root.id));
	must((f->root.data_bytes == 0) == id_is_zero(&f->root.id));
	must(f->identity_count <= SNAPSHOT_CHAIN_MAX);
	must(!f->source_path || fuzz_is_escaped(f->source_path));
	must(!f->format || fuzz_is_escaped(f->format));
	must(!f->target || fuzz_is_escaped(f->target));
}

static void check(const struct snapshot *s, const char *object)
{
	char name[600];

	must(strcmp(s->object, object) == 0);
	snapshot_object_name(name, sizeof(name), s->source, s->time);
	must(strcmp(name, object) == 0);
	must(!id_is_zero(&s->id) && s->sequence >= 1);
	must(fuzz_is_escaped(s->source) && fuzz_is_escaped(s->host));
	must(s->file_count <= SNAPSHOT_FILES_MAX);
	for (uint32_t i = 0; i < s->file_count; i++) {
		check_file(&s->files[i]);
		must(snapshot_find_file(s, s->files[i].name) == &s->files[i]);
	}
	must(s->skipped_count <= SNAPSHOT_SKIPPED_MAX);
	for (uint32_t i = 0; i < s->skipped_count; i++)
		must(fuzz_is_escaped(s->skipped[i].target));
}

static char *dump(const struct snapshot *s)
{
	json_t *json = snapshot_json_encode(s, false);
	must(json != NULL);
	char *text = json_dumps(json, JSON_FIELDS_DUMP_FLAGS);

	must(text != NULL);
	json_decref(json);
	return text;
}

/* What was read is written, read and written again: the same bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct seal *seal = fuzz_seal(true);
	struct input in = { data, size };
	char *object = input_line(&in);
	struct snapshot *s, *again;

	if (fuzz_accepted(snapshot_json_decode(&s, seal, object,
			    (const char *)in.at, in.left))) {
		check(s, object);
		char *first = dump(s);
		must(fuzz_accepted(snapshot_json_decode(&again, seal, object,
				first, strlen(first))));
		check(again, object);
		char *second = dump(again);
		must(strcmp(first, second) == 0);
		free(first);
		free(second);
		snapshot_free(again);
		snapshot_free(s);
	}
	free(object);
	return 0;
}
