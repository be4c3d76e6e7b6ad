/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: a snapshot's JSON comes back as it was, unknown members
 * included; every bound is enforced with a text that names the member. */
#include "repo/base/bytes.h"
#include "repo/base/error.h"
#include "repo/format/name.h"
#include "repo/format/document.h"
#include "repo/format/snapshot.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TIME 1795406400 /* 20261123T040000Z */
#define OBJECT "snapshots/vm%2F1/20261123T040000Z"
#define ZEROS_62                                                               \
	"00000000000000000000000000000000000000000000000000000000000000"

static const uint8_t master[MASTER_KEY_SIZE] = { 1, 2, 3 };
static struct seal *seal;

static void add_disk(struct snapshot *snap)
{
	struct snapshot_file *file = snapshot_add_file(snap);
	file->name = strdup("vda.raw");
	file->kind = FILE_DISK;
	file->size = 3 * (uint64_t)SPAN_SIZE + 5;
	file->mode = 0600;
	file->mtime_ns = -5;
	memset(file->root.id.b, 0xab, ID_SIZE);
	file->root.level = 1;
	file->root.data_bytes = 70000;
	file->root.clusters = 2;
	file->source_path = strdup("%2Fvar%2Fa%20b.qcow2");
	file->format = strdup("qcow2");
	file->target = strdup("vda");
	file->reading = strdup("qcow2 > raw {[\"\xc3\xa4\"]}");
	file->identity_count = 3;
	file->identities = calloc(3, sizeof(*file->identities));
	file->identities[0] = (struct file_identity){ true, UINT64_MAX,
		UINT64_MAX - 1, 77, -1, INT64_MAX };
	file->identities[1] = (struct file_identity){ .device = 5, .inode = 6 };
	file->checkpoint = strdup("amberfs-00112233-0123456789abcdef");
}

static struct snapshot *make(void)
{
	struct snapshot *snap = snapshot_new();
	snap->source = strdup("vm%2F1");
	snap->kind = SNAPSHOT_DOMAIN;
	snap->time = TIME;
	snap->started_ns = 1;
	snap->finished_ns = INT64_MAX;
	snap->sequence = 4;
	memset(snap->predecessor.b, 0x11, ID_SIZE);
	snap->has_origin = true;
	memset(snap->origin_repository, 0x12, REPO_ID_SIZE);
	memset(snap->origin_snapshot.b, 0x13, ID_SIZE);
	snap->host = strdup("host.example");
	snap->uuid = strdup("c7a5fdbd-cdaf-9455-926a-d65c16db1809");
	snap->consistency = strdup("offline");
	snap->read_bytes = 1;
	snap->new_bytes = 2;
	snap->stored_bytes = 3;
	snap->skipped_count = 1;
	snap->skipped = calloc(1, sizeof(*snap->skipped));
	snap->skipped[0].target = strdup("sda");
	snap->skipped[0].reason = strdup("bad \xff byte");
	add_disk(snap);
	struct snapshot_file *file = snapshot_add_file(snap);
	file->name = strdup("domain.xml");
	file->kind = FILE_XML;
	return snap;
}

static char *dump(const struct snapshot *snap)
{
	json_t *json = snapshot_json_encode(snap);
	assert_non_null(json);
	char *text = json_dumps(json, JSON_FIELDS_DUMP_FLAGS);
	json_decref(json);
	return text;
}

static struct snapshot *parse(const char *text)
{
	struct snapshot *snap;
	int err = snapshot_json_decode(&snap, seal, OBJECT, text, strlen(text));
	if (err < 0)
		print_message("%s\n", error_text(err));
	assert_int_equal(err, 0);
	return snap;
}

static char *valid_text(void)
{
	struct snapshot *snap = make();
	char *text = dump(snap);
	snapshot_free(snap);
	return text;
}

static void assert_head(const struct snapshot *snap)
{
	assert_string_equal(snap->source, "vm%2F1");
	assert_string_equal(snap->object, OBJECT);
	assert_int_equal(snap->kind, SNAPSHOT_DOMAIN);
	assert_int_equal(snap->time, TIME);
	assert_int_equal(snap->started_ns, 1);
	assert_int_equal(snap->finished_ns, INT64_MAX);
	assert_int_equal(snap->sequence, 4);
	assert_int_equal(snap->predecessor.b[31], 0x11);
	assert_true(snap->has_origin);
	assert_int_equal(snap->origin_repository[15], 0x12);
	assert_int_equal(snap->origin_snapshot.b[31], 0x13);
	assert_string_equal(snap->host, "host.example");
	assert_string_equal(snap->uuid, "c7a5fdbd-cdaf-9455-926a-d65c16db1809");
	assert_string_equal(snap->consistency, "offline");
	assert_int_equal(snap->stored_bytes, 3);
	assert_int_equal(snap->skipped_count, 1);
	assert_string_equal(snap->skipped[0].reason, "bad \\xFF byte");
	assert_int_equal(snap->file_count, 2);
}

