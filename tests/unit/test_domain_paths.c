/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: paths are found wherever a definition names them, and a
 * chain is cut off at the right disks and nowhere else. */
#include "ingest/libvirt/domain_doc.h"
#include "ingest/libvirt/domain_paths.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DISK(target, own, below)                                               \
	"<disk type='file'><driver type='qcow2'/><source file='" own "'/>"     \
	"<backingStore type='file'><format type='raw'/><source file='" below   \
	"'/><backingStore/></backingStore><target dev='" target "'/></disk>"

static const char xml[] =
		"<domain type='qemu'><name>x</name>"
		"<os><kernel>/place/kernel</kernel><nvram>/other/nvram</"
		"nvram></os>"
		"<devices>" DISK("vda", "/place/vda.qcow2",
				"/place/mnt/s/1/vda.raw") DISK("vdb",
				"/srv/b.qcow2",
				"/srv/base.raw") DISK("vdc", "/srv/top.qcow2",
				"/place/mnt/s/1/vdc.raw") "<disk "
							  "type='file'><source "
							  "file='/place/mnt/s/"
							  "1/vdd.raw'/>"
							  "<target "
							  "dev='vdd'/></disk></"
							  "devices></domain>";

static xmlDoc *doc;

static xmlDoc *parse(const char *text)
{
	xmlDoc *out = NULL;
	assert_int_equal(domain_doc_parse(&out, text, strlen(text)), 0);
	return out;
}

static int setup(void **state)
{
	(void)state;
	doc = parse(xml);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	xmlFreeDoc(doc);
	return 0;
}

static void test_below(void **state)
{
	(void)state;
	assert_true(domain_paths_below(doc, "/place"));
	assert_true(domain_paths_below(doc, "/place/mnt"));
	assert_true(domain_paths_below(doc, "/other"));
	/* Not by the beginning of a name. */
	assert_false(domain_paths_below(doc, "/pla"));
	assert_false(domain_paths_below(doc, "/place/m"));
	assert_false(domain_paths_below(doc, "/srv/base.raw"));
}

static void test_name(void **state)
{
	(void)state;
	assert_true(domain_paths_name(doc, "/place/kernel"));
	assert_true(domain_paths_name(doc, "/srv/base.raw"));
	assert_false(domain_paths_name(doc, "/srv/base"));
}

static void test_backed(void **state)
{
	char **targets = NULL;
	(void)state;
	assert_int_equal(domain_paths_backed(doc, "/place/mnt", &targets), 0);
	assert_string_equal(targets[0], "vda");
	assert_string_equal(targets[1], "vdc");
	assert_null(targets[2]);
	domain_paths_free(targets);
}

static void test_unback(void **state)
{
	char *out = NULL;
	(void)state;
	assert_int_equal(domain_paths_unback(doc, "/place/mnt", &out), 0);
	xmlDoc *better = parse(out);
	assert_false(domain_paths_name(better, "/place/mnt/s/1/vda.raw"));
	assert_false(domain_paths_name(better, "/place/mnt/s/1/vdc.raw"));
	/* A disk's own image is never taken away, nor another's chain. */
	assert_true(domain_paths_name(better, "/place/mnt/s/1/vdd.raw"));
	assert_true(domain_paths_name(better, "/place/vda.qcow2"));
	assert_true(domain_paths_name(better, "/srv/base.raw"));
	assert_non_null(strstr(out, "<backingStore/><target dev=\"vda\"/>"));
	/* What it was made from is as it was. */
	assert_true(domain_paths_name(doc, "/place/mnt/s/1/vda.raw"));
	xmlFreeDoc(better);
	free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_below),
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_backed),
		cmocka_unit_test(test_unback),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
