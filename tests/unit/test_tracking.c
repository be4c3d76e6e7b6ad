/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: a disk is read incrementally only against the record that
 * its bitmap belongs to; whatever else it may be, it is read in full and the
 * reason is said. */
#include "ingest/live/tracking.h"
#include "repo/format/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define UUID "4dea22b3-1d52-d8f3-2516-782e98ab3fa0"

static const uint8_t repo_id[REPO_ID_SIZE] = { 0x01, 0x23, 0xab, 0xcd, 5 };
static const uint8_t other_id[REPO_ID_SIZE] = { 0x01, 0x23, 0xab, 0xce, 5 };

/* --- names --- */

static void test_names(void **state)
{
	char a[TRACKING_NAME_MAX], b[TRACKING_NAME_MAX];
	(void)state;
	tracking_fresh_name(a, repo_id);
	tracking_fresh_name(b, repo_id);
	assert_int_equal(strncmp(a, "amberfs-0123abcd-", 17), 0);
	assert_int_equal(strlen(a), 33);
	assert_string_not_equal(a, b);
	assert_true(tracking_is_ours(a, repo_id));
	assert_false(tracking_is_ours(a, other_id));
	assert_false(tracking_is_ours("amberfs-0123abcd-", repo_id));
	assert_false(tracking_is_ours("amberfs-0123abcd-0123456789abcdeg",
			repo_id));
	assert_false(tracking_is_ours("amberfs-0123abcd-0123456789abcdef0",
			repo_id));
	assert_false(tracking_is_ours("virtnbdbackup.0", repo_id));
	assert_false(tracking_is_ours("", repo_id));
}

/* --- the decision --- */

struct world {
	char token[TRACKING_NAME_MAX];
	struct snapshot *snap;
	struct snapshot_file *record;
	struct tracking_base base;
	struct file_identity now[2];
	struct tracking_disk disk;
	struct tracking_verdict v;
};

static int setup(void **state)
{
	static struct world w;
	w = (struct world){ .disk = { .target = "vda",
					    .path = "/images/a b.qcow2",
					    .reading = "chain",
					    .size = 3 << 20,
					    .identity_count = 2 } };
	tracking_fresh_name(w.token, repo_id);
	w.snap = snapshot_new();
	w.snap->uuid = strdup(UUID);
	w.record = snapshot_add_file(w.snap);
	w.record->kind = FILE_DISK;
	w.record->target = strdup("vda");
	w.record->source_path = strdup("%2Fimages%2Fa%20b.qcow2");
	w.record->reading = strdup("chain");
	w.record->size = 3 << 20;
	w.record->checkpoint = strdup(w.token);
	w.record->identity_count = 2;
	w.record->identities = calloc(2, sizeof(struct file_identity));
	w.record->identities[0] =
			(struct file_identity){ .device = 7, .inode = 8 };
	w.record->identities[1] =
			(struct file_identity){ true, 7, 9, 100, 5, 6 };
	w.now[0] = (struct file_identity){ true, 7, 8, 4000, 70, 71 };
	w.now[1] = w.record->identities[1];
	w.disk.identities = w.now;
	w.base = (struct tracking_base){ .snap = w.snap, .token = w.token };
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	snapshot_free(w->snap);
	return 0;
}

static void full(struct world *w, const char *why)
{
	tracking_decide(&w->v, &w->base, UUID, &w->disk);
	assert_null(w->v.record);
	if (strstr(w->v.why, why) == NULL)
		fail_msg("'%s' does not say '%s'", w->v.why, why);
}

static void incremental(struct world *w)
{
	tracking_decide(&w->v, &w->base, UUID, &w->disk);
	assert_string_equal(w->v.why, "");
	assert_ptr_equal(w->v.record, w->record);
}

static void test_same_disk(void **state)
{
	struct world *w = *state;
	incremental(w);
	/* The image's own times and size follow its guest's writes. */
	w->now[0].mtime_ns++;
	w->now[0].ctime_ns++;
	w->now[0].size += 65536;
	incremental(w);
	assert_string_equal(tracking_token(w->snap, repo_id), w->token);
	assert_null(tracking_token(w->snap, other_id));
}

static void test_no_base(void **state)
{
	struct world *w = *state;
	w->base.snap = NULL;
	w->base.none = "the last snapshot was forgotten";
	full(w, "was forgotten");
	/* The first backup needs no words, but for what will be so always. */
	w->base.none = NULL;
	full(w, "");
	assert_string_equal(w->v.why, "");
	w->disk.cannot = "it is a raw image";
	full(w, "raw");
}

static void test_another_domain(void **state)
{
	struct world *w = *state;
	w->snap->uuid[0] = '0';
	full(w, "another domain");
	free(w->snap->uuid);
	w->snap->uuid = NULL;
	full(w, "another domain");
}

static void test_another_disk(void **state)
{
	struct world *w = *state;
	w->disk.target = "vdb";
	full(w, "new");
	w->disk.target = "vda";
	w->disk.path = "/images/b.qcow2";
	full(w, "different file");
	w->disk.path = "/images/a b.qcow2";
	w->now[0].inode = 10;
	full(w, "different file");
	w->now[0].inode = 8;
	w->now[0].device = 6;
	full(w, "different file");
	w->now[0].device = 7;
	w->disk.size++;
	full(w, "from 3145728 to 3145729 bytes");
	w->disk.size = 6 << 20;
	full(w, "from 3 MiB to 6 MiB");
	w->disk.size = 3 << 20;
	w->disk.cannot = "qcow2 version 2";
	full(w, "version 2");
	w->disk.cannot = NULL;
	incremental(w);
}