static void assert_disk(const struct snapshot_file *file)
{
	assert_string_equal(file->name, "vda.raw");
	assert_int_equal(file->kind, FILE_DISK);
	assert_int_equal(file->size, 3 * (uint64_t)SPAN_SIZE + 5);
	assert_int_equal(file->mode, 0600);
	assert_int_equal(file->mtime_ns, -5);
	assert_int_equal(file->root.id.b[0], 0xab);
	assert_int_equal(file->root.level, 1);
	assert_int_equal(file->root.data_bytes, 70000);
	assert_int_equal(file->root.clusters, 2);
	assert_string_equal(file->source_path, "%2Fvar%2Fa%20b.qcow2");
	assert_string_equal(file->format, "qcow2");
	assert_string_equal(file->target, "vda");
	assert_string_equal(file->reading, "qcow2 > raw {[\"\xc3\xa4\"]}");
	assert_int_equal(file->identity_count, 3);
	assert_true(file->identities[0].valid);
	assert_true(file->identities[0].device == UINT64_MAX);
	assert_true(file->identities[0].inode == UINT64_MAX - 1);
	assert_int_equal(file->identities[0].size, 77);
	assert_int_equal(file->identities[0].mtime_ns, -1);
	assert_false(file->identities[1].valid);
	assert_int_equal(file->identities[1].device, 5);
	assert_int_equal(file->identities[1].inode, 6);
	assert_int_equal(file->identities[1].size, 0);
	assert_false(file->identities[2].valid);
	assert_int_equal(file->identities[2].inode, 0);
	assert_string_equal(file->checkpoint,
			"amberfs-00112233-0123456789abcdef");
}

static void test_round_trip(void **state)
{
	char *text = valid_text();
	struct snapshot *snap = parse(text);
	(void)state;
	for (const char *p = text; *p != '\0'; p++)
		assert_in_range(*p, 0x20, 0x7e);
	assert_head(snap);
	assert_disk(&snap->files[0]);
	assert_true(id_is_zero(&snap->files[1].root.id));
	assert_null(snap->extra);
	assert_null(snap->files[0].extra);
	char *again = dump(snap);
	assert_string_equal(again, text);
	free(text);
	free(again);
	snapshot_free(snap);
}

static void test_id_covers_name_and_bytes(void **state)
{
	char *text = valid_text();
	struct snapshot *snap = parse(text);
	struct id id;
	(void)state;
	assert_int_equal(snapshot_json_derive_id(&id, seal, OBJECT, text,
					 strlen(text)),
			0);
	assert_true(id_equal(&id, &snap->id));
	assert_int_equal(snapshot_json_derive_id(&id, seal, OBJECT "x", text,
					 strlen(text)),
			0);
	assert_false(id_equal(&id, &snap->id));
	assert_int_equal(snapshot_json_derive_id(&id, seal, OBJECT, text,
					 strlen(text) - 1),
			0);
	assert_false(id_equal(&id, &snap->id));
	free(text);
	snapshot_free(snap);
}

static void test_derived_members(void **state)
{
	char *text = valid_text();
	struct snapshot *snap = parse(text);
	json_t *json = document_of_snapshot(snap);
	(void)state;
	assert_string_equal(json_string_value(json_object_get(json, "object")),
			OBJECT);
	assert_int_equal(json_string_length(json_object_get(json, "id")), 64);
	json_decref(json);
	free(text);
	snapshot_free(snap);
}

static void test_unknown_members_survive(void **state)
{
	char *text = valid_text();
	json_t *json = json_loads(text, 0, NULL);
	(void)state;
	json_object_set_new(json, "tags", json_pack("[s]", "weekly"));
	json_object_set_new(json_array_get(json_object_get(json, "files"), 0),
			"sha", json_integer(7));
	char *more = json_dumps(json, JSON_FIELDS_DUMP_FLAGS);
	struct snapshot *snap = parse(more);
	assert_int_equal(json_object_size(snap->extra), 1);
	assert_int_equal(json_object_size(snap->files[0].extra), 1);
	char *again = dump(snap);
	assert_string_equal(again, more);
	json_decref(json);
	snapshot_free(snap);
	free(text);
	free(more);
	free(again);
}

