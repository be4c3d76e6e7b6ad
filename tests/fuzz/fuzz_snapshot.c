/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz entry: a snapshot's payload. Input: the object's name and a line end,
 * then the JSON. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "repo/format/snapshot.h"

static void check_file(const struct snapshot_file *file)
{
	uint64_t clusters = file->size / CLUSTER_SIZE
			+ (file->size % CLUSTER_SIZE != 0);
	must(strlen(file->name) <= 214 && file->name[0] != '.');
	must(strchr(file->name, '/') == NULL);
	must(strcmp(file->name, SNAPSHOT_JSON_NAME) != 0);
	must(file->size <= IMAGE_SIZE_MAX && file->mode <= 07777);
	must(file->root.level == node_tree_level(node_span_count(file->size)));
	must(file->root.clusters <= clusters);
	must(file->root.data_bytes <= file->size);
	must((file->root.clusters == 0) == id_is_zero(&file->root.id));
	must((file->root.data_bytes == 0) == id_is_zero(&file->root.id));
	must(file->identity_count <= SNAPSHOT_CHAIN_MAX);
	must(!file->source_path || fuzz_is_escaped(file->source_path));
	must(!file->format || fuzz_is_escaped(file->format));
	must(!file->target || fuzz_is_escaped(file->target));
}

static void check(const struct snapshot *snap, const char *object)
{
	char name[600];
	must(strcmp(snap->object, object) == 0);
	snapshot_object_name(name, sizeof(name), snap->source, snap->time);
	must(strcmp(name, object) == 0);
	must(!id_is_zero(&snap->id) && snap->sequence >= 1);
	must(fuzz_is_escaped(snap->source) && fuzz_is_escaped(snap->host));
	must(snap->file_count <= SNAPSHOT_FILES_MAX);
	for (uint32_t i = 0; i < snap->file_count; i++) {
		check_file(&snap->files[i]);
		must(snapshot_find_file(snap, snap->files[i].name)
				== &snap->files[i]);
	}
	must(snap->skipped_count <= SNAPSHOT_SKIPPED_MAX);
	for (uint32_t i = 0; i < snap->skipped_count; i++)
		must(fuzz_is_escaped(snap->skipped[i].target));
}

static char *dump(const struct snapshot *snap)
{
	json_t *json = snapshot_json_encode(snap);
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
	struct snapshot *snap, *again;
	if (fuzz_accepted(snapshot_json_decode(&snap, seal, object,
			    (const char *)in.at, in.left))) {
		check(snap, object);
		char *first = dump(snap);
		must(fuzz_accepted(snapshot_json_decode(&again, seal, object,
				first, strlen(first))));
		check(again, object);
		char *second = dump(again);
		must(strcmp(first, second) == 0);
		free(first);
		free(second);
		snapshot_free(again);
		snapshot_free(snap);
	}
	free(object);
	return 0;
}