static void test_unknown_file(void **state)
{
	struct world *w = *state;
	w->record->identities[0] = w->now[0] = (struct file_identity){ 0 };
	full(w, "different file");
}

static void test_chain(void **state)
{
	struct world *w = *state;
	w->disk.reading = "another chain";
	full(w, "chain");
	w->disk.reading = "chain";
	w->disk.identity_count = 1;
	full(w, "chain");
	w->disk.identity_count = 2;
	w->now[1].ctime_ns++;
	full(w, "backing file changed");
	w->now[1].ctime_ns--;
	incremental(w);
	w->record->identities[1].valid = false;
	full(w, "backing files");
	w->record->identities[1].valid = true;
	free(w->record->reading);
	w->record->reading = NULL;
	full(w, "chain");
}

static void test_another_checkpoint(void **state)
{
	struct world *w = *state;
	char other[TRACKING_NAME_MAX];
	tracking_fresh_name(other, repo_id);
	w->base.token = other;
	full(w, "no bitmap");
	w->base.token = w->token;
	free(w->record->checkpoint);
	w->record->checkpoint = NULL;
	full(w, "no bitmap");
	assert_null(tracking_token(w->snap, repo_id));
}

/* --- what qemu-img info says --- */

static const char *why_not(struct chain_file *file, const char *token,
		const char *bitmaps)
{
	const char *why;
	json_t *list = json_loads(bitmaps, 0, NULL);
	assert_non_null(list);
	json_decref(file->info);
	file->info = json_pack("{s:{s:{s:o}}}", "format-specific", "data",
			"bitmaps", list);
	bool has = tracking_image_has(file, token, &why);
	assert_int_equal(has, why == NULL);
	return has ? "" : why;
}

static void test_image(void **state)
{
	struct chain_file f = { .format = (char *)"qcow2" };
	const char *t = "amberfs-0123abcd-0123456789abcdef";
	(void)state;
	assert_string_equal(
			why_not(&f, t,
					"[{\"name\": \"other\", \"flags\": "
					"[]}, {\"name\": "
					"\"amberfs-0123abcd-0123456789abcdef\","
					" \"flags\": [\"auto\"], "
					"\"granularity\": 65536}]"),
			"");
	assert_true(tracking_image_lists_ours(&f, repo_id));
	assert_false(tracking_image_lists_ours(&f, other_id));
	assert_non_null(strstr(why_not(&f, t,
					       "[{\"name\": "
					       "\"amberfs-0123abcd-"
					       "0123456789abcdef\", \"flags\": "
					       "[\"in-use\", \"auto\"]}]"),
			"closed"));
	assert_non_null(strstr(why_not(&f, t,
					       "[{\"name\": "
					       "\"amberfs-0123abcd-"
					       "0123456789abcdef\", \"flags\": "
					       "[]}]"),
			"disabled"));
	assert_non_null(strstr(why_not(&f, t, "[]"), "missing"));
	assert_non_null(strstr(why_not(&f, t, "[7, {}, {\"name\": 1}]"),
			"missing"));
	assert_false(tracking_image_lists_ours(&f, repo_id));
	json_decref(f.info);
	f.info = NULL;
	const char *why;
	assert_false(tracking_image_has(&f, t, &why));
}

static void test_formats(void **state)
{
	struct domain_disk disk = { .target = (char *)"vda" };
	struct chain_file file = { .format = (char *)"raw" };
	struct disk_plan plan = { .disk = &disk,
		.chain = { .count = 1, .files = &file } };
	(void)state;
	assert_non_null(strstr(tracking_cannot(&plan), "raw"));
	file.format = (char *)"vmdk";
	assert_non_null(tracking_cannot(&plan));
	file.format = (char *)"qcow2";
	assert_non_null(tracking_cannot(&plan));
	file.info = json_pack("{s:{s:{s:s}}}", "format-specific", "data",
			"compat", "0.10");
	assert_non_null(strstr(tracking_cannot(&plan), "version 2"));
	json_decref(file.info);
	file.info = json_pack("{s:{s:{s:s}}}", "format-specific", "data",
			"compat", "1.1");
	assert_null(tracking_cannot(&plan));
	disk.shareable = true;
	assert_non_null(strstr(tracking_cannot(&plan), "shared"));
	disk.shareable = false;
	disk.readonly = true;
	assert_non_null(strstr(tracking_cannot(&plan), "read-only"));
	json_decref(file.info);
	plan.chain.count = 0;
	assert_non_null(tracking_cannot(&plan));
}

#define DECISION(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		DECISION(test_same_disk),
		DECISION(test_no_base),
		DECISION(test_another_domain),
		DECISION(test_another_disk),
		DECISION(test_unknown_file),
		DECISION(test_chain),
		DECISION(test_another_checkpoint),
		cmocka_unit_test(test_image),
		cmocka_unit_test(test_formats),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