/* --- refusals --- */

static void assert_bad(const char *text, const char *member)
{
	struct snapshot *snap;
	assert_int_equal(snapshot_json_decode(&snap, seal, OBJECT, text,
					 strlen(text)),
			-EBADMSG);
	assert_null(snap);
	const char *why = error_text(-EBADMSG);
	if (strstr(why, member) == NULL || strstr(why, OBJECT) == NULL)
		fail_msg("\"%s\" does not name %s", why, member);
}

/* The valid JSON with one member of the snapshot or of its first file set to
 * VALUE (JSON), or removed where VALUE is NULL. */
static char *changed(bool in_file, const char *key, const char *value)
{
	char *text = valid_text();
	json_t *json = json_loads(text, 0, NULL), *at = json;
	if (in_file)
		at = json_array_get(json_object_get(json, "files"), 0);
	if (value != NULL)
		json_object_set_new(at, key,
				json_loads(value, JSON_DECODE_ANY, NULL));
	else
		json_object_del(at, key);
	free(text);
	text = json_dumps(json, JSON_FIELDS_DUMP_FLAGS);
	json_decref(json);
	return text;
}

static void refuse(bool in_file, const char *key, const char *value)
{
	char *text = changed(in_file, key, value);
	assert_bad(text, key);
	free(text);
}

static void test_bad_heads(void **state)
{
	static const char *const bad[][2] = {
		{ "source", NULL },
		{ "source", "3" },
		{ "source", "\"\"" },
		{ "source", "\"vm\"" },
		{ "source", "\"..\"" },
		{ "source", "\"a/b\"" },
		{ "source", "\"a%2fb\"" },
		{ "kind", NULL },
		{ "kind", "\"tape\"" },
		{ "kind", "1" },
		{ "time", NULL },
		{ "time", "\"20261123T040001Z\"" },
		{ "time", "\"tomorrow\"" },
		{ "time", "1795406400" },
		{ "started_ns", NULL },
		{ "started_ns", "1.0" },
		{ "sequence", "0" },
		{ "sequence", "-1" },
		{ "sequence", "\"4\"" },
		{ "predecessor", "\"11\"" },
		{ "predecessor", "\"zz" ZEROS_62 "\"" },
		{ "predecessor", "7" },
		{ "origin", "\"11\"" },
		{ "origin", "{}" },
		{ "origin", "{\"repository\":\"12\"}" },
		{ "origin", "null" },
		{ "host", NULL },
		{ "host", "\"a\\u001b[31m\"" },
		{ "uuid", "\"a b\"" },
		{ "consistency", "null" },
		{ "read_bytes", "-1" },
		{ "new_bytes", NULL },
		{ "stored_bytes", "true" },
		{ "skipped", "{}" },
		{ "skipped", "[1]" },
		{ "skipped", "[{\"target\":\"a\"}]" },
		{ "skipped", "[{\"target\":\"/\",\"reason\":\"\"}]" },
		{ "files", NULL },
		{ "files", "{}" },
		{ "files", "[[]]" },
		{ "files", "[null]" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		refuse(false, bad[i][0], bad[i][1]);
}

static void test_bad_files(void **state)
{
	static const char *const bad[][2] = {
		{ "name", NULL },
		{ "name", "\"\"" },
		{ "name", "\".\"" },
		{ "name", "\"..\"" },
		{ "name", "\"a/b\"" },
		{ "name", "\"%41\"" },
		{ "name", "\"snapshot.json\"" },
		{ "name", "\"domain.xml\"" },
		{ "name", "\"a%~b\"" },
		{ "kind", "\"pipe\"" },
		{ "size", "-1" },
		{ "size", "140737488355329" },
		{ "size", "1e3" },
		{ "mode", "4096" },
		{ "mode", "-1" },
		{ "mtime_ns", NULL },
		{ "root", NULL },
		{ "root", "\"ab\"" },
		{ "root", "\"\"" },
		{ "data_bytes", "0" },
		{ "data_bytes", "50331654" },
		{ "data_bytes", "131073" },
		{ "data_bytes", "4096" },
		{ "clusters", "0" },
		{ "clusters", "1" },
		{ "clusters", "4294967296" },
		{ "clusters", "770" },
		{ "source_path", "\"/etc\"" },
		{ "format", "\"a b\"" },
		{ "target", "1" },
		{ "reading", "[]" },
		{ "identities", "{}" },
		{ "identities", "[{}]" },
		{ "identities", "[[]]" },
		{ "identities",
				"[{\"device\":1,\"inode\":1,\"size\":-1,"
				"\"mtime_ns\":0,\"ctime_ns\":0}]" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const char *key = bad[i][0];
		char *text = changed(true, key, bad[i][1]);
		struct snapshot *snap;
		int err = snapshot_json_decode(&snap, seal, OBJECT, text,
				strlen(text));
		if (err != -EBADMSG)
			fail_msg("%s: %s was accepted", key,
					bad[i][1] ? bad[i][1] : "absence");
		assert_non_null(strstr(error_text(err), "files"));
		free(text);
	}
}

static void test_not_json(void **state)
{
	static const char *const bad[] = { "", "{", "[]", "null", "3", "{}x",
		"{\"source\":\"a\",\"source\":\"b\"}", "{\"a\":\"\\u0000\"}",
		"{\"sequence\":99999999999999999999}", "{\"a\":\"\xff\"}" };
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_bad(bad[i], OBJECT);
}

/* JSON that would take a hundred times its length in memory, or the stack. */
static void test_costly_json(void **state)
{
	size_t len = 16u << 20;
	char *text = malloc(len + 1);
	(void)state;
	text[len] = '\0';
	memset(text, '[', len);
	assert_bad(text, OBJECT);
	for (size_t i = 0; i < len; i++)
		text[i] = "[],"[i % 3];
	memcpy(text, "{\"a\":[", 6);
	assert_bad(text, OBJECT);
	memset(text + 6, ',', len - 6);
	assert_bad(text, OBJECT);
	memset(text + 6, '[', 400000);
	text[400006] = '\0';
	assert_bad(text, OBJECT);
	free(text);
}

static void test_damaged_bytes(void **state)
{
	static const char tries[] = "\"{}[],:0-9e.a%\\ \x01\x80\xff";
	char *text = valid_text();
	size_t len = strlen(text);
	(void)state;
	for (size_t i = 0; i < len; i++) {
		char old = text[i];
		for (const char *t = tries; *t != '\0'; t++) {
			struct snapshot *snap;
			text[i] = *t;
			int err = snapshot_json_decode(&snap, seal, OBJECT,
					text, len);
			assert_true(err == 0 || err == -EBADMSG);
			snapshot_free(snap);
		}
		text[i] = old;
		struct snapshot *snap;
		assert_int_equal(snapshot_json_decode(&snap, seal, OBJECT, text,
						 i),
				-EBADMSG);
	}
	free(text);
}

static void test_unwritable(void **state)
{
	struct snapshot *snap = make();
	(void)state;
	snap->read_bytes = UINT64_MAX;
	assert_null(snapshot_json_encode(snap));
	snap->read_bytes = 0;
	snap->files[0].size = UINT64_MAX;
	assert_null(snapshot_json_encode(snap));
	snap->files[0].size = 0;
	free(snap->files[0].reading);
	snap->files[0].reading = strdup("\xff");
	assert_null(snapshot_json_encode(snap));
	snapshot_free(snap);
	snap = snapshot_new();
	assert_null(snapshot_json_encode(snap));
	snapshot_free(snap);
}

/* --- names and files --- */

static void assert_unique(struct snapshot *snap, const char *wanted,
		const char *got)
{
	char *name = snapshot_unique_name(snap, wanted);
	assert_string_equal(name, got);
	snapshot_add_file(snap)->name = name;
}

static void test_unique_names(void **state)
{
	struct snapshot *snap = snapshot_new();
	(void)state;
	assert_unique(snap, "disk.img", "disk.img");
	assert_unique(snap, "disk.img", "disk-2.img");
	assert_unique(snap, "disk.img", "disk-3.img");
	assert_unique(snap, "disk", "disk");
	assert_unique(snap, "disk", "disk-2");
	assert_unique(snap, "snapshot.json", "snapshot-2.json");
	snapshot_free(snap);
}

/* Names too long for a path component stay unique and acceptable. */
static void check_long_names(const char *raw_piece)
{
	struct snapshot *snap = make();
	char raw[1024] = "";
	while (strlen(raw) < 500)
		strcat(raw, raw_piece);
	strcat(raw, ".img");
	char *escaped = name_escape(raw, strlen(raw));
	char component[NAME_COMPONENT_MAX + 1];
	name_component(component, escaped);
	for (int i = 0; i < 30; i++) {
		char *name = snapshot_unique_name(snap,
				i % 2 ? escaped : component);
		assert_in_range(strlen(name), 1, NAME_COMPONENT_MAX);
		assert_null(snapshot_find_file(snap, name));
		snapshot_add_file(snap)->name = name;
	}
	char *text = dump(snap);
	snapshot_free(parse(text));
	free(text);
	free(escaped);
	snapshot_free(snap);
}

static void assert_qcow2(const struct snapshot *snap, const char *name,
		const char *disk)
{
	const struct snapshot_file *file = snapshot_find_qcow2(snap, name);
	if (disk == NULL)
		assert_null(file);
	else
		assert_string_equal(file->name, disk);
}

/* Disks are shown as qcow2 too, under a name that a stored file can take. */
static void test_qcow2_names(void **state)
{
	static const char *const names[] = { "vda.raw", "vdb.raw", "vdb.qcow2",
		"vdc", ".raw", "x.raw.raw", "file.raw" };
	struct snapshot *snap = snapshot_new();
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		snapshot_add_file(snap)->name = strdup(names[i]);
	snap->files[6].kind = FILE_IMAGE;
	assert_qcow2(snap, "vda.qcow2", "vda.raw");
	assert_qcow2(snap, "x.raw.qcow2", "x.raw.raw");
	assert_qcow2(snap, "vdb.qcow2", NULL);
	assert_qcow2(snap, "vdc.qcow2", NULL);
	assert_qcow2(snap, ".qcow2", NULL);
	assert_qcow2(snap, "file.qcow2", NULL);
	assert_qcow2(snap, "vda.raw", NULL);
	/* The longest name there is. */
	free(snap->files[0].name);
	snap->files[0].name = calloc(1, NAME_COMPONENT_MAX + 1);
	memset(snap->files[0].name, 'n', NAME_COMPONENT_MAX - 4);
	memcpy(snap->files[0].name + NAME_COMPONENT_MAX - 4, ".raw", 4);
	char shown[QCOW2_NAME_MAX + 1];
	assert_true(snapshot_qcow2_name(shown, &snap->files[0]));
	assert_int_equal(strlen(shown), QCOW2_NAME_MAX);
	assert_qcow2(snap, shown, snap->files[0].name);
	snapshot_free(snap);
}

static void test_long_names(void **state)
{
	(void)state;
	check_long_names("a");
	check_long_names("\xd0\xb6");
	check_long_names("a\xd0\xb6");
	check_long_names("ab\xd0\xb6");
}

static void test_copy_file(void **state)
{
	struct snapshot *snap = make();
	struct snapshot_file copy = { 0 };
	(void)state;
	snap->files[0].extra = json_pack("{s:i}", "x", 1);
	assert_int_equal(snapshot_copy_file(&copy, &snap->files[0]), 0);
	snapshot_free(snap);
	assert_disk(&copy);
	assert_int_equal(json_object_size(copy.extra), 1);
	snapshot_clear_file(&copy);
	assert_null(copy.name);
}

static void test_object_names(void **state)
{
	char object[300], small[10];
	(void)state;
	snapshot_object_name(object, sizeof(object), "vm%2F1", TIME);
	assert_string_equal(object, OBJECT);
	snapshot_object_name(small, sizeof(small), "vm%2F1", TIME);
	assert_string_equal(small, "snapshots");
}

static int setup(void **state)
{
	(void)state;
	if (seal_global_init() < 0)
		return -1;
	seal = seal_new(master, true);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	seal_free(seal);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_id_covers_name_and_bytes),
		cmocka_unit_test(test_derived_members),
		cmocka_unit_test(test_unknown_members_survive),
		cmocka_unit_test(test_bad_heads),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_not_json),
		cmocka_unit_test(test_costly_json),
		cmocka_unit_test(test_damaged_bytes),
		cmocka_unit_test(test_unwritable),
		cmocka_unit_test(test_unique_names),
		cmocka_unit_test(test_qcow2_names),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_copy_file),
		cmocka_unit_test(test_object_names),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
